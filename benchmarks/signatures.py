"""Hash, low-detail mark and vector of pictures and of their edits, made the way that the product makes them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import edits
from benchmarks.edits import edited
from image_search import fingerprint
from image_search.config import EmbeddingSettings, LibrarySettings, Settings
from image_search.imaging import decode
from image_search.interfaces import Embedder, FloatArray
from image_search.machine import available_cores
from image_search.services.preparing import Preparer
from image_search.wiring import build_services

MAX_PIXELS = 100_000_000
_BATCH = 64


@dataclass(frozen=True)
class Signatures:
    """What judging knows of n pictures, row by row."""

    vectors: FloatArray
    """(n, dim), unit length, raw: before any projection."""
    hashes: NDArray[np.uint64]
    """(n, 3): what a record holds, and what a query looks with beside it."""
    low_detail: NDArray[np.bool_]
    """(n,)"""

    def __len__(self) -> int:
        return len(self.hashes)

    def of(self, rows: NDArray[np.intp] | slice) -> Signatures:
        """Those of some rows."""
        return Signatures(self.vectors[rows], self.hashes[rows], self.low_detail[rows])


class Signer:
    """Makes signatures with one model; keeps them in a folder where one is given."""

    def __init__(self, model: str, cache: Path | None) -> None:
        """`model`: a name or the path of an .onnx file."""
        self._cache = cache
        with tempfile.TemporaryDirectory(prefix="bench-signatures-") as data_dir:
            settings = Settings(library=LibrarySettings(data_dir=data_dir), embedding=EmbeddingSettings(model=model))
            services = build_services(settings, bulk=True)
            self._preparer: Preparer = services.preparer
            self._embedder: Embedder = services.provider.get("none")
            services.close()

    @property
    def model_id(self) -> str:
        """Of the network that makes the vectors."""
        return self._embedder.model_id

    @property
    def raw_dim(self) -> int:
        """Length of the vectors."""
        return self._embedder.raw_dim

    def sign(self, paths: Sequence[Path], kind: str = "") -> Signatures:
        """The signatures of pictures, or of an edit of each."""
        kept = self._cache and self._cache / f"{self._key(paths, kind)}.npz"
        if kept and kept.exists():
            with np.load(kept) as file:
                return Signatures(**{field.name: file[field.name] for field in fields(Signatures)})
        made = self._make(paths, kind)
        if kept:
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, **{field.name: getattr(made, field.name) for field in fields(Signatures)})
        return made

    def _make(self, paths: Sequence[Path], kind: str) -> Signatures:
        edge = self._embedder.shortest_px

        def one(path: Path) -> tuple[FloatArray, tuple[int, ...], bool]:
            data = path.read_bytes()
            if kind:
                data = edited(decode(data, max_pixels=MAX_PIXELS).image, kind)
            prepared = self._preparer.prepare(data, shortest_px=edge)
            tensor = self._embedder.preprocess([prepared.image])[0]
            return tensor, *self._preparer.fingerprint(prepared.image)

        vectors: list[FloatArray] = []
        hashes: list[tuple[int, ...]] = []
        low: list[bool] = []
        with ThreadPoolExecutor(available_cores()) as pool:
            for batch in _batches(paths):
                tensors, some_hashes, some_low = zip(*pool.map(one, batch), strict=True)
                vectors.append(self._embedder.project(self._embedder.embed_raw(np.stack(tensors))))
                hashes += some_hashes
                low += some_low
        return Signatures(np.concatenate(vectors), np.array(hashes, np.uint64), np.array(low))

    def _key(self, paths: Sequence[Path], kind: str) -> str:
        digest = hashlib.sha256(f"{self.model_id} {kind}\n".encode())
        # What was kept is of no use once an edit or a hash is made otherwise.
        for module in (edits, fingerprint):
            digest.update(Path(module.__file__).read_bytes())
        for path in paths:
            digest.update(f"{path.parent.name}/{path.name}\n".encode())
        return digest.hexdigest()[:24]


def _batches(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    return (paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH))
