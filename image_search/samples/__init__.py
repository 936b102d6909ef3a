"""The drawn sample pictures: a small library to try the system with, made on the spot and free of anyone's rights."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from image_search.errors import InvalidParameter
from image_search.samples.canvas import Drawing, Picture
from image_search.samples.creatures import CREATURES
from image_search.samples.nature import NATURE
from image_search.samples.patterns import PATTERNS
from image_search.samples.scenes import SCENES
from image_search.samples.things import THINGS

__all__ = ["KINDS", "draw_samples"]

KINDS: dict[str, Drawing] = {**NATURE, **CREATURES, **THINGS, **SCENES, **PATTERNS}
METADATA_FILENAME = "metadata.jsonl"
# Raised whenever a drawing changes, so that folders drawn by an older version are drawn again.
EDITION = 1
JPEG_QUALITY = 90
WORKERS = 2


def draw_samples(
    folder: Path, *, count: int = 720, seed: int = 2026, progress: Callable[[int, int], None] | None = None
) -> int:
    """The number of sample pictures that lie in `folder` afterwards, which is `count`.

    Draws `folder/<kind>/<kind>_NNN.jpg`, the kinds in turn, and `folder/metadata.jsonl` with a title and tags for each.
    A picture that is there already, of the same seed, is left as it is, so an interrupted call is resumed by the next;
    files of other names are left alone. The same seed draws the same bytes (with the same Pillow and NumPy), whatever
    the count. Every file appears whole under its name or not at all; two calls at once need two folders.
    `progress(done, total)` is called in the caller's thread after each picture.

    Raises:
        InvalidParameter: `count` is below 1, or there can be no such folder.
    """
    if count < 1:
        raise InvalidParameter("count", f"{count} is not a number of pictures to draw, which is at least 1")
    kinds = list(KINDS)
    places = [(kinds[i % len(kinds)], i // len(kinds)) for i in range(count)]
    try:
        for kind in kinds[:count]:
            (folder / kind).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidParameter("folder", f"{str(folder)!r} cannot be made: {error.strerror}") from error

    def one(place: tuple[str, int]) -> dict[str, Any]:
        kind, index = place
        path = folder / kind / f"{kind}_{index:03d}.jpg"
        words = _words_of(path, seed) or _draw(path, kind, index, seed)
        return {"filename": f"{kind}/{path.name}", "title": words["title"], "tags": words["tags"], "text": ""}

    lines = []
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="samples")
    try:
        for done, line in enumerate(pool.map(one, places), start=1):
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
            if progress is not None:
                progress(done, count)
    finally:
        pool.shutdown(cancel_futures=True)
    metadata, text = folder / METADATA_FILENAME, "".join(sorted(lines)).encode()
    if not metadata.exists() or metadata.read_bytes() != text:
        _write(metadata, text)
    return count


def _draw(path: Path, kind: str, index: int, seed: int) -> dict[str, Any]:
    # Of the picture alone, so that neither the order nor the count changes what is drawn.
    rng = np.random.default_rng([seed & 0xFFFFFFFFFFFFFFFF, zlib.crc32(kind.encode()), index])
    picture = Picture(rng)
    caption = KINDS[kind](picture)
    words = {"sample": EDITION, "seed": seed, "title": caption.title, "tags": list(caption.tags)}
    data = io.BytesIO()
    picture.finish().save(data, "JPEG", quality=JPEG_QUALITY, comment=json.dumps(words).encode())
    _write(path, data.getvalue())
    return words


def _words_of(path: Path, seed: int) -> dict[str, Any] | None:
    """The title and tags that the picture carries as its JPEG comment; None where it has to be drawn."""
    try:
        with Image.open(path) as image:
            words = json.loads(image.info.get("comment", b""))
    except (OSError, ValueError):
        return None
    if not isinstance(words, dict) or words.get("sample") != EDITION or words.get("seed") != seed:
        return None
    return words


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
