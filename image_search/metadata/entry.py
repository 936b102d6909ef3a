"""One entry of a metadata file or sidecar, as a mapping -> the file it is about and its words. Pure.

Every format of file ends here, so that all of them understand the same keys and refuse the same values.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from image_search.errors import InvalidInput
from image_search.metadata.markup import readable
from image_search.metadata.words import MAX_FIELDS_BYTES, Fitter, Words
from image_search.types import JsonScalar

NAME_KEYS = ("filename", "file", "path", "file_name", "image")
_NAMELESS = f'must be an object with a text "filename" (or {", ".join(NAME_KEYS[1:])}), which names its picture'
_TITLE_KEYS = ("title",)
_TEXT_KEYS = ("text", "description", "caption")
_TAG_KEYS = ("tags", "keywords")
# The page before the picture; flickr_url is what an older engine calls it.
PAGE_KEYS = ("source_url", "page_url", "flickr_url")
_URL_KEYS = (*PAGE_KEYS, "image_url")
_OTHERS = ("created_at", "fields")
KNOWN_KEYS = frozenset((*NAME_KEYS, *_TITLE_KEYS, *_TEXT_KEYS, *_TAG_KEYS, *_URL_KEYS, *_OTHERS))
_SEPARATORS = (";", "|", ",")
_TIME = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[Tt ](?P<time>\d\d:\d\d:\d\d)(?:\.\d{1,9})?\s?(?P<zone>[Zz]|[+-]\d\d:\d\d)?)?"
)
_UNIX_TIME = re.compile(r"-?\d{1,11}(\.\d{1,9})?")
FIRST_S = int(datetime(1, 1, 2, tzinfo=UTC).timestamp())
LAST_S = int(datetime(9999, 12, 30, tzinfo=UTC).timestamp())
"""Unix times that a calendar can show in every zone."""


def key_of(name: str) -> str:
    """What a key or a column's header is compared as: "File Name" is "file_name"."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def named_words(data: object, where: str, *, split: bool = False) -> tuple[str, Words]:
    """(file name, words) of an entry. `split`: one text may hold all its tags, another all its fields (a table's
    cells). Raises InvalidInput that begins with `where`.
    """
    known, others = _sorted_out(data, where)
    name = next((known[key] for key in NAME_KEYS if known.get(key) not in (None, "")), None)
    if not isinstance(name, str):
        raise InvalidInput(f"{where}: {_NAMELESS}")
    return name, _words(known, others, where, split)


def words_of(data: object, where: str, *, split: bool = False) -> Words:
    """Words of an entry that needs no name: the sidecar of a picture."""
    known, others = _sorted_out(data, where)
    return _words(known, others, where, split)


