"""Filters as expressions of Milvus (pure: knows no client).

An expression holds at least for every record that the filter holds for. Where it may hold for more it is not
`exact`, and who uses it asks `filters.matches` of what comes back. So a value that cannot be written safely,
or a thing that the database cannot express, is left out: nothing that a caller sends is ever an expression.

What Milvus Lite 2.5.1 cannot (found by trying; servers get the same expressions, but for `ne` of a field):
* `not` of anything: it is driven down to the conditions, and a condition without an opposite is left out.
* A text with a line break has no literal; an escape in a pattern of `like` can end the engine's process, and so
  does `like` on an item of an array; `_` cannot be escaped; a pattern of wildcards alone matches nothing.
* More than some 100 levels of operators: parts are joined as a balanced tree.
* Whole numbers past 2^53 beside fractions: compared only roughly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from image_search.filters import KINDS, And, Condition, Filter, Not, Operator, Or, kind_of
from image_search.types import JsonScalar

_COLUMNS = {
    "tags": "tags", "title": "title", "text": "text", "source_name": "sources[0]", "source_url": "source_url",
    "id": "image_id", "width": "width", "height": "height", "created_at": "created_at_s",
    "low_detail": "low_detail",
}  # fmt: skip
_OPPOSITE: dict[Operator, Operator] = {
    "eq": "ne", "ne": "eq", "gt": "lte", "gte": "lt", "lt": "gte", "lte": "gt", "any": "none", "none": "any",
}  # fmt: skip
_SIGNS = {"eq": "==", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_EXACT_INTEGERS = 2**53


@dataclass(frozen=True, slots=True)
class Expression:
    """A Milvus expression, and whether it holds for no more records than its filter does."""

    text: str
    """"" = every record."""
    exact: bool

    def __post_init__(self) -> None:
        # A line break would end the expression early; no literal is made of one.
        assert "\n" not in self.text
        assert "\r" not in self.text


EVERYTHING = Expression("", exact=True)
NOTHING = Expression('image_id == ""', exact=True)
_UNSAID = Expression("", exact=False)


@dataclass(frozen=True, slots=True)
class _Dialect:
    lite: bool
    like: bool


def compile_filter(wanted: Filter | None, *, lite: bool, like: bool = True) -> Expression:
    """The expression of a filter, for an embedded library (`lite`) or for a server.

    `like`: whether it knows wildcards anywhere in a pattern; before Milvus 2.4 there is one at the end only.
    """
    return EVERYTHING if wanted is None else _compile(wanted, negated=False, dialect=_Dialect(lite, like))


def both(first: str, second: str) -> str:
    """The expression that holds where both do; "" holds everywhere."""
    return f"({first}) and ({second})" if first and second else first or second


def _compile(wanted: Filter, *, negated: bool, dialect: _Dialect) -> Expression:
    match wanted:
        case Not(part):
            return _compile(part, negated=not negated, dialect=dialect)
        case And(parts) | Or(parts):
            inner = [_compile(part, negated=negated, dialect=dialect) for part in parts]
            return _all(inner) if isinstance(wanted, And) != negated else _any(inner)
        case Condition():
            return _condition(wanted, negated, dialect)


def _all(parts: Iterable[Expression]) -> Expression:
    said = list(parts)
    if NOTHING in said:
        return NOTHING
    exact = all(part.exact for part in said)
    return Expression(_joined([part.text for part in said if part.text], "and"), exact)


def _any(parts: Iterable[Expression]) -> Expression:
    said = [part for part in parts if part != NOTHING]
    if not said:
        return NOTHING
    if any(not part.text for part in said):
        return EVERYTHING if EVERYTHING in said else _UNSAID
    return Expression(_joined([part.text for part in said], "or"), all(part.exact for part in said))


def _joined(texts: Sequence[str], word: str) -> str:
    if len(texts) < 2:
        return texts[0] if texts else ""
    middle = len(texts) // 2
    return f"({_joined(texts[:middle], word)}) {word} ({_joined(texts[middle:], word)})"


def _condition(wanted: Condition, negated: bool, dialect: _Dialect) -> Expression:
    kind = KINDS[wanted.member]
    if kind == "field":
        return _field(wanted, negated, dialect)
    op = wanted.op
    if negated:
        if op == "in":
            return (
                _all(_condition(Condition(wanted.member, "ne", (value,)), False, dialect) for value in wanted.values)
                if kind == "text"
                else _ids(wanted, "not in")
            )
        if op not in _OPPOSITE:
            return _UNSAID
        op = _OPPOSITE[op]
    column = _COLUMNS[wanted.member]
    if kind == "tags":
        return _tags(op, wanted.values)
    if kind in ("number", "time"):
        return _whole_number(column, op, wanted.values[0])
    if kind == "flag":
        return Expression(f"{column} == {_literal(wanted.values[0] == (op == 'eq'))}", exact=True)
    if kind == "id":
        return _ids(wanted, "not in" if op == "ne" else "in")
    return _any(_text(wanted.member, op, str(value), dialect) for value in wanted.values)


def _ids(wanted: Condition, word: str) -> Expression:
    listed = ", ".join(sorted({_quoted(str(value)) for value in wanted.values}))
    return Expression(f"image_id {word} [{listed}]", exact=True)


def _tags(op: Operator, values: Sequence[JsonScalar]) -> Expression:
    if op == "none":
        return _UNSAID
    texts = sorted({str(value) for value in values})
    plain = [text for text in texts if _is_plain(text)]
    if not plain or (op == "any" and len(plain) < len(texts)):
        return _UNSAID
    listed = ", ".join(_quoted(text) for text in plain)
    return Expression(f"array_contains_{op}(tags, [{listed}])", exact=len(plain) == len(texts))


def _whole_number(column: str, op: Operator, value: JsonScalar) -> Expression:
    """A comparison of a column of whole numbers with a number that may have a fraction."""
    assert isinstance(value, int | float)
    bound = math.floor(value)
    if bound != value:
        if op in ("eq", "ne"):
            return NOTHING if op == "eq" else EVERYTHING
        op = "gt" if op in ("gt", "gte") else "lte"
    if not -(2**63) < bound < 2**63:
        # -2^63 cannot be written: the grammar reads a minus sign and a number too large.
        return _UNSAID
    return Expression(f"{column} {_SIGNS[op]} {bound}", exact=True)


def _text(member: str, op: Operator, value: str, dialect: _Dialect) -> Expression:
    column = _COLUMNS[member]
    if op in ("eq", "in"):
        return _or_empty(member, op, value, _equal(column, value, dialect))
    if op == "ne":
        if not _is_plain(value):
            return _UNSAID
        return _or_empty(member, op, value, Expression(f"{column} != {_quoted(value)}", exact=True))
    if op == "starts_with":
        return _or_empty(member, op, value, _from_on(column, value))
    if not value:
        return EVERYTHING
    return _UNSAID if member == "source_name" else _like(column, value, dialect, around="%")


def _or_empty(member: str, op: Operator, value: str, said: Expression) -> Expression:
    """The same for the first of `sources`, of which there may be none: its name is the empty text then."""
    if member != "source_name" or not said.text:
        return said
    if (value == "") == (op != "ne"):
        return _any([Expression("array_length(sources) == 0", exact=True), said])
    return _all([Expression("array_length(sources) != 0", exact=True), said])


def _equal(column: str, value: str, dialect: _Dialect) -> Expression:
    if _is_plain(value):
        return Expression(f"{column} == {_quoted(value)}", exact=True)
    return _UNSAID if column == "sources[0]" else _like(column, value, dialect)


def _from_on(column: str, prefix: str) -> Expression:
    """Texts with a prefix, as those from it on and before the next: `like` has no exact way for each prefix."""
    if not prefix:
        return EVERYTHING
    plain = next((prefix[:i] for i, character in enumerate(prefix) if not _is_plain(character)), prefix)
    if not plain:
        return _UNSAID
    last = ord(plain[-1])
    floor = f"{column} >= {_quoted(plain)}"
    after = chr(last + 1) if last < 0x10FFFF and not 0xD800 <= last + 1 < 0xE000 else ""
    if not _is_plain(after or "\n"):
        return Expression(floor, exact=False)
    return Expression(f"({floor}) and ({column} < {_quoted(plain[:-1] + after)})", exact=plain == prefix)


def _like(column: str, value: str, dialect: _Dialect, around: str = "") -> Expression:
    """`like` with a wildcard for each character that may mean something else there."""
    pattern = "".join(map(_in_pattern, value))
    if not dialect.like or not pattern.strip("_%"):
        return _UNSAID
    return Expression(f'{column} like "{around}{pattern}{around}"', exact=pattern == value and "_" not in value)


def _in_pattern(character: str) -> str:
    if character.isascii():
        return character if character.isalnum() or character in " .-:,/" else "_"
    # Lite's `_` is one byte.
    return character if character.isprintable() else "%"


def _is_plain(text: str) -> bool:
    """Whether a literal can be made of it: no control characters."""
    return not any(character < " " or character == "\x7f" for character in text)


def _quoted(text: str) -> str:
    assert _is_plain(text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _literal(value: JsonScalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    return repr(value)


def _field(wanted: Condition, negated: bool, dialect: _Dialect) -> Expression:
    if not wanted.name or not _is_plain(wanted.name) or set(wanted.name) & set('[]"\\'):
        # What a server makes of such a name inside brackets is not sure.
        return _UNSAID
    path = f'fields["{wanted.name}"]'
    op = wanted.op
    if op == "exists":
        return _UNSAID if wanted.values[0] is negated else _any(_kinds(path))
    if op in ("eq", "in", "ne"):
        if (op == "ne") == negated:
            return _any(_field_equal(path, value, dialect) for value in wanted.values)
        # Whether a row without the field is unequal differs between versions of the server.
        return _all(map(partial(_field_unequal, path), wanted.values)) if dialect.lite else _UNSAID
    return _UNSAID if negated else _field_order(path, op, wanted.values[0])


def _kinds(path: str) -> list[Expression]:
    """That a field is a number, a text, true or false."""
    tests = (f"{path} >= 0", f"{path} < 0", f'{path} >= ""', f"{path} == true", f"{path} == false")
    return [Expression(test, exact=True) for test in tests]


def _field_equal(path: str, value: JsonScalar, dialect: _Dialect) -> Expression:
    if isinstance(value, str):
        return _equal(path, value, dialect)
    if kind_of(value) == "number" and not _is_moderate(value):
        return _far_off(path, value)
    return Expression(f"{path} == {_literal(value)}", exact=True)


def _field_unequal(path: str, value: JsonScalar) -> Expression:
    if (isinstance(value, str) and not _is_plain(value)) or (kind_of(value) == "number" and not _is_moderate(value)):
        return _UNSAID
    return Expression(f"{path} != {_literal(value)}", exact=True)


def _field_order(path: str, op: Operator, value: JsonScalar) -> Expression:
    if isinstance(value, str):
        if not _is_plain(value):
            return Expression(f'{path} >= ""', exact=False)
    elif not _is_moderate(value):
        assert isinstance(value, int | float)
        if (value > 0) == (op in ("gt", "gte")):
            return _far_off(path, value)
        return Expression(f"({path} >= 0) or ({path} < 0)", exact=False)
    return Expression(f"{path} {_SIGNS[op]} {_literal(value)}", exact=True)


def _is_moderate(value: JsonScalar) -> bool:
    """Whether every database compares the number with every other exactly."""
    assert isinstance(value, int | float)
    return abs(value) < _EXACT_INTEGERS


def _far_off(path: str, value: JsonScalar) -> Expression:
    """Numbers as far from zero as those that are compared only roughly."""
    assert isinstance(value, int | float)
    sign = f">= {_EXACT_INTEGERS // 2}" if value > 0 else f"<= -{_EXACT_INTEGERS // 2}"
    return Expression(f"{path} {sign}", exact=False)
