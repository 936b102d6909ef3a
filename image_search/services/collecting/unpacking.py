"""The pictures in an archive, one by one, without unpacking it: nothing in it chooses where, or how much, is written.

Only plain files with a picture's suffix and a plain relative name come out; links, devices and names that lead upwards
never do. What an archive would grow to is known and limited before it is read (zip), or while it is (tar).
"""

from __future__ import annotations

import functools
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from image_search.errors import InvalidInput
from image_search.services.collecting.pictures import is_safe_member
from image_search.services.scanning import PICTURE_SUFFIXES

_MAX_GROWTH = 2
_GROWTH_BYTES = 100_000_000
"""Pictures are compressed already: an archive of them that grows to more than twice its size, and this, is a bomb."""
MAX_TEXT_BYTES = 1_000_000_000
"""The largest captions file that is read; COCO's have 30 MB."""
_DAMAGED_DATA = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
_DAMAGED = (*_DAMAGED_DATA, tarfile.TarError, gzip.BadGzipFile, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Member:
    """A picture in an archive, or what was taken for one."""

    name: str
    data: bytes
    problem: str = ""
    """Why it is left out; "" = it is not."""


def pictures_in(path: Path, *, max_bytes: int, skip: frozenset[str] = frozenset()) -> Iterator[Member]:
    """Every picture of a zip or tar file, in its order; those named in `skip` with no data.

    `max_bytes`: of one picture. Raises InvalidInput for an archive that is damaged, encrypted or a bomb.
    """
    limit = path.stat().st_size * _MAX_GROWTH + _GROWTH_BYTES
    try:
        if zipfile.is_zipfile(path):
            yield from _in_zip(path, limit, max_bytes, skip)
        else:
            yield from _in_tar(path, limit, max_bytes, skip)
    except _DAMAGED as error:
        raise InvalidInput(f"archive {path.name!r} is damaged, or no zip or tar file ({error})") from error
    except OSError as error:
        if not _is_of_data(error):
            raise
        raise InvalidInput(f"archive {path.name!r} is damaged ({error})") from error
    except (RuntimeError, ValueError, LookupError) as error:
        # zipfile asks for a password by RuntimeError; both meet odd headers with the others.
        raise InvalidInput(f"archive {path.name!r} cannot be read ({error})") from error


def text_in(path: Path, member: str) -> bytes:
    """One file of a zip. Raises InvalidInput where it is not there, too large or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(member)
            if info.file_size > MAX_TEXT_BYTES:
                raise InvalidInput(f"{member!r} in {path.name!r} has more than {MAX_TEXT_BYTES:,} bytes")
            with archive.open(info) as file:
                return file.read(MAX_TEXT_BYTES)
    except KeyError as error:
        raise InvalidInput(f"archive {path.name!r} has no {member!r}") from error
    except (*_DAMAGED, RuntimeError) as error:
        raise InvalidInput(f"archive {path.name!r} is damaged, or no zip file ({error})") from error
    except OSError as error:
        if not _is_of_data(error):
            raise
        raise InvalidInput(f"archive {path.name!r} is damaged ({error})") from error


def _in_zip(path: Path, limit: int, max_bytes: int, skip: frozenset[str]) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        # Files that share their bytes, the trick of the worst bombs, are counted each.
        if sum(info.file_size for info in infos) > limit:
            raise InvalidInput(f"archive {path.name!r} would grow to more than {limit:,} bytes")
        for info in infos:
            if _is_picture(info.filename):
                kind = stat.S_IFMT(info.external_attr >> 16)
                is_file = not info.is_dir() and kind in (0, stat.S_IFREG)
                opened = functools.partial(archive.open, info)
                yield _member(info.filename, info.file_size, opened if is_file else None, max_bytes, skip)


def _in_tar(path: Path, limit: int, max_bytes: int, skip: frozenset[str]) -> Iterator[Member]:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        whole: BinaryIO = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
        # As a stream: an archive of any size in little memory, and no jumping back.
        with tarfile.open(fileobj=_Limited(whole, limit, path.name), mode="r|") as archive:
            for info in archive:
                if _is_picture(info.name):
                    opened = functools.partial(archive.extractfile, info)
                    is_file = info.isreg() and not info.issparse()
                    yield _member(info.name, info.size, opened if is_file else None, max_bytes, skip)


def _member(
    name: str, size: int, opened: Callable[[], IO[bytes] | None] | None, max_bytes: int, skip: frozenset[str]
) -> Member:
    """One file; `opened` is None for what is no plain one."""
    name = name.removeprefix("./")
    if not is_safe_member(name):
        return Member(name, b"", "its name is not one that may be written")
    if opened is None:
        return Member(name, b"", "is no plain file")
    if name in skip:
        return Member(name, b"")
    if size > max_bytes:
        return Member(name, b"", f"has {size:,} bytes; at most {max_bytes:,} are accepted")
    try:
        file = opened()
        data = b"" if file is None else file.read(max_bytes + 1)
    except _DAMAGED_DATA:
        return Member(name, b"", "is damaged in the archive")
    except OSError as error:
        # A packed tar is damaged as a whole: nothing after this could be found.
        if isinstance(error, gzip.BadGzipFile) or not _is_of_data(error):
            raise
        return Member(name, b"", "is damaged in the archive")
    return Member(name, data, "" if data else "the file is empty")


def _is_of_data(error: OSError) -> bool:
    """Whether it tells of what was read, and not of the disk: bz2 says so of damaged data, without a number."""
    return error.errno is None


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    # What an older Mac leaves beside each file, and hidden folders, are no pictures.
    hidden = any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in path.parts)
    return path.suffix.lower() in PICTURE_SUFFIXES and not hidden


class _Limited(io.RawIOBase):
    """A stream that ends with an error past its limit."""

    def __init__(self, file: BinaryIO, limit: int, name: str) -> None:
        self._file, self._left, self._name = file, limit, name

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise InvalidInput(f"archive {self._name!r} grows to more than it may")
        return data
