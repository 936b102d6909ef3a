"""Plain data from JSON -> frozen dataclasses, by their annotations. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from image_search.client.errors import UnexpectedAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every answer has."""

    raw: Mapping[str, Any] = field(repr=False, compare=False)
    """All that came, so also what is newer than this client."""


A = TypeVar("A", bound=Answer)


def read(cls: type[A], raw: object) -> A:
    """The answer that `raw` is; members that the class does not have are passed over.

    Raises UnexpectedAnswer where one is missing or of another type.
    """
    if not isinstance(raw, dict):
        raise UnexpectedAnswer(f"an answer has {type(raw).__name__} where {cls.__name__} is expected")
    values = {}
    # mypy takes a class for none that can be hashed.
    of: Any = cls
    for name, hint in _members(of).items():
        if name not in raw:
            raise UnexpectedAnswer(f"an answer lacks {name!r}, which {cls.__name__} has: is the service an older one?")
        values[name] = _value(hint, raw[name], name)
    return cls(raw=raw, **values)


def read_list(cls: type[A], raw: Mapping[str, Any], name: str) -> list[A]:
    """The answers in the list `name`. Raises UnexpectedAnswer."""
    found = raw.get(name)
    if not isinstance(found, list):
        raise UnexpectedAnswer(f"an answer lacks the list {name!r}: is the service an older one?")
    return [read(cls, one) for one in found]


@cache
def _members(cls: type[Answer]) -> Mapping[str, Any]:
    """name -> type, without `raw`."""
    hints = get_type_hints(cls)
    return {one.name: hints[one.name] for one in fields(cls) if one.name != "raw"}


def _value(hint: Any, value: Any, name: str) -> Any:
    kind = get_origin(hint) or hint
    if kind is UnionType:
        if value is None:
            kind = NoneType
        else:
            (hint,) = (one for one in get_args(hint) if one is not NoneType)
            return _value(hint, value, name)
    if kind is NoneType and value is None:
        return None
    if kind is tuple and isinstance(value, list):
        return tuple(_value(get_args(hint)[0], one, name) for one in value)
    if kind is Mapping and isinstance(value, dict):
        return value
    if is_dataclass(kind) and isinstance(value, dict):
        return read(kind, value)  # type: ignore[type-var,arg-type]
    if kind is datetime and isinstance(value, str):
        return _time(value, name)
    # bool is an int, and a number without a fraction is a float's too.
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind in (str, int, bool) and type(value) is kind:
        return value
    raise UnexpectedAnswer(f"an answer has {type(value).__name__} as {name!r}, which is none of {hint}")


def _time(value: str, name: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise UnexpectedAnswer(f"an answer has {value[:40]!r} as {name!r}, which is no time") from None
