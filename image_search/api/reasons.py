"""What pydantic found wrong, in words for the person who sent it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

MAX_SHOWN = 60

_REASONS: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
    "missing": lambda _context, _value: "is missing",
    "int_type": lambda _context, value: f"must be a whole number, not {value}",
    "float_type": lambda _context, value: f"must be a number, not {value}",
    "finite_number": lambda _context, _value: "must be a finite number",
    "bool_type": lambda _context, value: f"must be true or false, not {value}",
    "string_type": lambda _context, value: f"must be a text, not {value}",
    "string_unicode": lambda _context, _value: "must be valid Unicode",
    "list_type": lambda _context, value: f"must be a list, not {value}",
    "dict_type": lambda _context, value: f"must be an object, not {value}",
    "model_type": lambda _context, value: f"must be an object, not {value}",
    "literal_error": lambda context, value: f"must be one of {_plain(context['expected'])}, not {value}",
    "greater_than": lambda context, value: f"must be more than {context['gt']}, not {value}",
    "greater_than_equal": lambda context, value: f"must be at least {context['ge']}, not {value}",
    "less_than": lambda context, value: f"must be less than {context['lt']}, not {value}",
    "less_than_equal": lambda context, value: f"must be at most {context['le']}, not {value}",
    "too_long": lambda context, _value: f"has more than the {context['max_length']} items that are accepted",
    "too_short": lambda context, _value: f"must have at least {context['min_length']} items",
    "value_error": lambda context, _value: str(context["error"]),
}


def reasons(error: ValidationError, known: list[str]) -> list[tuple[str, str]]:
    """(field, reason) of everything that is wrong; `known` are the fields that there are.

    A field of a field is named `crop.left`; which item of a list is meant stands in the reason.
    """
    found = [_one(detail, known) for detail in error.errors(include_url=False)]
    return list(dict.fromkeys(sorted(found, key=lambda one: one[0])))


def shown(value: object) -> str:
    """A value as a message shows it: never long, whatever was sent."""
    if isinstance(value, str) and len(value) > MAX_SHOWN:
        return f"a text of {len(value):,} characters"
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def _one(detail: ErrorDetails, known: list[str]) -> tuple[str, str]:
    place = list(detail["loc"])
    names = []
    while place and isinstance(place[0], str):
        names.append(place.pop(0))
    if detail["type"] == "extra_forbidden":
        reason = f"unknown; known are {', '.join(known)}" if len(names) == 1 else "unknown"
    else:
        value = shown(detail["input"])
        words = _REASONS.get(detail["type"])
        reason = words(detail.get("ctx", {}), value) if words else f"is not accepted: {value}"
    if place:
        reason = f"item {int(place[0]) + 1} {reason}"
    return ".".join(str(name) for name in names) or "the body", reason


def _plain(expected: object) -> str:
    return str(expected).replace("'", "").replace(" or ", ", ")
