"""A folder of pictures -> an archive with its side file of names, and back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Event
from typing import TypeAlias

from image_search.errors import DatasetFormatError, ImageTooLarge, InvalidImage, InvalidInput, UnsupportedFormat
from image_search.imaging import SNIFF_BYTES, sniff_content_type
from image_search.tiny.archive import Archive, end_if
from image_search.tiny.names import names_path, read_names
from image_search.tiny.output import check_place, new_file, new_folder
from image_search.tiny.pixels import Bytes, Fit, prepare, to_image
from image_search.tiny.threads import in_order
from image_search.types import Failure

MAX_PIXELS = 200_000_000
MAX_FILE_BYTES = 500_000_000
FOLDER_OF = 1000
"""Pictures in one folder where they have no names."""

CountListener: TypeAlias = Callable[[int, int | None, int], None]
"""(done, how many in all, failed)"""


def no_count(done: int, total: int | None, failed: int) -> None:
    """A listener that does not listen."""


@dataclass(frozen=True, slots=True)
class PackReport:
    """What was packed."""

    pictures: int
    names_path: Path
    failed: tuple[Failure, ...]
    """Files that are no pictures, or damaged ones."""


def pack(
    folder: Path,
    output: Path,
    *,
    fit: Fit = "crop",
    threads: int = 1,
    replace: bool = False,
    max_pixels: int = MAX_PIXELS,
    max_file_bytes: int = MAX_FILE_BYTES,
    on_count: CountListener = no_count,
    stop: Event | None = None,
) -> PackReport:
    """Write the pictures of a folder, in the order of their paths, into the archive `output`.

    Raises InvalidInput (no folder, no picture in it, stopped), InvalidParameter (the place), ImageStoreError (the
    disk); after any of them `output` is as it was.
    """
    if not folder.is_dir():
        raise InvalidInput(f"folder {str(folder)!r} does not exist or is no folder")
    check_place(output, replace=replace)
    total = sum(1 for _ in walk(folder))
    failed: list[Failure] = []
    pictures = 0

    def one(name: str) -> tuple[str, Bytes | str]:
        try:
            if "\n" in name:
                return name, "its name has a line break"
            return name, prepare(read_file(folder / name, max_file_bytes), fit=fit, max_pixels=max_pixels)
        except (InvalidImage, ImageTooLarge, UnsupportedFormat) as error:
            return name, str(error)

    names = names_path(output)
    with new_file(names) as name_lines, new_file(output, replace=replace) as file:
        for done, (name, made) in enumerate(in_order(one, walk(folder), threads), 1):
            end_if(stop, "packing was stopped; nothing was written")
            if isinstance(made, str):
                failed.append(Failure(readable(name), made))
            else:
                file.write(made.data)
                name_lines.write(os.fsencode(name) + b"\n")
                pictures += 1
            on_count(done, max(done, total), len(failed))
        if not pictures:
            raise InvalidInput(f"no picture in folder {str(folder)!r}")
        # Were this process ended between the two renames, old names must not stand beside new pictures.
        names.unlink(missing_ok=True)
    return PackReport(pictures, names, tuple(failed))


def unpack(
    archive: Archive,
    output: Path,
    positions: Sequence[int] = (),
    *,
    threads: int = 1,
    on_count: CountListener = no_count,
    stop: Event | None = None,
) -> int:
    """Write pictures as PNG files into a new folder, under their names or positions; returns how many.

    `positions`: which ones; all where none is given. Raises InvalidParameter (a position, the place), InvalidInput
    (stopped), DatasetFormatError (cut, or names that do not fit), ImageStoreError.
    """
    archive.check(positions)
    wanted: Sequence[int] = positions or range(len(archive))

    def one(item: tuple[int, str]) -> None:
        position, name = item
        path = part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        to_image(archive.pictures([position])[0]).save(path, "PNG")

    with new_folder(output) as part:
        for done, _ in enumerate(in_order(one, _files(archive, wanted), threads), 1):
            end_if(stop, "unpacking was stopped; nothing was written")
            on_count(done, len(wanted), 0)
    return len(wanted)


def walk(folder: Path, under: str = "") -> Iterator[str]:
    """Names of all files, relative with /, in the order of these names as texts; hidden ones are left out.

    One folder's names are in memory at a time. Raises InvalidInput where a folder cannot be read.
    """
    try:
        with os.scandir(folder / under) as entries:
            # With its / a folder comes where the names in it belong.
            found = sorted(
                f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
                for entry in entries
                if not entry.name.startswith(".") and (entry.is_dir(follow_symlinks=False) or entry.is_file())
            )
    except OSError as error:
        raise InvalidInput(f"folder {str(folder / under)!r} cannot be read: {error.strerror}") from error
    for name in found:
        if name.endswith("/"):
            yield from walk(folder, f"{under}{name}")
        else:
            yield f"{under}{name}"


def read_file(path: Path, max_bytes: int) -> bytes:
    """The bytes of a picture's file. Raises InvalidImage (it cannot be read), ImageTooLarge, UnsupportedFormat."""
    try:
        with path.open("rb") as file:
            data = file.read(SNIFF_BYTES)
            if data and sniff_content_type(data) is None:
                # An archive may lie among the pictures: it must not be read to learn that it is none.
                raise UnsupportedFormat("not a picture of a known format")
            data += file.read(max_bytes + 1 - len(data))
    except OSError as error:
        raise InvalidImage(f"cannot be read: {error.strerror}") from error
    if len(data) > max_bytes:
        raise ImageTooLarge(f"file has more than the {max_bytes:,} bytes that are accepted")
    return data


def _files(archive: Archive, positions: Sequence[int]) -> Iterator[tuple[int, str]]:
    """(position, path of its file) of some positions."""
    chosen = None if isinstance(positions, range) else set(positions)
    named = False
    for position, name in enumerate(read_names(archive.path, len(archive))):
        named = True
        if chosen is None or position in chosen:
            yield position, f"{_inside(name)}.png"
    if not named:
        for position in positions if chosen is None else sorted(chosen):
            yield position, f"{position // FOLDER_OF:05}/{position:08}.png"


def _inside(name: str) -> str:
    """The name, which stays within a folder. Raises DatasetFormatError for one that would not."""
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in name:
        raise DatasetFormatError(f"the side file has the name {name[:80]!r}, which is no file within a folder")
    return name


def readable(name: str) -> str:
    """A file's name as it can be shown: one that is no UTF-8 with replacement marks."""
    return os.fsencode(name).decode("utf-8", errors="replace")
