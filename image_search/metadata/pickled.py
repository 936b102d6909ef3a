"""Words for pictures from the pickled dictionaries of an older engine, read without running what is in them. Pure.

That engine keeps `{number: {"filename": …, "title": …, "text": …, "tags": […], "flickr_url": …, "image_url": …}}`, in
as many files as it has servers. Lists of such entries and `{file name: entry}` are understood as well.

A pickle is a program. Here no unpickler runs it: the steps that build plain values (texts, numbers, lists,
dictionaries) are followed one by one, a handful of calls (dates, NumPy numbers, Python 2's bytes) are answered by
functions of our own, and every other call is refused by its name. Nothing is imported, and nothing is built that the
file has not the bytes for.
"""

from __future__ import annotations

import io
import pickletools
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from image_search.errors import InvalidInput
from image_search.metadata.entry import KNOWN_KEYS, key_of, named_words
from image_search.metadata.table import MetadataTable

_MARK = object()
_CALLS = ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "INST", "OBJ", "BUILD")
_CALLS_PER_BYTE = 4
_MAX_TEXT = 80


class _Refused(Exception):
    """Why the file is not read on, for a person."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A name that a pickle may call, and our own answer to it."""

    answer: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Dtype:
    """A NumPy number's type, as its code: "f8"."""

    code: str


def read_pickle(path: Path) -> MetadataTable:
    """The table of a pickled dictionary. Raises InvalidInput that names the file, and what it wanted to call."""
    return MetadataTable.of(named_words(row, where) for row, where in pickled_rows(path))


def pickled_rows(path: Path) -> Iterator[tuple[object, str]]:
    """(entry, where) of each entry of a pickled dictionary or list. Raises InvalidInput."""
    try:
        value = _plain_value(path)
    except _Refused as error:
        raise InvalidInput(f"metadata file {path.name!r}: {error}") from error
    except OSError as error:
        raise InvalidInput(f"metadata file {path.name!r} cannot be read: {error.strerror}") from error
    except Exception as error:
        # pickletools and the steps below meet damage with nearly every built-in exception.
        raise InvalidInput(f"metadata file {path.name!r} is no pickle, or a damaged one") from error
    yield from _rows(value, path.name)


def _rows(value: object, name: str) -> Iterator[tuple[object, str]]:
    if isinstance(value, dict) and {key_of(_text(key)) for key in list(value)[:100]} & KNOWN_KEYS:
        value = [value]
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        raise InvalidInput(f"metadata file {name!r}: is a {type(value).__name__}; a dictionary of entries is expected")
    for key, entry in value.items():
        where = f"{name}, entry {_text(key)[:_MAX_TEXT]}"
        # Not of numbers: an index of words, which that engine pickles too, is {word: {number: weight}}.
        if isinstance(entry, dict) and all(isinstance(k, str | bytes) for k in entry):
            entry = {_text(k): _decoded(v, where) for k, v in entry.items()}
            # {file name: entry}, where the entry has no name of its own.
            if isinstance(key, str | bytes) and not any(key_of(k) == "filename" for k in entry):
                entry["filename"] = _text(key)
        yield entry, where


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _decoded(value: object, where: str) -> object:
    """Python 2's texts are bytes; lists and dictionaries are looked into once: tags, and the owner's fields."""
    try:
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, list):
            return [item.decode() if isinstance(item, bytes) else item for item in value]
        if isinstance(value, dict):
            return {_text(k): v.decode() if isinstance(v, bytes) else v for k, v in value.items()}
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{where}: a text is not UTF-8") from error
    return value


