"""A lock between threads and between processes, freed by the kernel however its holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import threading
from collections.abc import Iterator
from pathlib import Path


class FileLock:
    """Mutual exclusion over a file of no content; every process makes its own object of the same path."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; waits for it. Not reentrant."""
        with self._threads, self._path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
