"""Reading an archive: pictures by their position, and all of them in one pass of several threads."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, local
from types import TracebackType
from typing import TypeAlias, TypeVar

import numpy as np

from image_search.errors import DatasetFormatError, InvalidInput, InvalidParameter
from image_search.tiny.pixels import PICTURE_BYTES, Bytes
from image_search.tiny.threads import in_order

T = TypeVar("T")

BLOCK = 512
"""Pictures that are read and compared at once: 1.5 MB, which stay in a core's cache between the two."""
TASK = 16 * BLOCK
"""Pictures that a thread takes at once."""

BytesListener: TypeAlias = Callable[[int, int], None]
"""(bytes done, bytes in all)"""


def end_if(stop: Event | None, message: str) -> None:
    """Raises InvalidInput where the work is to stop."""
    if stop is not None and stop.is_set():
        raise InvalidInput(message)


def no_listener(done: int, total: int) -> None:
    """A listener that does not listen."""


@dataclass(frozen=True, slots=True)
class Block:
    """Pictures that follow each other."""

    first: int
    """Position of the first one."""
    rows: Bytes
    """(n, 3072); overwritten when the thread reads its next block."""


class Archive:
    """An open archive of n pictures. Safe to read from several threads.

    It is read into small buffers rather than mapped: of a file that is cut short meanwhile a read tells, while touching
    the mapped memory would end the process.
    """

    def __init__(self, path: Path) -> None:
        """Raises InvalidParameter (no such file), DatasetFormatError (its size is no multiple of 3,072)."""
        self.path = path
        try:
            self._number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidParameter("db", f"{str(path)!r} cannot be opened: {error.strerror}") from error
        try:
            if not path.is_file():
                raise InvalidParameter("db", f"{str(path)!r} is no file")
            size = os.fstat(self._number).st_size
            if size % PICTURE_BYTES:
                raise DatasetFormatError(
                    f"{str(path)!r} has {size:,} bytes, which is no multiple of {PICTURE_BYTES:,}: "
                    "it is no archive of tiny pictures, or it is cut"
                )
            os.posix_fadvise(self._number, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        except BaseException:
            os.close(self._number)
            raise
        self._count = size // PICTURE_BYTES
        self._buffers = local()

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; not while it is being read."""
        os.close(self._number)

    def check(self, positions: Sequence[int]) -> None:
        """Raises InvalidParameter for the first position that is out of range."""
        for position in positions:
            if not 0 <= position < self._count:
                accepted = f"0 to {self._count - 1:,} are there" if self._count else "the archive is empty"
                raise InvalidParameter("position", f"{position} is out of range: {accepted}")

    def pictures(self, positions: Sequence[int]) -> Bytes:
        """(n, 3072) of pictures anywhere. Raises InvalidParameter, DatasetFormatError (cut meanwhile)."""
        self.check(positions)
        rows = np.empty((len(positions), PICTURE_BYTES), np.uint8)
        for row, position in zip(rows, positions, strict=True):
            self._read(row, position)
        return rows

    def scan(
        self,
        work: Callable[[Iterator[Block]], T],
        *,
        threads: int,
        on_bytes: BytesListener = no_listener,
        stop: Event | None = None,
    ) -> Iterator[T]:
        """What `work` makes of each run of blocks, in the order of the file; each picture is read once.

        `work` is called in several threads. Raises DatasetFormatError (cut meanwhile), InvalidInput (stopped).
        """
        total = self._count * PICTURE_BYTES

        def one(first: int) -> tuple[T, int]:
            end_if(stop, "reading the archive was stopped")
            last = min(first + TASK, self._count)
            return work(self._blocks(first, last)), last

        for result, last in in_order(one, range(0, self._count, TASK), threads):
            on_bytes(last * PICTURE_BYTES, total)
            yield result

    def sample(self, count: int, seed: int | None) -> list[int]:
        """`count` positions chosen at random, none of them twice. Raises InvalidParameter where there are fewer."""
        if not 0 < count <= self._count:
            raise InvalidParameter("count", f"{count}: the archive has {self._count:,} pictures; 1 or more of them")
        return [int(position) for position in np.random.default_rng(seed).choice(self._count, count, replace=False)]

    def _blocks(self, first: int, last: int) -> Iterator[Block]:
        buffer: Bytes | None = getattr(self._buffers, "buffer", None)
        if buffer is None:
            buffer = self._buffers.buffer = np.empty((BLOCK, PICTURE_BYTES), np.uint8)
        for start, end in itertools.pairwise((*range(first, last, BLOCK), last)):
            rows = buffer[: end - start]
            self._read(rows, start)
            yield Block(start, rows)

    def _read(self, rows: Bytes, first: int) -> None:
        view = rows.data.cast("B")
        done = 0
        while done < len(view):
            try:
                got = os.preadv(self._number, [view[done:]], first * PICTURE_BYTES + done)
            except OSError as error:
                raise DatasetFormatError(f"{str(self.path)!r} cannot be read: {error.strerror}") from error
            if not got:
                raise DatasetFormatError(
                    f"{str(self.path)!r} was cut short while it was read: picture {first + done // PICTURE_BYTES:,} "
                    f"of {self._count:,} is gone"
                )
            done += got
