"""Locks over files, which the kernel frees however their holder ends."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from image_search.errors import ImageStoreError


@contextlib.contextmanager
def locked(path: Path, operation: int) -> Iterator[None]:
    """Hold the lock of a file, made where there is none; `operation` as for `fcntl.flock`.

    Raises BlockingIOError where another holds it and `operation` does not wait; ImageStoreError where the file cannot
    be opened, or its file system does not lock it.
    """
    with contextlib.ExitStack() as held:
        try:
            path.parent.mkdir(exist_ok=True)
            # Readable too: NFS shares a lock of such a file only.
            file = held.enter_context(path.open("a+"))
            fcntl.flock(file, operation)
        except BlockingIOError:
            raise
        except OSError as error:
            reason = f"the lock {path.name} in the data folder cannot be opened: {error.strerror}"
            raise ImageStoreError(reason) from error
        yield
