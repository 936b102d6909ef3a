"""Files and folders that appear whole or not at all: written beside their place, then renamed.

What a killed process leaves is one hidden `.NAME.part`, which the next run to the same place takes over; a lock that
the kernel frees tells it from one that somebody is writing now. Where it was killed while a folder took another's
place, the other is at `.NAME.old`, from where the next run fetches it back.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from image_search.errors import ImageStoreError, InvalidParameter


@contextmanager
def new_file(path: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` at the end of the block; nothing is there after an error.

    Raises InvalidParameter (`replace` is not given and something is there; it is being written already),
    ImageStoreError where the disk fails, in the block as well.
    """
    check_place(path, replace=replace)
    path = path.resolve()
    part = path.with_name(f".{path.name}.part")
    with _telling(path), _locked(part, path, os.O_RDWR | os.O_CREAT) as number:
        try:
            # Not when it was opened: only whoever has the lock may cut what is there.
            os.ftruncate(number, 0)
            with os.fdopen(os.dup(number), "wb") as file:
                yield file
                file.flush()
                os.fsync(number)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def new_folder(path: Path, replaceable: Collection[str] = ()) -> Iterator[Path]:
    """A folder that takes the place of `path` at the end of the block; nothing is there after an error.

    A folder may be there that is empty, or has in it nothing but the names in `replaceable`: an earlier one of ours.
    Raises as `new_file` does.
    """
    path = path.resolve()
    check_folder(path, replaceable)
    part = path.with_name(f".{path.name}.part")
    with _telling(path):
        part.mkdir(exist_ok=True)
    with _telling(path), _locked(part, path, os.O_RDONLY | os.O_DIRECTORY):
        try:
            _restore(path)
            for inner in part.iterdir():
                shutil.rmtree(inner) if inner.is_dir() and not inner.is_symlink() else inner.unlink()
            yield part
            check_folder(path, replaceable)
            _swap(part, path)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


def check_place(path: Path, *, replace: bool) -> None:
    """Raises InvalidParameter where a file cannot be made, or may not be replaced; ImageStoreError."""
    with _telling(path):
        if path.is_dir():
            raise InvalidParameter("output", f"{str(path)!r} is a folder; a file is expected")
        _check_parent(path)
        if not replace and path.exists():
            raise InvalidParameter("output", f"{str(path)!r} exists already; another place, or --force, is expected")


def check_folder(path: Path, replaceable: Collection[str]) -> None:
    """Raises InvalidParameter where a folder cannot be made, or may not be replaced; ImageStoreError."""
    with _telling(path):
        _check_parent(path)
        if not path.exists():
            return
        if not path.is_dir():
            raise InvalidParameter("output", f"{str(path)!r} is a file; a folder is expected")
        if any(inner.name not in replaceable for inner in path.iterdir()):
            raise InvalidParameter(
                "output", f"folder {str(path)!r} has other files in it; a new or empty one is expected"
            )


def _check_parent(path: Path) -> None:
    if not path.parent.is_dir():
        raise InvalidParameter("output", f"folder {str(path.parent)!r} does not exist")


def _swap(part: Path, path: Path) -> None:
    old = _old(path)
    shutil.rmtree(old, ignore_errors=True)
    # A rename cannot replace a folder that is not empty.
    with contextlib.suppress(FileNotFoundError):
        path.rename(old)
    try:
        part.rename(path)
    except BaseException:
        _restore(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _restore(path: Path) -> None:
    """Undo half a swap: a process that ended between its two renames has left the folder under its other name."""
    if not path.exists():
        with contextlib.suppress(FileNotFoundError):
            _old(path).rename(path)


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


@contextmanager
def _locked(part: Path, path: Path, flags: int) -> Iterator[int]:
    busy = f"{str(path)!r} is being written by another process"
    number = os.open(part, flags | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between the opening and the lock another process may have finished: then this is its result.
            ours = os.path.samestat(os.fstat(number), part.stat())
        except (BlockingIOError, FileNotFoundError) as error:
            raise InvalidParameter("output", busy) from error
        if not ours:
            raise InvalidParameter("output", busy)
        yield number
    finally:
        os.close(number)


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImageStoreError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error
