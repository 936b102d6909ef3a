"""MobileNetV2's raw vectors of real pictures, embedded once and kept in results/."""

from __future__ import annotations

import hashlib
import random
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image

from benchmarks.report import MOBILENET, RESULTS, unpacked
from image_search.embedding.models import find_model
from image_search.embedding.network import Network
from image_search.embedding.preprocess import preprocess
from image_search.imaging import MIN_EDGE_PX, decode
from image_search.interfaces import FloatArray
from image_search.machine import available_cores

BATCH = 32
MAX_PIXELS = 100_000_000


def real_pictures() -> list[Path]:
    """All shared pictures that the product takes, in a fixed order: Caltech, Flickr, then the small ones mixed."""
    small = [*_pictures("tinyimagenet"), *_pictures("cifar10")]
    random.Random(2026).shuffle(small)
    return [*_pictures("caltech"), *_pictures("flickr"), *small]


def raw_vectors(paths: Sequence[Path], count: int) -> FloatArray:
    """(count, 1280) of the first pictures of `paths`.

    They are kept in results/, and what was embedded for the same list before is read from there: a run that was
    stopped, or one that wants more of them, goes on where it was.
    """
    with tempfile.TemporaryDirectory() as cache:
        model = find_model(str(MOBILENET), Path(cache))
    names = "\n".join("/".join(path.parts[-3:]) for path in paths)
    digest = hashlib.sha256(f"{model.model_id}\n{names}".encode()).hexdigest()[:12]
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"mobilenet-{digest}.npy"
    shape = (len(paths), model.spec.dim)
    rows = open_memmap(kept, mode="r+" if kept.exists() else "w+", dtype=np.float32, shape=shape)
    # What is not written yet is zeros, and no vector of this network is.
    done = int(np.flatnonzero(rows.any(axis=1)).max(initial=-1) + 1) // BATCH * BATCH
    network = Network(model.path, model.spec, threads=available_cores())

    def prepared(path: Path) -> FloatArray:
        image = decode(path.read_bytes(), max_pixels=MAX_PIXELS, shortest_px=model.spec.resize_shortest_px).image
        return preprocess(image, model.spec)

    with ThreadPoolExecutor(available_cores()) as pool:
        for start in range(done, count, BATCH):
            tensors = list(pool.map(prepared, paths[start : start + BATCH]))
            rows[start : start + len(tensors)] = network.run(np.stack(tensors))
    rows.flush()
    return np.array(rows[:count])


def _pictures(name: str) -> list[Path]:
    found = sorted(path for path in unpacked(name).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    return [path for path in found if min(_size_px(path)) >= MIN_EDGE_PX]


def _size_px(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
