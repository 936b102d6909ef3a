"""Ids as people type them: the first digits are enough where no other picture's id begins with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from image_search.errors import ImageNotFound, InvalidParameter
from image_search.wiring import Services

SHORT_DIGITS = 12
"""Shown in tables: among 10,000,000 pictures two share them with a chance of 1 in 6."""
MIN_DIGITS = 6
_BEGINNING = re.compile(rf"[0-9a-f]{{{MIN_DIGITS},63}}")

IdsAfter: TypeAlias = Callable[[str | None], Sequence[str]]
"""The first two ids after an id, or of all."""


def stored_ids(services: Services, collection: str, given: Sequence[str]) -> list[str]:
    """The ids of pictures of the collection that are meant.

    Raises ImageNotFound, InvalidParameter where several begin so. What is whole, or no id at all, is left as it is.
    """
    return [_whole(one, [_stored(services, collection)]) for one in given]


def deleted_ids(services: Services, collection: str, given: Sequence[str]) -> list[str]:
    """The same for pictures in the trash."""
    return [_whole(one, [_deleted(services, collection)]) for one in given]


def any_ids(services: Services, collection: str, given: Sequence[str]) -> list[str]:
    """The same for pictures of the collection or of its trash."""
    return [_whole(one, [_stored(services, collection), _deleted(services, collection)]) for one in given]


def _stored(services: Services, collection: str) -> IdsAfter:
    return lambda after: [r.image_id for r in services.library.list_images(collection, after=after, limit=2).records]


def _deleted(services: Services, collection: str) -> IdsAfter:
    return lambda after: [
        entry.record.image_id for entry in services.library.list_deleted(collection, after=after, limit=2).entries
    ]


def _whole(given: str, places: Sequence[IdsAfter]) -> str:
    if _BEGINNING.fullmatch(given) is None:
        return given
    first = int(given.ljust(64, "0"), 16)
    before = f"{first - 1:064x}" if first else None
    found = {image_id for ids_after in places for image_id in ids_after(before) if image_id.startswith(given)}
    if not found:
        raise ImageNotFound(f"no picture whose id begins with {given!r}")
    if len(found) > 1:
        raise InvalidParameter("ID", f"several pictures' ids begin with {given!r}; give more digits of it")
    return found.pop()
