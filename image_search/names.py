"""Names that people give, ids and times as text: the one place that knows how they are spelt. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from image_search.errors import InvalidParameter

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COLLECTION = re.compile(r"[A-Za-z](?:[A-Za-z0-9]|_(?!_)){0,62}")
_PROJECTION = re.compile(r"(pca|random):([1-9][0-9]{0,4})")


def is_sha256(text: str) -> bool:
    """Whether it is 64 lowercase hex digits, as an image_id is."""
    return _SHA256.fullmatch(text) is not None


def rfc3339(seconds: float) -> str:
    """A Unix time as RFC 3339, in whole seconds of UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


class WantedProjection(NamedTuple):
    """A projection as it is asked for, before it is fitted or made."""

    kind: Literal["none", "pca", "random"]
    dim: int
    """Length of the projected vectors; 0 = as long as the raw ones."""


def parse_projection(text: str) -> WantedProjection:
    """("pca", 256) of "pca:256", ("none", 0) of "none". Raises InvalidParameter."""
    if text == "none":
        return WantedProjection("none", 0)
    match = _PROJECTION.fullmatch(text)
    # Milvus takes vectors of 2 to 32,768 numbers.
    if match is None or not 2 <= int(match[2]) <= 32_768:
        raise InvalidParameter("projection", f"{text[:40]!r}: must be none, pca:N or random:N, with N at least 2")
    return WantedProjection("pca" if match[1] == "pca" else "random", int(match[2]))


def check_collection_name(name: str) -> str:
    """The name itself. Raises InvalidParameter."""
    if not _COLLECTION.fullmatch(name):
        raise InvalidParameter(
            "collection", f"{name[:80]!r}: must begin with a letter; letters, digits and single _; at most 63"
        )
    return name
