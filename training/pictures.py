"""Folders of pictures -> packs: small decoded pictures beside the teacher's view of each, on disk and resumable."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.exam import MAX_PIXELS, MAX_SHAPE
from image_search.embedding.models import ModelFile
from image_search.embedding.network import Network
from image_search.embedding.preprocess import preprocess
from image_search.embedding.projection import normalise
from image_search.errors import InvalidInput
from image_search.imaging import decode, reduce_to_shortest
from image_search.interfaces import FloatArray

LOG = logging.getLogger("training")

CHUNK = 2048
"""Pictures per file of a pack: what a killed run repeats at most."""
EDGE_PX = 176
"""Shortest edge of a packed picture: more than the student sees, so that crops of it are sharp too."""
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


class TrainingError(Exception):
    """Something that the person who trains can put right."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some pictures of a pack."""

    pixels: np.memmap[tuple[int], np.dtype[np.uint8]]
    offsets: np.ndarray
    sizes: np.ndarray
    """(n, 2) width, height."""
    teacher: FloatArray
    """(n, raw) unit length: the mean of the teacher's views of the whole picture and of its mirror image."""
    paths: list[str]


class Pack:
    """All pictures of one folder, in the order of their paths."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self._chunks = chunks
        self._starts = np.cumsum([0, *(len(c.paths) for c in chunks)])
        self.paths = [path for chunk in chunks for path in chunk.paths]
        self.teacher: FloatArray = np.concatenate([chunk.teacher for chunk in chunks])

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, row: int) -> Image.Image:
        """The packed picture of a row."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        chunk = self._chunks[number]
        at = row - int(self._starts[number])
        width, height = (int(v) for v in chunk.sizes[at])
        start = int(chunk.offsets[at])
        pixels = np.asarray(chunk.pixels[start : start + width * height * 3]).reshape(height, width, 3)
        return Image.fromarray(pixels)


def list_pictures(folder: Path) -> list[str]:
    """Relative paths of the pictures below a folder, sorted. Raises TrainingError where there are none."""
    if not folder.is_dir():
        raise TrainingError(f"{folder} is not a folder")
    found = [
        os.path.relpath(os.path.join(root, name), folder)  # noqa: PTH118 (a hundred thousand Path objects are slow)
        for root, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(_SUFFIXES)
    ]
    if not found:
        raise TrainingError(f"{folder} holds no pictures ({', '.join(_SUFFIXES)})")
    return sorted(found)


def make_pack(folder: Path, teacher: ModelFile, cache: Path, *, limit: int = 0) -> Pack:
    """The pack of a folder, from the cache as far as it is there. `limit`: an evenly spread part of the pictures.

    A picture that cannot be read is counted and left out. Raises TrainingError where none is left.
    """
    paths = list_pictures(folder)
    if limit and limit < len(paths):
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, limit).astype(int)]
    key = hashlib.sha256(json.dumps([EDGE_PX, teacher.sha256, paths]).encode()).hexdigest()[:16]
    home = cache / f"{folder.name}-{key}"
    home.mkdir(parents=True, exist_ok=True)
    network: Network | None = None
    chunks = []
    for start in range(0, len(paths), CHUNK):
        stem = home / f"{start // CHUNK:05d}"
        if not stem.with_suffix(".npz").is_file():
            network = network or Network(teacher.path, teacher.spec)
            _write_chunk(stem, folder, paths[start : start + CHUNK], teacher, network)
            LOG.info("%s: %d of %d packed", folder.name, min(start + CHUNK, len(paths)), len(paths))
        chunks.append(_read_chunk(stem))
    chunks = [chunk for chunk in chunks if chunk.paths]
    if not chunks:
        raise TrainingError(f"none of the {len(paths)} pictures in {folder.name} can be read")
    pack = Pack(chunks)
    if skipped := len(paths) - len(pack):
        LOG.warning("%s: %d of %d left out (unreadable, or too long for their width)", folder.name, skipped, len(paths))
    return pack


def _write_chunk(stem: Path, folder: Path, paths: list[str], teacher: ModelFile, network: Network) -> None:
    views: list[FloatArray] = []
    rows: list[FloatArray] = []
    offsets, sizes, kept = [], [], []
    written = 0
    part = stem.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        for path, image in _decoded(folder, paths, teacher.spec.resize_shortest_px):
            small = reduce_to_shortest(image, EDGE_PX)
            offsets.append(written)
            written += file.write(small.tobytes())
            sizes.append(small.size)
            kept.append(path)
            view = preprocess(image, teacher.spec)
            views += [view, np.ascontiguousarray(view[:, :, ::-1])]
            if len(views) >= 32:
                rows.append(normalise(network.run(np.stack(views))))
                views = []
        if views:
            rows.append(normalise(network.run(np.stack(views))))
    both = np.concatenate(rows).reshape(-1, 2, teacher.spec.dim) if rows else np.zeros((0, 2, teacher.spec.dim))
    part.replace(stem.with_suffix(".pixels"))
    whole = stem.with_suffix(f".{os.getpid()}.npz.part")
    with whole.open("wb") as file:
        np.savez(
            file,
            offsets=np.array(offsets, np.int64),
            sizes=np.array(sizes, np.int32).reshape(-1, 2),
            teacher=normalise(both.mean(axis=1)).astype(np.float16),
            paths=np.array(kept),
        )
    # Last: a chunk whose index is there is whole.
    whole.replace(stem.with_suffix(".npz"))


def _decoded(folder: Path, paths: list[str], shortest_px: int) -> Iterator[tuple[str, Image.Image]]:
    for path in paths:
        try:
            image = decode((folder / path).read_bytes(), max_pixels=MAX_PIXELS, shortest_px=shortest_px).image
        except (InvalidInput, OSError) as error:
            LOG.warning("left out %s: %s", path, error)
            continue
        if max(image.size) <= MAX_SHAPE * min(image.size):
            yield path, image


def _read_chunk(stem: Path) -> Chunk:
    with np.load(stem.with_suffix(".npz")) as index:
        paths = [str(path) for path in index["paths"]]
        pixels = stem.with_suffix(".pixels")
        return Chunk(
            pixels=np.memmap(pixels, np.uint8, "r") if paths else np.zeros(0, np.uint8),
            offsets=index["offsets"],
            sizes=index["sizes"],
            teacher=index["teacher"].astype(np.float32),
            paths=paths,
        )