def _sorted_out(data: object, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of the keys that are understood, and the others."""
    if not isinstance(data, Mapping):
        raise InvalidInput(f"{where}: {_NAMELESS}")
    known: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, value in data.items():
        if (key := key_of(str(name))) in KNOWN_KEYS and key not in known:
            known[key] = value
        else:
            others[str(name).strip()] = value
    # Of two texts, or two names, the second is not lost: it is one more of the owner's fields.
    for keys in (NAME_KEYS, _TEXT_KEYS):
        given = [key for key in keys if known.get(key)]
        others |= {key: known[key] for key in given[1:]}
    return known, others


def _words(known: Mapping[str, Any], others: Mapping[str, Any], where: str, split: bool) -> Words:
    fit = Fitter()
    own = known.get("fields") or {}
    if split and isinstance(own, str):
        own = _json_of(own, where, "fields")
    if not isinstance(own, Mapping):
        raise InvalidInput(f"{where}: fields must be an object")
    fields = {**_plain(others), **_plain(own)}
    _check_fields(fields, where)
    return Words(
        title=fit.title(readable(_text(known, _TITLE_KEYS, where))),
        tags=fit.tags(readable(tag) for tag in _tags(known, where, split)),
        text=fit.text(readable(_text(known, _TEXT_KEYS, where))),
        source_url=fit.url(_text(known, _URL_KEYS, where)),
        fields=fields,
        created_at_s=_time(known.get("created_at"), where),
        cut=fit.cut,
    )


def _text(known: Mapping[str, Any], keys: tuple[str, ...], where: str) -> str:
    found = ""
    for key in keys:
        value = known.get(key) or ""
        if not isinstance(value, str):
            raise InvalidInput(f"{where}: {key} must be a text")
        found = found or value
    _check_unicode(found, where, keys[0])
    return found


def _tags(known: Mapping[str, Any], where: str, split: bool) -> list[str]:
    found: list[str] = []
    for key in _TAG_KEYS:
        tags = known.get(key) or []
        if split and isinstance(tags, str):
            tags = _split(tags, where, key)
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise InvalidInput(f"{where}: {key} must be a list of texts")
        found += tags
    for tag in found:
        _check_unicode(tag, where, "tags")
    return found


def _split(value: str, where: str, key: str) -> list[str]:
    if value.lstrip().startswith("["):
        tags: list[str] = _json_of(value, where, key)
        return tags
    separator = next((s for s in _SEPARATORS if s in value), ",")
    return [tag.strip() for tag in value.split(separator)]


def _json_of(value: str, where: str, key: str) -> Any:
    try:
        return json.loads(value, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where}: {key} is not valid JSON") from error


def no_number(name: str) -> None:
    """For json.loads: NaN and Infinity are an error."""
    raise ValueError(f"{name} is no number of JSON")


def _plain(values: Mapping[Any, Any]) -> dict[str, JsonScalar]:
    """The values that are one text, number, truth or nothing; times as text."""
    return {
        str(key): value.isoformat() if isinstance(value, date) else value
        for key, value in values.items()
        if value is None or isinstance(value, str | int | float | bool | date)
    }


def _check_fields(fields: dict[str, JsonScalar], where: str) -> None:
    for key, value in fields.items():
        _check_unicode(key, where, "a field's name")
        if isinstance(value, str):
            _check_unicode(value, where, "a field")
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise InvalidInput(f"{where}: {key[:80]} is a number beyond 64 bits")
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput(f"{where}: {key[:80]} is a number beyond 64 bits, or none at all")
    if len(json.dumps(fields, ensure_ascii=False).encode()) > MAX_FIELDS_BYTES:
        raise InvalidInput(f"{where}: its fields have more than {MAX_FIELDS_BYTES:,} bytes")


def _check_unicode(value: str, where: str, key: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{where}: {key} is not valid Unicode (half of a surrogate pair)") from error


def _time(value: object, where: str) -> int | None:
    """Unix time of RFC 3339, of a day, of a number or of a datetime; without a zone it is UTC."""
    if value is None or value == "":
        return None
    try:
        seconds = _seconds(value)
    except (ValueError, OverflowError):
        seconds = None
    if seconds is None or not FIRST_S <= seconds <= LAST_S:
        # Only a text is shown: another value may be as deep or as long as it likes.
        shown = f" {value[:40]!r}" if isinstance(value, str) else ""
        raise InvalidInput(
            f"{where}: created_at{shown} is neither a time as in 2026-01-31T12:00:00Z nor a Unix time in s"
        )
    return seconds


def _seconds(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return math.floor(value)
    if isinstance(value, datetime):
        return math.floor((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, date):
        return _seconds(datetime(value.year, value.month, value.day, tzinfo=UTC))
    if not isinstance(value, str):
        return None
    if _UNIX_TIME.fullmatch(value.strip()):
        return math.floor(float(value))
    if (found := _TIME.fullmatch(value.strip())) is None:
        return None
    zone = (found["zone"] or "Z").upper().replace("Z", "+00:00")
    return _seconds(datetime.fromisoformat(f"{found['day']}T{found['time'] or '00:00:00'}{zone}"))
