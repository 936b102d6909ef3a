"""Ids as people type them: the first digits are enough where no other picture's id begins with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from image_search.errors import ImageNotFound, InvalidParameter
from image_search.names import is_sha256
from image_search.wiring import Services

SHORT_DIGITS = 12
"""Shown in tables: among 10,000,000 pictures two share them with a chance of 1 in 6."""
MIN_DIGITS = 6
_TOO_SHORT = re.compile(rf"[0-9a-f]{{1,{MIN_DIGITS - 1}}}")
_BEGINNING = re.compile(rf"[0-9a-f]{{{MIN_DIGITS},63}}")

IdsAfter: TypeAlias = Callable[[str | None], Sequence[str]]
"""The first two ids after an id, or of all."""


def short_id(image_id: str) -> str:
    """As much of an id as every command takes for the whole."""
    return image_id[:SHORT_DIGITS]


def stored_ids(services: Services, collection: str, given: Sequence[str]) -> list[str]:
    """The ids of pictures of the collection that are meant.

    Raises ImageNotFound, which says so where the picture is in the trash, and InvalidParameter where several begin so.
    What is whole and of no picture, or no id at all, is left as it is.
    """
    whole = any_ids(services, collection, given)
    for image_id in only_in_trash(services, collection, whole):
        raise ImageNotFound(f"picture {short_id(image_id)} is in the trash: image-search restore {short_id(image_id)}")
    return whole


def only_in_trash(services: Services, collection: str, image_ids: Sequence[str]) -> list[str]:
    """Those of pictures that are not in the collection and can be restored."""
    ids = [one for one in dict.fromkeys(image_ids) if is_sha256(one)]
    there = services.library.known(collection, ids)
    return [one for one in ids if one not in there and one in _deleted(services, collection)(_before(one))]


def any_ids(services: Services, collection: str, given: Sequence[str]) -> list[str]:
    """The same for pictures of the collection or of its trash, without looking which of them it is."""
    return [_whole(one, [_stored(services, collection), _deleted(services, collection)]) for one in given]


def _stored(services: Services, collection: str) -> IdsAfter:
    return lambda after: [r.image_id for r in services.library.list_images(collection, after=after, limit=2).records]


def _deleted(services: Services, collection: str) -> IdsAfter:
    return lambda after: [
        entry.record.image_id for entry in services.library.list_deleted(collection, after=after, limit=2).entries
    ]


def _before(beginning: str) -> str | None:
    """The last id before all that begin so; None where there is none."""
    first = int(beginning.ljust(64, "0"), 16)
    return f"{first - 1:064x}" if first else None


def _whole(given: str, places: Sequence[IdsAfter]) -> str:
    if _BEGINNING.fullmatch(given) is None:
        if _TOO_SHORT.fullmatch(given):
            raise InvalidParameter("ID", f"{given!r}: give at least {MIN_DIGITS} digits of it")
        return given
    before = _before(given)
    found = {image_id for ids_after in places for image_id in ids_after(before) if image_id.startswith(given)}
    if not found:
        raise ImageNotFound(f"no picture whose id begins with {given!r}")
    if len(found) > 1:
        raise InvalidParameter("ID", f"several pictures' ids begin with {given!r}; give more digits of it")
    return found.pop()
