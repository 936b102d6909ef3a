"""The folder that pictures of the web are collected in: files, the words for them, and what is known of each address.

    metadata.jsonl, failures.jsonl   made anew from the journal, whole or not at all
    pictures/…                       a file has its name only when all of it is there
    .fetch/journal.jsonl             a line for each address that was done; the last one counts
    .fetch/lock, tmp/, downloads/    who works here; what is being written; archives

A process that is killed leaves a file without its line (the next run writes the same file again) or half a line (the
next run takes it away): never a line without its file.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image_search.errors import Conflict, ImageStoreError, InvalidParameter
from image_search.metadata.markup import readable
from image_search.metadata.words import Words, unite
from image_search.services.collecting.pictures import CheckedPicture
from image_search.types import Failure

METADATA, FAILURES = "metadata.jsonl", "failures.jsonl"
_OWN = ".fetch"


@dataclass(frozen=True, slots=True)
class Kept:
    """An address whose picture is in the folder."""

    file: str
    sha256: str
    size_bytes: int
    words: int
    """A digest of the words that are noted for it."""
    reduced: bool
    """It was made smaller: some of its words are those of the file that it was."""
    line: int


@dataclass(frozen=True, slots=True)
class Missed:
    """An address whose picture could not be had."""

    reason: str
    may_pass: bool
    """A later run tries again."""
    line: int
    admitted_by: str = ""
    """The entry of url_fetch.allow that would admit it; "" = it was not refused by the settings."""
    rules: str = ""
    """By which it was refused (`CollectTuning.rules`)."""


class CollectedFolder:
    """One folder; open it with `opened`. Safe to call from several threads.

    Raises ImageStoreError where the disk cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._own = root, root / _OWN
        self._known: dict[str, Kept | Missed] = {}
        self._files: dict[str, tuple[str, int]] = {}
        """(file, size) by the hash of the content that it was made of."""
        self._lock = threading.Lock()
        self._temporary = (self._own / "tmp" / str(n) for n in itertools.count())
        self._lines = 0
        self._broken_rows: list[Failure] = []

    @classmethod
    @contextlib.contextmanager
    def opened(cls, root: Path) -> Iterator[CollectedFolder]:
        """The folder, made where there is none, for this process alone.

        Raises InvalidParameter where it holds other things under our names, Conflict while another process collects.
        """
        folder = cls(root)
        with disk_errors():
            folder._make()
            lock = (folder._own / "lock").open("a")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(f"another fetch is working in {str(root)!r}; wait for its end, or stop it") from error
            with disk_errors():
                folder._begin()
            try:
                yield folder
            finally:
                # What could not be written is tried once more at the closing, and fails once more.
                with disk_errors():
                    folder._appending.close()

    @property
    def downloads(self) -> Path:
        """Where archives lie while they are needed."""
        return self._own / "downloads"

    @property
    def root(self) -> Path:
        """The folder itself."""
        return self._root

    def find(self, url: str) -> Kept | Missed | None:
        """What is known of an address; None where that is nothing, or its file is no longer there as a whole."""
        known = self._known.get(url)
        return None if isinstance(known, Kept) and not self._is_there(known.file, known.size_bytes) else known

    def members(self, archive_url: str) -> tuple[frozenset[str], frozenset[str]]:
        """Names of an archive's files that are here, and of those that could not be had."""
        prefix = member_url(archive_url, "")
        known = {url: self.find(url) for url in self._known if url.startswith(prefix)}
        kept = frozenset(url.removeprefix(prefix) for url, found in known.items() if isinstance(found, Kept))
        return kept, frozenset(url.removeprefix(prefix) for url, found in known.items() if isinstance(found, Missed))

    def is_complete(self, archive_url: str) -> bool:
        """Whether every file of an archive was looked at once, and those that were kept are still here."""
        prefix = member_url(archive_url, "")
        return archive_url in self._read_complete() and not any(
            self.find(url) is None for url in self._known if url.startswith(prefix)
        )

    def complete(self, archive_url: str) -> None:
        """Note that every file of an archive was looked at."""
        with self._lock, disk_errors():
            lines = sorted({*self._read_complete(), archive_url})
            self._replace(f"{_OWN}/complete", (f"{line}\n".encode() for line in lines))

    def _read_complete(self) -> list[str]:
        path = self._own / "complete"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def keep(self, url: str, file: str, picture: CheckedPicture, words: Words, *, once: bool = True) -> bool:
        """Note the picture of an address, and write it under `file`; with `once` not where its content is in another
        file already, which then stands for both. Returns whether a file was written.
        """
        words = unite(words, picture.words)
        with self._lock, disk_errors():
            there = self._files.get(picture.sha256) if once else None
            if is_new := there is None or not self._is_there(*there):
                there = file, len(picture.data)
                self._write(self._root / file, picture.data)
            self._files[picture.sha256] = there
            self._note_kept(url, there, picture.sha256, words, reduced=picture.reduced)
            return is_new

    def reword(self, url: str, kept: Kept, words: Words) -> bool:
        """Note other words for a picture that is there; returns whether they are others.

        One that was made smaller keeps those that it has: what its own file said could not be told from them.
        """
        if kept.reduced or digest_of(words) == kept.words:
            return False
        with self._lock, disk_errors():
            self._note_kept(url, (kept.file, kept.size_bytes), kept.sha256, words, reduced=False)
        return True

    def miss(self, url: str, reason: str, *, may_pass: bool, admitted_by: str = "", rules: str = "") -> None:
        """Note that the picture of an address could not be had, or that the `rules` in force refuse it."""
        refused = {"admitted_by": admitted_by, "rules": rules} if admitted_by else {}
        with self._lock, disk_errors():
            line = self._append({"url": url, "failed": reason, "retryable": may_pass, **refused})
            self._known[url] = Missed(reason, may_pass, line, admitted_by, rules)

    def miss_row(self, where: str, reason: str) -> None:
        """Tell of a row of the list, which has no address, in this run's failures."""
        with self._lock:
            self._broken_rows.append(Failure(where, reason))

    def publish(self) -> None:
        """Make metadata.jsonl and failures.jsonl anew, each whole or not at all."""
        with self._lock, disk_errors():
            self._replace(METADATA, self._metadata_lines())
            self._replace(FAILURES, self._failure_lines())

    def _make(self) -> None:
        if self._root.exists() and not self._root.is_dir():
            raise InvalidParameter("--output", f"{str(self._root)!r} is a file; a folder is expected")
        if not self._own.is_dir():
            taken = next((name for name in (METADATA, FAILURES) if (self._root / name).exists()), None)
            if taken:
                raise InvalidParameter(
                    "--output", f"{str(self._root)!r} has a {taken} that is not of this command; choose another folder"
                )
        for folder in (self._own, self._own / "tmp", self.downloads):
            folder.mkdir(parents=True, exist_ok=True)

    def _begin(self) -> None:
        for left in (self._own / "tmp").iterdir():
            left.unlink()
        journal = self._own / "journal.jsonl"
        whole = 0
        if journal.exists():
            for line in self._journal():
                whole += len(line)
                self._read(line)
                self._lines += 1
            if whole < journal.stat().st_size:
                with journal.open("r+b") as file:
                    file.truncate(whole)
        self._appending = journal.open("ab")

    def _journal(self) -> Iterator[bytes]:
        """Its whole lines."""
        with (self._own / "journal.jsonl").open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line

    def _read(self, line: bytes) -> None:
        entry = _entry_of(line)
        if entry is None:
            # A damaged disk: its address counts as unknown, and its picture, fetched again, is written over itself.
            return
        if "failed" in entry:
            admitted_by, rules = str(entry.get("admitted_by", "")), str(entry.get("rules", ""))
            self._known[entry["url"]] = Missed(
                str(entry["failed"]), bool(entry.get("retryable")), self._lines, admitted_by, rules
            )
            return
        file, size, sha256 = str(entry["file"]), int(entry["bytes"]), str(entry["sha256"])
        words, reduced = entry.get("digest", 0), bool(entry.get("reduced"))
        self._known[entry["url"]] = Kept(file, sha256, size, words, reduced, self._lines)
        self._files[sha256] = file, size

    def _note_kept(self, url: str, there: tuple[str, int], sha256: str, words: Words, *, reduced: bool) -> None:
        file, size = there
        digest = digest_of(words)
        entry = {"url": url, "file": file, "sha256": sha256, "bytes": size, "reduced": reduced, "digest": digest}
        self._known[url] = Kept(file, sha256, size, digest, reduced, self._append({**entry, **_told(words)}))

    def _append(self, entry: dict[str, Any]) -> int:
        """Write a line; returns its number."""
        self._appending.write(_json_line(entry))
        self._appending.flush()
        self._lines += 1
        return self._lines - 1

    def _metadata_lines(self) -> Iterator[bytes]:
        urls = Counter(known.file for known in self._known.values() if isinstance(known, Kept))
        several: dict[str, tuple[str, Words]] = {}
        for number, line in enumerate(self._journal()):
            entry = _entry_of(line)
            known = self._known.get(entry["url"]) if entry else None
            if entry is None or not isinstance(known, Kept) or known.line != number:
                continue
            if not self._is_there(known.file, known.size_bytes):
                continue
            if urls[known.file] == 1:
                yield _metadata_line(known.file, entry["url"], _words_in(entry))
            else:
                url, words = several.get(known.file, (entry["url"], Words()))
                several[known.file] = url, unite(words, _words_in(entry))
        for file, (url, words) in several.items():
            yield _metadata_line(file, url, words)

    def _failure_lines(self) -> Iterator[bytes]:
        for url, known in self._known.items():
            if isinstance(known, Missed):
                refused = {"admitted_by": known.admitted_by} if known.admitted_by else {}
                yield _json_line({"url": url, "reason": known.reason, "retryable": known.may_pass, **refused})
        for row in self._broken_rows:
            yield _json_line({"row": row.path, "reason": row.reason, "retryable": False})

    def _is_there(self, file: str, size_bytes: int) -> bool:
        with disk_errors():
            try:
                return (self._root / file).stat().st_size == size_bytes
            except (FileNotFoundError, NotADirectoryError):
                return False

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = next(self._temporary)
        temporary.write_bytes(data)
        temporary.replace(path)

    def _replace(self, name: str, lines: Iterator[bytes]) -> None:
        temporary = next(self._temporary)
        with temporary.open("wb") as file:
            file.writelines(lines)
        temporary.replace(self._root / name)


