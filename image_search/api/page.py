"""The page's files, packed once: as a browser asks for each of them anew, and most of them are text."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import threading
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response, request
from werkzeug.exceptions import NotFound
from werkzeug.security import safe_join

from image_search.resources import web_folder

_TEXTS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Types of their own: what a machine takes a suffix for is a setting of that machine."""
_LEVEL = 9


@dataclass(frozen=True)
class _File:
    plain: bytes
    packed: bytes | None
    """None where packing would not make it smaller."""
    content_type: str
    etag: str
    """Of the plain form; that of the packed one differs."""
    stamp: tuple[int, int]


class PageFiles:
    """Files of one folder, kept in memory as they are and packed; one that changes is read again.

    Safe to call from several threads.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _File] = {}
        self._lock = threading.Lock()

    def read_all(self) -> None:
        """Read and pack everything, so that no request waits for it."""
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                self._get(path.relative_to(self._folder).as_posix())

    def send(self, name: str) -> Response:
        """The answer to the current request. Raises NotFound."""
        file = self._get(name)
        packs = file.packed is not None and request.accept_encodings["gzip"] > 0
        response = Response(file.packed if packs else file.plain, content_type=file.content_type)
        if packs:
            response.headers["Content-Encoding"] = "gzip"
        if file.packed is not None:
            response.headers["Vary"] = "Accept-Encoding"
        # Each form has a tag of its own: a cache must not mend one with bytes of the other.
        response.set_etag(f"{file.etag}-gz" if packs else file.etag)
        response.make_conditional(request)
        return response

    def _get(self, name: str) -> _File:
        found = safe_join(str(self._folder), name)
        if found is None:
            raise NotFound
        path = Path(found)
        # One name for one file, however it is asked for: each is kept in memory.
        name = path.relative_to(self._folder).as_posix()
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            known = self._files.get(name)
            if known is not None and known.stamp == stamp:
                return known
            made = _read(path, stamp)
        except (OSError, ValueError):
            raise NotFound from None
        with self._lock:
            self._files[name] = made
        return made


def register_page(app: Flask) -> None:
    """Routes of the page's files, by their top-level names: one for every path would answer 405 in place of 404."""
    folder = web_folder()
    files = PageFiles(folder)
    files.read_all()

    def send(name: str, below: str = "") -> Response:
        return files.send(f"{name}/{below}" if below else name)

    app.add_url_rule("/", "page", send, defaults={"name": "index.html"})
    for entry in sorted(folder.iterdir()):
        rule = f"/{entry.name}/<path:below>" if entry.is_dir() else f"/{entry.name}"
        app.add_url_rule(rule, "static", send, defaults={"name": entry.name})


def _read(path: Path, stamp: tuple[int, int]) -> _File:
    plain = path.read_bytes()
    kind = _TEXTS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    # Without a time in it, so that every worker packs to the same bytes.
    packed = gzip.compress(plain, _LEVEL, mtime=0) if path.suffix in _TEXTS else plain
    charset = "; charset=utf-8" if kind.startswith("text/") else ""
    etag = hashlib.sha256(plain).hexdigest()[:24]
    return _File(plain, packed if len(packed) < len(plain) else None, kind + charset, etag, stamp)
