"""The filter grammar: parsed and checked, and what it means, which `matches` defines. Pure.

A filter is a JSON object whose members all have to hold; `{}` holds for every record.

    member                               operators (a bare value means eq)
    and, or: [filter, ...]; not: filter
    tags                                 any, all, none: [text, ...]
    title, text, source_name, source_url eq, ne, in, contains, starts_with
    id                                   eq, ne, in
    width, height                        eq, ne, gt, gte, lt, lte: numbers
    created_at                           the same: texts of RFC 3339, compared as seconds; a day alone is
                                         its midnight in UTC
    low_detail                           eq, ne: true or false
    fields.NAME                          eq, ne, in, gt, gte, lt, lte: texts or numbers; eq, ne, in: also
                                         true and false; exists: true or false

Several operators of one member all have to hold: `{"width": {"gte": 800, "lt": 1600}}`. `contains` and
`starts_with` look at the text as it is stored, upper and lower case apart.

Values of different kinds are never equal and never in order: a text is no number, true is no number; 1 and
1.0 are one number. A field that a record has not, or has as null, is equal to nothing and in no order with
anything. `ne` is the opposite of `eq`, so it holds for such a field; `not` is the opposite of its filter.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from image_search.errors import InvalidParameter
from image_search.names import is_sha256
from image_search.types import ImageRecord, JsonScalar

MAX_DEPTH = 8
"""Filters inside filters, the outermost counted."""
MAX_CONDITIONS = 64
MAX_LIST = 100
MAX_IDS = 1000
MAX_VALUE_BYTES = 8192
"""Of UTF-8, for one text; the longest texts of one line that a record has are not longer."""
MAX_NAME_BYTES = 256
MAX_TOTAL_BYTES = 131_072

Operator: TypeAlias = Literal[
    "eq", "ne", "in", "gt", "gte", "lt", "lte", "contains", "starts_with", "exists", "any", "all", "none"
]
Kind: TypeAlias = Literal["tags", "text", "id", "number", "time", "flag", "field"]

KINDS: Final[Mapping[str, Kind]] = {
    "tags": "tags",
    "title": "text",
    "text": "text",
    "source_name": "text",
    "source_url": "text",
    "id": "id",
    "width": "number",
    "height": "number",
    "created_at": "time",
    "low_detail": "flag",
    "fields": "field",
}
_OPERATORS: Final[Mapping[Kind, tuple[Operator, ...]]] = {
    "tags": ("any", "all", "none"),
    "text": ("eq", "ne", "in", "contains", "starts_with"),
    "id": ("eq", "ne", "in"),
    "number": ("eq", "ne", "gt", "gte", "lt", "lte"),
    "time": ("eq", "ne", "gt", "gte", "lt", "lte"),
    "flag": ("eq", "ne"),
    "field": ("eq", "ne", "in", "gt", "gte", "lt", "lte", "exists"),
}
_LISTS = frozenset({"in", "any", "all", "none"})
_ORDERS = frozenset({"gt", "gte", "lt", "lte"})
_FIELD_PREFIX = "fields."
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt](?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing asked of one member."""

    member: str
    """A key of KINDS."""
    op: Operator
    values: tuple[JsonScalar, ...]
    """One for each operator but `in`, `any`, `all` and `none`; a time is a number of seconds here."""
    name: str = ""
    """NAME of a `fields` member."""


@dataclass(frozen=True, slots=True)
class And:
    """Each part holds; without parts it holds for every record."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One part holds at least."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


Filter: TypeAlias = Condition | And | Or | Not


def parse_filter(value: object) -> Filter:
    """The filter that a JSON value (parsed: dict, list, str, ...) means.

    Raises InvalidParameter for the field "filter", its reason naming the place, as `filter.or[1].width`.
    """
    return _Parser().filter(value, "filter", 1)


def parse_filter_json(text: str) -> Filter:
    """The filter of a JSON text, where a member that is given twice is refused too. Raises InvalidParameter."""
    if len(text) > 4 * MAX_TOTAL_BYTES:
        raise _refusal("filter", f"{len(text)} characters; at most {4 * MAX_TOTAL_BYTES} are taken")
    try:
        value = json.loads(text, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        raise InvalidParameter("filter", "not a JSON text", malformed=True) from error
    return parse_filter(value)


def matches(wanted: Filter, record: ImageRecord) -> bool:
    """Whether the filter holds for the record: the definition that every store is held to."""
    match wanted:
        case And(parts):
            return all(matches(part, record) for part in parts)
        case Or(parts):
            return any(matches(part, record) for part in parts)
        case Not(part):
            return not matches(part, record)
        case Condition():
            return _holds(wanted, record)


def members(wanted: Filter) -> frozenset[str]:
    """The members (keys of KINDS) that a filter looks at."""
    match wanted:
        case And(parts) | Or(parts):
            return frozenset[str]().union(*(members(part) for part in parts))
        case Not(part):
            return members(part)
        case Condition(member):
            return frozenset({member})


def kind_of(value: JsonScalar) -> Literal["text", "number", "flag", "none"]:
    """Which kind a value is of; values of two kinds are never compared."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "flag"
    return "text" if isinstance(value, str) else "number"


