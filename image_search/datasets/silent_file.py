"""The file that HDF5 writes to: a disk that fills up must not take the process down."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


class SilentFile:
    """A new file that hides every failure from HDF5 and keeps the first.

    The C library does not survive a write that fails: on a full disk the process ends with a segmentation fault (h5py
    3.16, in the write after it or at exit). From a failure on, what is written stays in memory, so that HDF5 can close
    in peace; `check`, called after each batch, keeps that small.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self._position = self._size = 0
        self._unwritten: list[tuple[int, bytes]] = []
        self.failure: BaseException | None = None

    def check(self) -> None:
        """Raises what failed first."""
        if self.failure is not None:
            raise self.failure

    def sync(self) -> None:
        """Have everything on the disk. Raises OSError."""
        self.check()
        os.fsync(self._handle)

    def close(self) -> None:
        """Release the file."""
        os.close(self._handle)

    # What h5py asks of a file object.

    def write(self, data: Any) -> int:
        """The number of bytes."""
        view = memoryview(data).cast("B")
        self._attempt(lambda: self._write_all(view))
        if self.failure is not None:
            self._unwritten.append((self._position, bytes(view)))
        self._position += len(view)
        self._size = max(self._size, self._position)
        return len(view)

    def read(self, size: int) -> bytes:
        """That many bytes. h5py knows a file object by this method and uses the next."""
        data = bytearray(size)
        self.readinto(data)
        return bytes(data)

    def readinto(self, buffer: Any) -> int:
        """The buffer's length; what was never written is zeros."""
        view = memoryview(buffer).cast("B")
        view[:] = bytes(len(view))
        self._attempt(lambda: self._read_all(view), also_after_failure=True)
        for offset, data in self._unwritten:
            start, stop = max(offset, self._position), min(offset + len(data), self._position + len(view))
            if start < stop:
                view[start - self._position : stop - self._position] = data[start - offset : stop - offset]
        self._position += len(view)
        return len(view)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The new position."""
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def truncate(self, size: int) -> int:
        """The new size."""
        self._attempt(lambda: os.ftruncate(self._handle, size))
        self._size = size
        return size

    def flush(self) -> None:
        """Nothing is buffered here."""

    def _attempt(self, action: Callable[[], object], *, also_after_failure: bool = False) -> None:
        if self.failure is None or also_after_failure:
            try:
                action()
            # A Ctrl-C may fall into a write too: it must not pass through the C library either.
            except BaseException as error:  # noqa: BLE001 - raised by check()
                self.failure = self.failure or error

    def _write_all(self, view: memoryview) -> None:
        # A nearly full disk takes a part first and refuses the rest.
        done = 0
        while done < len(view):
            done += os.pwrite(self._handle, view[done:], self._position + done)

    def _read_all(self, view: memoryview) -> None:
        done = 0
        while done < len(view) and (part := os.pread(self._handle, len(view) - done, self._position + done)):
            view[done : done + len(part)] = part
            done += len(part)
