"""Aliases of an embedded library, in a JSON file beside it: Milvus Lite has none of its own."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from image_search.errors import VectorStoreError
from image_search.vectors.file_lock import FileLock


class AliasFile:
    """alias -> collection, read again whenever another process has replaced the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._writers = FileLock(path.with_name(path.name + ".lock"))
        self._seen: tuple[int, int, int] | None = None
        self._aliases: dict[str, str] = {}

    def read(self) -> dict[str, str]:
        """Every alias and its collection. Raises VectorStoreError for a file that is damaged."""
        with self._lock:
            return dict(self._read())

    def change(self, edit: Callable[[dict[str, str]], None]) -> None:
        """Let `edit` change the aliases and replace the file in one step, one writer at a time."""
        with self._writers.held(), self._lock:
            aliases = dict(self._read())
            edit(aliases)
            write_private(self._path, json.dumps(aliases, indent=1, sort_keys=True))

    def _read(self) -> dict[str, str]:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._aliases = _parse(self._path.read_text(encoding="utf-8"), self._path.name)
                self._seen = seen
        except FileNotFoundError:
            self._aliases, self._seen = {}, None
        return self._aliases


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step by one that only its owner may read."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _parse(text: str, name: str) -> dict[str, str]:
    try:
        aliases = json.loads(text)
    except ValueError as error:
        raise VectorStoreError(f"{name} is not JSON: restore it, or remove it and rebuild") from error
    if not isinstance(aliases, dict) or not all(isinstance(target, str) for target in aliases.values()):
        raise VectorStoreError(f"{name} is not a table of aliases: restore it, or remove it and rebuild")
    return aliases