_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": lambda a, b: bool(a == b),
    "gt": lambda a, b: bool(a > b),
    "gte": lambda a, b: bool(a >= b),
    "lt": lambda a, b: bool(a < b),
    "lte": lambda a, b: bool(a <= b),
    "contains": lambda a, b: b in a,
    "starts_with": lambda a, b: bool(a.startswith(b)),
}


def _holds(wanted: Condition, record: ImageRecord) -> bool:
    if wanted.member == "tags":
        common = set(wanted.values) & set(record.tags)
        if wanted.op == "all":
            return len(common) == len(set(wanted.values))
        return bool(common) == (wanted.op == "any")
    stored = _stored(wanted, record)
    if wanted.op == "exists":
        return (stored is not None) == wanted.values[0]
    if wanted.op == "in":
        return any(_compare("eq", stored, value) for value in wanted.values)
    if wanted.op == "ne":
        return not _compare("eq", stored, wanted.values[0])
    return _compare(wanted.op, stored, wanted.values[0])


def _compare(op: str, stored: JsonScalar, value: JsonScalar) -> bool:
    kind = kind_of(stored)
    return kind != "none" and kind == kind_of(value) and _COMPARE[op](stored, value)


def _stored(wanted: Condition, record: ImageRecord) -> JsonScalar:
    match wanted.member:
        case "fields":
            return record.fields.get(wanted.name)
        case "id":
            return record.image_id
        case "width":
            return record.size_px[0]
        case "height":
            return record.size_px[1]
        case "created_at":
            return record.created_at_s
        case "low_detail":
            return record.low_detail
        case _:
            return str(getattr(record, wanted.member))


