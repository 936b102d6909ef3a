"""An image store in one folder of the local disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from image_search.errors import ImageNotFound, ImageStoreError, is_disk_full
from image_search.interfaces import Keeping, OriginalsMode
from image_search.storage.keys import check_key, is_key

_TEMPORARY = "tmp"
_ABANDONED_S = 3600.0
"""No object takes an hour to write. By its age, and not by its writer's number: containers may share a volume."""
# With the process's number, unique among all that write; cheaper than a random name for each object.
_TOKEN, _NUMBERS = secrets.token_hex(4), itertools.count()


class LocalImageStore:
    """Objects are files under `root`; a reference is a symbolic link to the owner's file.

    An object appears under its name by a rename, so a reader sees all of it or nothing. What is being written lies
    in `tmp/`; what a killed process left there is removed at the next start.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known_folders: set[Path] = set()
        self._temporary: Path | None = None

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store all of it or nothing. The content type is not kept: readers know it from the record."""
        with _translate_errors():
            temporary, target = self._places(key)
            try:
                temporary.write_bytes(data)
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    def put_file(self, key: str, path: Path, content_type: str, mode: OriginalsMode) -> None:
        """Store the file by copy, hard link (a copy across file systems) or reference."""
        with _translate_errors():
            temporary, target = self._places(key)
            try:
                if mode == "reference":
                    temporary.symlink_to(path.absolute())
                elif mode == "hardlink":
                    _link_or_copy(path, temporary)
                else:
                    shutil.copyfile(path, temporary)
                temporary.replace(target)
            finally:
                # Renaming a hard link over another link to the same file is defined to do nothing at all.
                temporary.unlink(missing_ok=True)

    def get(self, key: str) -> bytes:
        """The object's bytes. A referenced original that is gone or was changed is ImageNotFound."""
        path = self._path(key)
        with _translate_errors():
            try:
                # Only the owner's own file, followed or hard-linked, can change under its name. All of the open file:
                # another process may remove the object in between.
                followed = path.is_symlink()
                with path.open("rb") as file:
                    data = file.read()
                    shared = followed or os.fstat(file.fileno()).st_nlink > 1
            except (FileNotFoundError, NotADirectoryError) as error:
                raise ImageNotFound("there is no stored file for that id") from error
            if shared and hashlib.sha256(data).hexdigest() != path.name:
                raise ImageNotFound("the original that this picture refers to has changed since it was ingested")
            return data

    def exists(self, key: str) -> bool:
        """Whether there is an object (a reference whose file is gone counts as none)."""
        with _translate_errors():
            return self._path(key).exists()

    def keeping(self, key: str, beside: Path | None) -> Keeping:
        """What is there of an original; of a reference to another file, and of a hard link, whether it is unchanged."""
        path = self._path(key)
        try:
            with _translate_errors():
                try:
                    if path.is_symlink() and beside is not None and beside.exists() and path.samefile(beside):
                        return "reference"
                    if path.is_symlink() or path.stat().st_nlink > 1:
                        self.get(key)
                except FileNotFoundError:
                    # Never there, or removed by another process meanwhile.
                    return "missing"
        except ImageNotFound:
            return "missing"
        return "kept"

    def delete(self, key: str) -> None:
        """Remove the object; the file that a reference points to stays."""
        with _translate_errors():
            self._path(key).unlink(missing_ok=True)

    def iter_keys(self, prefix: str = "", *, after: str = "") -> Iterator[str]:
        """Keys that begin with `prefix` and come after `after`, sorted."""
        for folder, folders, files in os.walk(self._root):
            place = "".join(f"{part}/" for part in Path(folder).relative_to(self._root).parts)
            # In the order of the whole keys, "m-2/..." before "m/..."; and none that prefix and place rule out.
            folders.sort(key=lambda name: f"{name}/")
            folders[:] = [f for f in folders if _may_hold(f"{place}{f}/", prefix, after)]
            for name in sorted(files):
                # Unfinished objects, and what file managers leave behind, are no keys.
                if (key := place + name).startswith(prefix) and key > after and is_key(key):
                    yield key

    def ping(self) -> None:
        """Return when the folder can be written."""
        with _translate_errors():
            self._root.mkdir(parents=True, exist_ok=True)
            if not os.access(self._root, os.W_OK):
                raise ImageStoreError("the folder of the pictures cannot be written")

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    def _places(self, key: str) -> tuple[Path, Path]:
        target = self._path(key)
        if target.parent not in self._known_folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._known_folders.add(target.parent)
        if self._temporary is None:
            self._temporary = _swept(self._root / _TEMPORARY)
        return self._temporary / f"{os.getpid()}-{_TOKEN}-{next(_NUMBERS)}", target


def _may_hold(folder: str, prefix: str, after: str) -> bool:
    if not (folder.startswith(prefix) or prefix.startswith(folder)):
        return False
    return folder > after or after.startswith(folder)


def _swept(folder: Path) -> Path:
    """The folder, without what killed processes left in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        try:
            left = time.time() - path.lstat().st_mtime > _ABANDONED_S
        except FileNotFoundError:
            # Another process has just finished it.
            continue
        if left:
            path.unlink(missing_ok=True)
    return folder


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        # Other file system, or one without hard links (or with too many of them): the bytes matter, not how.
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copyfile(source, target)


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise ImageStoreError("the disk of the image store is full", retryable=True) from error
        raise ImageStoreError(f"the image store failed: {error.strerror or type(error).__name__}") from error
