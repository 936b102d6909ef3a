"""Pictures and other things taken one by one, so that a broken one does not keep the others from their answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from image_search.errors import ImageSearchError, ImageTooLarge, InvalidImage, UnsupportedFormat
from image_search.types import Failure

T = TypeVar("T")

PICTURE_FAULTS = (InvalidImage, ImageTooLarge, UnsupportedFormat)
"""What is wrong with one picture and with no other."""
STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """What came of one of several."""

    name: str
    result: T | None
    error: ImageSearchError | None
    """None where there is a result."""


def attempt(name: str, action: Callable[[], T], faults: tuple[type[ImageSearchError], ...]) -> Attempt[T]:
    """The result of `action`, or the error that it raised, if it is one of `faults`."""
    try:
        return Attempt(name, action(), None)
    except faults as error:
        return Attempt(name, None, error)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Say of which picture it is what is wrong with a picture; "" = of none that has a name."""
    try:
        yield
    except PICTURE_FAULTS as error:
        if not name:
            raise
        raise type(error)(f"{name}: {error}") from error


def failures(attempts: Sequence[Attempt[T]]) -> list[Failure]:
    """Those that could not be done."""
    return [Failure(one.name, str(one.error)) for one in attempts if one.error is not None]


def exit_if(failed: object) -> None:
    """End with 1 where something is to be told by the exit code."""
    if failed:
        sys.exit(1)


def file_name(path: Path) -> str:
    """A path as it can be shown: one that is no UTF-8 with replacement marks."""
    return os.fsencode(path).decode("utf-8", errors="replace")


def read_picture(path: Path, max_bytes: int) -> bytes:
    """The bytes of a file, or of stdin where it is `-`. Raises InvalidImage, ImageTooLarge, which do not name it."""
    try:
        if path == STDIN:
            data = sys.stdin.buffer.read(max_bytes + 1)
        else:
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
    except OSError as error:
        raise InvalidImage(f"cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise ImageTooLarge(f"has more than the {max_bytes:,} bytes that are accepted")
    return data
