"""A large file of the web into a folder, resumed where an earlier try stopped, and compared with what it should be."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from image_search.errors import FetchError, ImageStoreError, InvalidInput, NotAdmitted, way_out
from image_search.interfaces import UrlAnswer, UrlOpener
from image_search.services.collecting.sets import Archive
from image_search.services.collecting.waiting import Patience, Stopped, sleep
from image_search.services.progress import Progress, ProgressListener
from image_search.urls import FIELD

_RANGE_NOT_SATISFIABLE = 416
_HASH_BLOCK_BYTES = 1 << 20
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Downloader:
    """Downloads archives into `folder`."""

    opener: UrlOpener
    folder: Path
    patience: Patience
    on_progress: ProgressListener
    stop: threading.Event

    def get(self, archive: Archive, *, room: float = 1.0) -> Path:
        """The file, downloaded if it is not there: it has its name only when it is the right one.

        `room`: how many times its size must be free on the disk, for what is made of it.
        Raises FetchError, ImageStoreError (no room), Stopped.
        """
        path = self.folder / _name_of(archive.url)
        if path.is_file() and path.stat().st_size == archive.size_bytes:
            return path
        part = path.with_name(f"{path.name}.part")
        there = part.stat().st_size if part.exists() else 0
        free = shutil.disk_usage(self.folder).free
        needed = int(archive.size_bytes * room) - there
        if free < needed:
            raise ImageStoreError(
                f"{path.name} needs {needed // _MEGABYTE:,} MB of disk, and {free // _MEGABYTE:,} MB are free"
            )
        self._download(archive, part, path.name)
        self._compare(archive, part, path.name)
        part.replace(path)
        _note_of(part).unlink(missing_ok=True)
        return path

    def _download(self, archive: Archive, part: Path, name: str) -> None:
        failures = furthest = 0
        while (before := _size_of(part)) < archive.size_bytes:
            if self.stop.is_set():
                raise Stopped
            furthest = max(furthest, before)
            try:
                self._go_on(archive, part, name, before)
                if _size_of(part) < archive.size_bytes:
                    # An answer that does not tell its size just ends, wherever that is.
                    raise FetchError("the answer was cut short", retryable=True)
            except _WrongContent:
                raise
            except NotAdmitted as error:
                raise _WrongContent(name, error.reason + way_out(error)) from error
            except InvalidInput as error:
                # A web page in place of the file, an address that is none.
                raise _WrongContent(name, str(error).removeprefix(f"{FIELD}: ")) from error
            except FetchError as error:
                # What gets on, however slowly, gets there; what begins anew each time does not.
                failures = 1 if _size_of(part) > furthest else failures + 1
                if error.status == _RANGE_NOT_SATISFIABLE and before:
                    part.unlink()
                elif not error.retryable or failures >= self.patience.attempts:
                    raise _failed(name, error.reason + way_out(error), retryable=error.retryable) from error
                wait_s = self.patience.wait_s(failures) if error.retry_after_s is None else error.retry_after_s
                if wait_s > self.patience.longest_s:
                    raise _failed(
                        name, f"the host asks to be left alone for {wait_s:,.0f} s", retryable=True
                    ) from error
                sleep(wait_s, self.stop)

    def _go_on(self, archive: Archive, part: Path, name: str, start: int) -> None:
        note = _note_of(part)
        same_as = _read_note(note, archive.url) if start else ""
        # Without a validator nothing tells whether the rest belongs to the part. The checksum may; but where none is
        # known, that of two halves of different files would be noted as the right one.
        if not same_as and not archive.sha256:
            start = 0
        with self.opener.open(archive.url, start=start, same_as=same_as) as answer:
            if answer.total_bytes not in (None, archive.size_bytes):
                raise _WrongContent(
                    name, f"it has {answer.total_bytes:,} bytes, and {archive.size_bytes:,} were expected"
                )
            with part.open("r+b" if part.exists() else "wb") as file:
                file.truncate(answer.start)
                file.seek(answer.start)
                note.write_text(json.dumps({"url": archive.url, "validator": answer.validator}), encoding="utf-8")
                self._write(answer, file.write, archive, name)

    def _write(self, answer: UrlAnswer, write: Callable[[bytes], object], archive: Archive, name: str) -> None:
        stage, size = f"downloading {name} (MB)", answer.start
        self.on_progress(Progress(stage, size // _MEGABYTE, archive.size_bytes // _MEGABYTE))
        for chunk in answer.chunks:
            size += len(chunk)
            if size > archive.size_bytes:
                raise _WrongContent(name, f"it has more than the {archive.size_bytes:,} bytes that were expected")
            write(chunk)
            if self.stop.is_set():
                raise Stopped
            if size // _MEGABYTE != (size - len(chunk)) // _MEGABYTE:
                self.on_progress(Progress(stage, size // _MEGABYTE, archive.size_bytes // _MEGABYTE))

    def _compare(self, archive: Archive, part: Path, name: str) -> None:
        self.on_progress(Progress(f"checking {name}", 0))
        digest = hashlib.sha256()
        with part.open("rb") as file:
            while block := file.read(_HASH_BLOCK_BYTES):
                if self.stop.is_set():
                    raise Stopped
                digest.update(block)
        sums = self.folder / "sums.json"
        noted = _read_sums(sums)
        expected = archive.sha256 or noted.get(archive.url) or digest.hexdigest()
        if digest.hexdigest() != expected:
            part.unlink()
            raise _WrongContent(name, f"its SHA-256 begins {digest.hexdigest()[:12]}, and {expected[:12]} was expected")
        if not archive.sha256 and archive.url not in noted:
            temporary = sums.with_name("sums.json.part")
            temporary.write_text(json.dumps({**noted, archive.url: expected}, indent=1), encoding="utf-8")
            temporary.replace(sums)


class _WrongContent(FetchError):
    """What came is not what was expected: no further try will change that."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} could not be downloaded: {reason}")


def _failed(name: str, reason: str, *, retryable: bool) -> FetchError:
    return FetchError(f"{name} could not be downloaded: {reason}", retryable=retryable)


def _read_sums(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        noted = None
    if not isinstance(noted, dict):
        raise ImageStoreError(f"{path.name} in the folder's downloads is damaged; remove it to note the sums anew")
    return noted


def _name_of(url: str) -> str:
    """A file name made of an address: its last part, and what tells it from another's."""
    last = re.sub(r"[^A-Za-z0-9._-]+", "-", url.partition("?")[0].rpartition("/")[2]).lstrip(".-")[-80:]
    return f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{last or 'archive'}"


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _read_note(note: Path, url: str) -> str:
    """The validator of what a part belongs to; "" where its server told none, or there is no note."""
    try:
        data = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        # Half a note is as good as none.
        return ""
    return str(data.get("validator", "")) if isinstance(data, dict) and data.get("url") == url else ""
