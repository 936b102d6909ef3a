"""What was learned of files by reading them: (path, size, time) -> image_id, so that a later run need not read again;
and which words each collection was told of them, so that only new ones replace what is there.

Only a cache: whether a picture is in the library is asked of the vector store, always.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from image_search.errors import ImageStoreError
from image_search.services.scanning import Candidate
from image_search.services.sqlite_files import BUSY_S, write_ahead

_FILES = """
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size_bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, image_id TEXT NOT NULL
) WITHOUT ROWID
"""
# Keyed by 64 bits of a hash of collection and path, which a million files share with a chance of 1 in 10^7.
_TOLD = "CREATE TABLE IF NOT EXISTS told (key INTEGER PRIMARY KEY, digest INTEGER NOT NULL)"


class ScanCache:
    """An SQLite file; every call is a transaction of its own. Safe to call from several threads and processes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        with _translate_errors():
            self._connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
            write_ahead(self._connection)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_FILES)
            self._connection.execute(_TOLD)

    def find(self, candidates: Sequence[Candidate]) -> dict[Path, str]:
        """The image_id of each file that has not changed since it was read."""
        found = {}
        with self._lock, _translate_errors():
            for candidate in candidates:
                row = self._connection.execute(
                    "SELECT image_id FROM files WHERE path = ? AND size_bytes = ? AND mtime_ns = ?",
                    (_key(candidate), candidate.size_bytes, candidate.mtime_ns),
                ).fetchone()
                if row:
                    found[candidate.path] = str(row[0])
        return found

    def remember(self, read: Iterable[tuple[Candidate, str]]) -> None:
        """Keep the image_ids of files that were read and are stored."""
        rows = [(_key(c), c.size_bytes, c.mtime_ns, image_id) for c, image_id in read]
        with self._lock, _translate_errors(), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)

    def find_told(self, collection: str, candidates: Sequence[Candidate]) -> dict[Path, int]:
        """The digest of the words that came with each file when it was last ingested into the collection."""
        found = {}
        with self._lock, _translate_errors():
            for candidate in candidates:
                key = _told_key(collection, candidate)
                row = self._connection.execute("SELECT digest FROM told WHERE key = ?", (key,)).fetchone()
                if row:
                    found[candidate.path] = int(row[0])
        return found

    def remember_told(self, collection: str, told: Iterable[tuple[Candidate, int]]) -> None:
        """Keep the digests of words that are stored."""
        rows = [(_told_key(collection, candidate), digest) for candidate, digest in told]
        with self._lock, _translate_errors(), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO told VALUES (?, ?)", rows)

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ImageStoreError(
            f"the cache of scanned files (scan.sqlite in the data folder) failed: {error}. It may be deleted: it only "
            "spares reading files again"
        ) from error


def _told_key(collection: str, candidate: Candidate) -> int:
    place = collection.encode() + b"\0" + _key(candidate)
    return int.from_bytes(hashlib.blake2b(place, digest_size=8).digest(), signed=True)


def _key(candidate: Candidate) -> bytes:
    return bytes(candidate.path.absolute())