class _Parser:
    """One filter's limits."""

    def __init__(self) -> None:
        self._conditions = 0
        self._bytes = 0

    def filter(self, value: object, path: str, depth: int) -> Filter:
        if not isinstance(value, Mapping):
            raise _refusal(path, f'{_say(value)}; an object such as {{"width": {{"gte": 800}}}} is expected')
        if depth > MAX_DEPTH:
            raise _refusal(path, f"filters inside filters; at most {MAX_DEPTH} are taken")
        parts: list[Filter] = []
        for key, given in value.items():
            if not isinstance(key, str):
                raise _refusal(path, f"the key {_say(key)}; keys are texts")
            place = f"{path}.{_short(key)}"
            if key in ("and", "or"):
                parts.append((And if key == "and" else Or)(self._filters(given, place, depth)))
            elif key == "not":
                parts.append(Not(self.filter(given, place, depth + 1)))
            else:
                parts += self._member(key, given, place)
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _filters(self, value: object, path: str, depth: int) -> tuple[Filter, ...]:
        items = _items(value, path, MAX_CONDITIONS)
        return tuple(self.filter(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(items))

    def _member(self, key: str, given: object, path: str) -> Iterable[Filter]:
        member, name = key, ""
        if key.startswith(_FIELD_PREFIX):
            member, name = "fields", key[len(_FIELD_PREFIX) :]
            self._weigh(name, path, MAX_NAME_BYTES)
        kind = KINDS.get(member)
        if kind is None or key == "fields":
            known = ", ".join([*(known for known in KINDS if known != "fields"), "fields.NAME", "and", "or", "not"])
            raise _refusal(path, f"unknown; one of {known} is expected")
        operators = _OPERATORS[kind]
        if not isinstance(given, Mapping):
            if "eq" not in operators:
                raise _refusal(path, f"{_say(given)}; an object with one of {', '.join(operators)} is expected")
            given = {"eq": given}
        if not given:
            raise _refusal(path, f"an empty object; at least one of {', '.join(operators)} is expected")
        for op, value in given.items():
            if op not in operators:
                place = f"{path}.{_short(op)}" if isinstance(op, str) else path
                raise _refusal(place, f"unknown; one of {', '.join(operators)} is expected")
            yield self._condition(member, name, op, value, f"{path}.{op}")

    def _condition(self, member: str, name: str, op: Operator, value: object, path: str) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise _refusal(path, f"more than {MAX_CONDITIONS} conditions in one filter")
        kind = KINDS[member]
        if op not in _LISTS:
            return Condition(member, op, (self._value(kind, op, value, path),), name)
        items = _items(value, path, MAX_IDS if kind == "id" else MAX_LIST)
        values = [self._value(kind, op, item, f"{path}[{i}]") for i, item in enumerate(items)]
        return Condition(member, op, tuple(values), name)

    def _value(self, kind: Kind, op: Operator, value: object, path: str) -> JsonScalar:
        if op == "exists" or kind == "flag":
            if not isinstance(value, bool):
                raise _refusal(path, f"{_say(value)}; true or false is expected")
            return value
        if kind == "number":
            return _number(value, path, "a number is expected")
        if kind == "time":
            return _seconds(value, path)
        if kind == "id":
            if not isinstance(value, str) or not is_sha256(value):
                raise _refusal(path, f"{_say(value)}; 64 lowercase hex digits are expected")
            self._bytes += len(value)
            return value
        if kind == "field" and not isinstance(value, str):
            if isinstance(value, bool) and op not in _ORDERS:
                return value
            wanted = (
                "a text or a number is expected" if op in _ORDERS else "a text, a number, true or false is expected"
            )
            return _number(value, path, wanted)
        if not isinstance(value, str):
            raise _refusal(path, f"{_say(value)}; a text is expected")
        self._weigh(value, path, MAX_VALUE_BYTES)
        return value

    def _weigh(self, text: str, path: str, limit: int) -> None:
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise _refusal(path, "a text that is not valid Unicode (half of a surrogate pair)") from error
        if size > limit:
            raise _refusal(path, f"{size} bytes of UTF-8; at most {limit} are taken")
        self._bytes += size
        if self._bytes > MAX_TOTAL_BYTES:
            raise _refusal(path, f"more than {MAX_TOTAL_BYTES} bytes of texts in one filter")


def _items(value: object, path: str, limit: int) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise _refusal(path, f"{_say(value)}; a list is expected")
    if not value:
        raise _refusal(path, "an empty list; at least one item is expected")
    if len(value) > limit:
        raise _refusal(path, f"a list of {len(value)}; at most {limit} items are taken")
    return value


def _number(value: object, path: str, wanted: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refusal(path, f"{_say(value)}; {wanted}")
    if isinstance(value, float) and not math.isfinite(value):
        raise _refusal(path, "not a finite number")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _refusal(path, "a number of more than 64 bits")
    return value


def _seconds(value: object, path: str) -> int | float:
    """Unix time of an RFC 3339 text, or of a day; records have whole seconds, so any fraction stands for a half."""
    if isinstance(value, str) and _DAY.fullmatch(value):
        value = f"{value}T00:00:00Z"
    parsed = _TIME.fullmatch(value) if isinstance(value, str) else None
    if parsed is None:
        raise _refusal(path, f'{_say(value)}; a time such as "2026-01-31T12:00:00Z", or a day, is expected')
    whole = parsed[0].upper().replace(parsed[1] or "", "").replace("Z", "+00:00")
    try:
        moment = int(datetime.fromisoformat(whole).timestamp())
    except (ValueError, OverflowError) as error:
        raise _refusal(path, f"{_say(value)}; there is no such time") from error
    return moment + 0.5 if float(parsed[1] or 0) else moment


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _refusal("filter", f"the member {_short(twice)!r} is there twice in one object")
    return made


def _refusal(path: str, reason: str) -> InvalidParameter:
    return InvalidParameter("filter", f"{path}: {reason}")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _say(value: object) -> str:
    """A value as a message shows it: never long, whatever was sent."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return ascii(_short(value))
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 2**64 else "a number of more than 64 bits"
    return {"dict": "an object", "list": "a list"}.get(type(value).__name__, f"a {type(value).__name__}")
