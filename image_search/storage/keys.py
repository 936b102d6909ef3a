"""Object keys: image_id -> key, and the check that nothing else passes for one. Pure."""

from __future__ import annotations

import hashlib
import re
from datetime import date

from image_search.errors import ImageNotFound, InvalidParameter
from image_search.names import check_collection_name, is_sha256

_KEY = re.compile(
    r"(?:originals|thumbnails|projections|vectors/[a-z0-9-]{1,80}|trash/[A-Za-z](?:[A-Za-z0-9]|_(?!_)){0,62}"
    r"|queries/[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"/[0-9a-f]{2}/[0-9a-f]{64}"
)

ORIGINALS = "originals/"
THUMBNAILS = "thumbnails/"
VECTORS = "vectors/"
TRASH = "trash/"
QUERIES = "queries/"
PROJECTIONS = "projections/"


def check_image_id(image_id: str) -> str:
    """The id itself. Raises ImageNotFound where it is not 64 lowercase hex digits."""
    if not is_sha256(image_id):
        raise ImageNotFound("no such picture: an id is 64 lowercase hex digits")
    return image_id


def is_key(key: str) -> bool:
    """Whether this module could have made it."""
    return _KEY.fullmatch(key) is not None


def check_key(key: str) -> str:
    """The key itself. Raises InvalidParameter for anything that this module did not make."""
    if not is_key(key):
        raise InvalidParameter("key", f"{key[:100]!r} is not an object key")
    return key


def original_key(image_id: str) -> str:
    """Key of the picture's own bytes."""
    return f"{ORIGINALS}{_fan_out(image_id)}"


def thumbnail_key(image_id: str) -> str:
    """Key of its thumbnail (JPEG)."""
    return f"{THUMBNAILS}{_fan_out(image_id)}"


def vector_key(image_id: str, model_id: str) -> str:
    """Key of the raw vector (float16) that one model made of it."""
    return f"{VECTORS}{model_slug(model_id)}/{_fan_out(image_id)}"


def trash_key(collection: str, image_id: str) -> str:
    """Key of what is kept of the row of a picture that was deleted from a collection."""
    return f"{TRASH}{check_collection_name(collection)}/{_fan_out(image_id)}"


def query_key(day: date, image_id: str) -> str:
    """Key of a picture that was searched with on that day; it is no picture of the library."""
    return f"{QUERIES}{day:%Y-%m-%d}/{_fan_out(image_id)}"


def projection_key(projection_id: str) -> str:
    """Key of a projection's artefact, named by the SHA-256 of its id."""
    return f"{PROJECTIONS}{_fan_out(hashlib.sha256(projection_id.encode()).hexdigest())}"


def in_trash(key: str) -> tuple[str, str]:
    """(collection, image_id) of a key that `trash_key` made."""
    _, collection, _, image_id = check_key(key).split("/")
    return collection, image_id


def model_slug(model_id: str) -> str:
    """The model_id in letters that a key and a file name may have."""
    return re.sub(r"[^a-z0-9]+", "-", model_id.lower()).strip("-")[-80:]


def _fan_out(image_id: str) -> str:
    check_image_id(image_id)
    return f"{image_id[:2]}/{image_id}"
