"""One row of a list of pictures on the web -> its address and its words. Pure.

Rows have the keys of `entry`, and an address: what the list has of the picture's page is told apart from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from image_search.errors import InvalidInput
from image_search.metadata.entry import NAME_KEYS, PAGE_KEYS, key_of, words_of
from image_search.metadata.words import Fitter, Words

URL_KEYS = ("image_url", "picture_url", "photo_url", "img_url", "media_url", "url")
"""Keys of the picture's own address, the one that is believed first in front."""
_FALLBACKS = (*NAME_KEYS, PAGE_KEYS[0])
"""Where some lists have it instead."""
COLUMNS = (*URL_KEYS, *_FALLBACKS)
"""A table without one of these is no list of pictures."""


@dataclass(frozen=True, slots=True)
class ListedPicture:
    """A picture that lies on the web, as a list tells of it."""

    url: str
    name: str
    """What the list calls its file; "" = nothing."""
    words: Words
    """Their `source_url` is the picture's page, where the list knows one, else the address itself."""


@dataclass(frozen=True, slots=True)
class BrokenRow:
    """A row that cannot be used; the others can."""

    where: str
    reason: str


def listed(data: object, where: str, *, split: bool = False) -> ListedPicture | BrokenRow:
    """What a row says. `split`: as for `named_words`."""
    try:
        return _listed(data, where, split)
    except InvalidInput as error:
        return BrokenRow(where, str(error).removeprefix(f"{where}: "))


def _listed(data: object, where: str, split: bool) -> ListedPicture:
    if not isinstance(data, Mapping):
        raise InvalidInput(f"{where}: must be an object with the address of a picture ({', '.join(URL_KEYS)})")
    values: dict[str, object] = {}
    for name, value in data.items():
        values.setdefault(key_of(str(name)), value)
    key = next((key for key in URL_KEYS if _is_text(values.get(key))), None)
    key = key or next((key for key in _FALLBACKS if _is_address(values.get(key))), None)
    if key is None:
        raise InvalidInput(f"{where}: has no address of a picture ({', '.join(URL_KEYS)})")
    url = str(values[key]).strip()
    if not url.isprintable():
        raise InvalidInput(f"{where}: {key} has characters that no address has")
    # The addresses of the picture are no fields of its owner's; the page stays, as its source.
    others = {n: v for n, v in data.items() if key_of(str(n)) not in {key, *URL_KEYS}}
    words = words_of(others, where, split=split)
    name = next((str(values[k]) for k in NAME_KEYS if k != key and _is_text(values.get(k))), "")
    return ListedPicture(url, name, words if words.source_url else replace(words, source_url=Fitter().url(url)))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_address(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(("http://", "https://"))