def member_url(archive_url: str, name: str) -> str:
    """The address under which a file of an archive is noted."""
    return f"{archive_url}#{name}"


def digest_of(words: Words) -> int:
    """A number that changes with the words; the same in every process."""
    return int.from_bytes(hashlib.blake2b(_json_line(_told(words)), digest_size=8).digest())


def _told(words: Words) -> dict[str, Any]:
    told = {
        "title": words.title,
        "tags": list(words.tags),
        "text": words.text,
        "source_url": words.source_url,
        "fields": words.fields,
        "created_at": words.created_at_s,
    }
    return {key: value for key, value in told.items() if value not in ("", [], {}, None)}


def _words_in(entry: dict[str, Any]) -> Words:
    return Words(
        title=entry.get("title", ""),
        tags=tuple(entry.get("tags", ())),
        text=entry.get("text", ""),
        source_url=entry.get("source_url", ""),
        fields=entry.get("fields", {}),
        created_at_s=entry.get("created_at"),
    )


def _entry_of(line: bytes) -> dict[str, Any] | None:
    """The entry of a journal's line, None of a damaged one."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    keys = ("url", "failed") if isinstance(entry, dict) and "failed" in entry else ("url", "file", "sha256", "bytes")
    return entry if isinstance(entry, dict) and all(key in entry for key in keys) else None


def _metadata_line(file: str, url: str, words: Words) -> bytes:
    told = _told(words)
    for key in ("title", "text"):
        if key in told:
            told[key] = _unread(told[key])
    if "tags" in told:
        told["tags"] = [_unread(tag) for tag in told["tags"]]
    return _json_line({"filename": file, **told, "image_url": url})


def _unread(text: str) -> str:
    """The text as `readable` gives it back: it was freed of HTML once, and is not to be a second time."""
    return text if readable(text) == text else text.replace("&", "&amp;").replace("<", "&lt;")


def _json_line(entry: dict[str, Any]) -> bytes:
    # Half of a surrogate pair, as names of other encodings have, is no UTF-8; JSON has an escape for it.
    return json.dumps(entry, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Raises ImageStoreError for what the disk does not do."""
    try:
        yield
    except OSError as error:
        raise ImageStoreError(f"the folder cannot be written or read: {error.strerror or error}") from error