def _plain_value(path: Path) -> object:
    """What the pickle's steps leave. They take references or push what is in the file; none of them multiplies."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    # In memory, as a file would make room for whatever length a step claims.
    data = path.read_bytes()
    # Calls make new values, perhaps again and again of an argument that is there once.
    allowance = _CALLS_PER_BYTE * len(data)
    with io.BytesIO(data) as file:
        argument: Any
        for step, argument, _ in pickletools.genops(file):
            name = step.name
            if name == "STOP":
                return stack.pop()
            if name in _PUSHES:
                stack.append(_PUSHES[name](argument))
            elif name in _NOTHING:
                continue
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                memo[argument] = stack[-1]
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name in _STEPS:
                _STEPS[name](stack)
            elif name == "GLOBAL":
                stack.append(_named(*argument.split(" ", 1)))
            elif name == "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                stack.append(_named(module, attribute))
            elif name in _CALLS:
                allowance -= _call(name, stack)
                if allowance < 0:
                    raise _Refused("its calls would make more of it than it holds")
            else:
                raise _Refused(f"it needs {name}, which plain values do not")
    raise _Refused("it has no end")


def _named(module: object, attribute: object) -> _Call:
    if not isinstance(module, str) or not isinstance(attribute, str):
        raise _Refused("it is damaged")
    found = _ANSWERS.get(f"{module}.{attribute}")
    if found is None:
        called = f"{module}.{attribute}"[:_MAX_TEXT]
        raise _Refused(f"it would call {called!r}; only texts, numbers, lists, dictionaries and dates are read")
    return _Call(found)


def _call(step: str, stack: list[Any]) -> int:
    """Answer a call; returns how much of the file its arguments are."""
    arguments, called = stack.pop(), stack.pop()
    if step == "BUILD" and isinstance(called, _Dtype):
        # The byte order and the alignment of a NumPy number's type.
        order = arguments[1] if isinstance(arguments, list) and len(arguments) > 1 else "<"
        if order in (">", b">"):
            raise _Refused("it holds NumPy numbers of the other byte order")
        stack.append(called)
        return 0
    if step not in ("REDUCE", "NEWOBJ") or not isinstance(called, _Call) or not isinstance(arguments, list):
        raise _Refused("it holds objects; only texts, numbers, lists, dictionaries and dates are read")
    stack.append(called.answer(*arguments))
    return sum(len(argument) for argument in arguments if isinstance(argument, str | bytes | list))


def _popped(stack: list[Any]) -> list[Any]:
    """What lies above the last mark."""
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    items.reverse()
    return items


def _list(stack: list[Any]) -> None:
    stack.append(_popped(stack))


def _dict(stack: list[Any]) -> None:
    stack.append(_filled({}, _popped(stack)))


def _append(stack: list[Any]) -> None:
    item = stack.pop()
    _top(stack, list).append(item)


def _appends(stack: list[Any]) -> None:
    items = _popped(stack)
    _top(stack, list).extend(items)


def _set_item(stack: list[Any]) -> None:
    value, key = stack.pop(), stack.pop()
    _filled(_top(stack, dict), [key, value])


def _set_items(stack: list[Any]) -> None:
    items = _popped(stack)
    _filled(_top(stack, dict), items)


def _tuple_of(count: int) -> Callable[[list[Any]], None]:
    def step(stack: list[Any]) -> None:
        if len(stack) < count:
            raise _Refused("it is damaged")
        # Tuples become lists too: nothing here needs their hash, which a deep one would not survive.
        items = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        stack.append(items)

    return step


def _top(stack: list[Any], kind: type) -> Any:
    if not isinstance(stack[-1], kind):
        raise _Refused("it is damaged")
    return stack[-1]


def _filled(target: dict[Any, Any], items: list[Any]) -> dict[Any, Any]:
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, str | bytes | int | float | None):
            raise _Refused(f"a dictionary in it has a {type(key).__name__} as a key")
        if isinstance(key, int) and key.bit_length() > 64:
            raise _Refused("a dictionary in it has a number beyond 64 bits as a key")
        target[key] = value
    return target


_STEPS: Mapping[str, Callable[[list[Any]], object]] = {
    "MARK": lambda stack: stack.append(_MARK),
    "POP": lambda stack: stack.pop(),
    "POP_MARK": _popped,
    "DUP": lambda stack: stack.append(stack[-1]),
    "LIST": _list,
    "TUPLE": _list,
    "FROZENSET": _list,
    "DICT": _dict,
    "APPEND": _append,
    "APPENDS": _appends,
    "ADDITEMS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
}
_NOTHING = frozenset({"PROTO", "FRAME"})


def _as_given(argument: Any) -> Any:
    return argument


def _bytes(argument: Any) -> bytes:
    # pickletools shows Python 2's byte strings as Latin-1.
    return argument if isinstance(argument, bytes) else str(argument).encode("latin-1")


_PUSHES: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"), _as_given),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _as_given),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _bytes),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), bytes),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_TUPLE", "EMPTY_SET"), lambda _: []),
    "EMPTY_DICT": lambda _: {},
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
}


# What may be called


def _latin_1(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise _Refused("it holds bytes in another encoding than Python's own")
    return text.encode("latin-1")


def _items(items: Any = None) -> list[Any]:
    return items if isinstance(items, list) else []


def _pairs(*arguments: Any) -> dict[Any, Any]:
    pairs = arguments[-1] if arguments and isinstance(arguments[-1], list) else []
    return _filled({}, [part for pair in pairs for part in (pair[0], pair[1])])


def _moment(kind: type[date]) -> Callable[..., date]:
    def answer(state: Any, *rest: Any) -> date:
        # Ten bytes (four for a day), as text where Python 2 wrote them.
        if isinstance(state, str):
            state = state.encode("latin-1")
        return kind(state, *rest)

    return answer


def _zone(offset: timedelta, *_: Any) -> timezone:
    return timezone(offset)


_NUMBERS = {"f2": "e", "f4": "f", "f8": "d", "b1": "?"} | {
    f"{sign}{size}": letter if sign == "i" else letter.upper()
    for sign in "iu"
    for size, letter in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))
}


def _dtype(code: Any, *_: Any) -> _Dtype:
    code = _text(code).lstrip("<|=") if isinstance(code, str | bytes) else ""
    if code not in _NUMBERS and not re.fullmatch(r"U\d{1,9}", code):
        raise _Refused(f"it holds NumPy values of the type {code[:_MAX_TEXT]!r}")
    return _Dtype(code)


def _scalar(dtype: Any, data: Any) -> Any:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
        raise _Refused("it is damaged")
    if dtype.code.startswith("U"):
        return data.decode("utf-32-le").rstrip("\0")
    return struct.unpack("<" + _NUMBERS[dtype.code], data)[0]


_SEQUENCES = ("set", "frozenset", "list")
_ANSWERS: Mapping[str, Callable[..., Any]] = {
    "_codecs.encode": _latin_1,
    **dict.fromkeys(("builtins.bytes", "__builtin__.bytes"), lambda: b""),
    **dict.fromkeys((f"{m}.{n}" for m in ("builtins", "__builtin__") for n in _SEQUENCES), _items),
    **dict.fromkeys(("builtins.dict", "__builtin__.dict"), _pairs),
    **dict.fromkeys(("collections.OrderedDict", "collections.defaultdict"), _pairs),
    "datetime.datetime": _moment(datetime),
    "datetime.date": _moment(date),
    "datetime.timedelta": timedelta,
    "datetime.timezone": _zone,
    "numpy.dtype": _dtype,
    **dict.fromkeys(("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"), _scalar),
}
"""What a pickle may call, and what is done instead."""
