"""How good the configured model, projection and index are on a folder with one sub-folder for each class."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from image_search.errors import InvalidInput
from image_search.evaluation import exact_neighbours, recall_at_k, retrieval_quality
from image_search.fingerprint import content_hash
from image_search.interfaces import FloatArray
from image_search.names import parse_projection
from image_search.services.collections import Collections
from image_search.services.preparing import Preparer
from image_search.services.progress import Progress, ProgressListener, no_progress
from image_search.services.scanning import Candidate, Source
from image_search.storage.keys import original_key
from image_search.types import Failure, ImageRecord, SearchParams

CHUNK = 256
MAX_RECALL_QUERIES = 1000
"""Queries of recall@10; spread evenly over the files."""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Quality of retrieval by class, and of the index against exact search."""

    precision_at_1: float
    precision_at_10: float
    map: float
    recall_at_10: float
    images: int
    classes: int
    queries: int
    model_id: str
    projection_id: str
    dim: int
    index: str
    failed: tuple[Failure, ...]
    elapsed_s: float


class EvaluationService:
    """Evaluates on folders, in a temporary collection."""

    def __init__(
        self, collections: Collections, preparer: Preparer, *, threads: int, embed_threads: int, batch_size: int
    ) -> None:
        self._collections, self._preparer = collections, preparer
        self._threads, self._embed_threads, self._batch_size = threads, embed_threads, batch_size

    def run(
        self,
        folder: Path,
        *,
        exclude: Collection[str] = (),
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> EvaluationReport:
        """Embed every picture below `folder`; its class is the first folder of its path.

        Raises InvalidInput where there are not at least two classes with a picture each.
        """
        started = time.perf_counter()
        source = Source(folder)
        source.check()
        chosen = [c for c in source.candidates() if "/" in c.source_name and _label(c) not in exclude]
        if len({_label(c) for c in chosen}) < 2:
            raise InvalidInput(
                f"folder {folder.name!r} must hold one sub-folder of pictures for each class, at least two"
            )
        candidates, ids, raw, failed = self._embed(chosen, on_progress, stop or threading.Event())
        if len(candidates) < 2:
            raise InvalidInput(f"folder {folder.name!r} holds no pictures that can be read")
        projection_id = self._projection_id(raw)
        embeddings = self._collections.provider.get(projection_id).project(raw)
        names = sorted({_label(c) for c in candidates})
        labels = np.array([names.index(_label(c)) for c in candidates])
        quality = retrieval_quality(embeddings, labels)
        recall, index = self._recall(projection_id, ids, embeddings, on_progress)
        return EvaluationReport(
            precision_at_1=round(quality.precision_at_1, 4),
            precision_at_10=round(quality.precision_at_10, 4),
            map=round(quality.map, 4),
            recall_at_10=round(recall, 4),
            images=len(candidates),
            classes=len(names),
            queries=quality.queries,
            model_id=self._collections.provider.model_id,
            projection_id=projection_id,
            dim=int(embeddings.shape[1]),
            index=index,
            failed=tuple(failed),
            elapsed_s=round(time.perf_counter() - started, 3),
        )

    def _embed(
        self, candidates: list[Candidate], on_progress: ProgressListener, stop: threading.Event
    ) -> tuple[list[Candidate], list[str], FloatArray, list[Failure]]:
        embedder = self._collections.provider.get("none")

        def prepare(candidate: Candidate) -> tuple[str, FloatArray] | str:
            try:
                data = self._preparer.read(candidate)
                image = self._preparer.decode(data, embedder.shortest_px).image
            except InvalidInput as error:
                return str(error)
            return content_hash(data), embedder.preprocess([image])[0]

        good: list[Candidate] = []
        ids: list[str] = []
        rows: list[FloatArray] = []
        failed: list[Failure] = []
        with (
            ThreadPoolExecutor(self._threads, thread_name_prefix="evaluate-decode") as pool,
            ThreadPoolExecutor(self._embed_threads, thread_name_prefix="evaluate-network") as networks,
        ):
            upcoming = pool.map(prepare, candidates[:CHUNK])
            for start in range(0, len(candidates), CHUNK):
                if stop.is_set():
                    raise InvalidInput("the evaluation was stopped; it keeps nothing")
                # The next chunk is decoded while this one is embedded.
                prepared, upcoming = upcoming, pool.map(prepare, candidates[start + CHUNK : start + 2 * CHUNK])
                tensors = []
                for candidate, result in zip(candidates[start : start + CHUNK], prepared, strict=True):
                    if isinstance(result, str):
                        failed.append(Failure(candidate.source_name, result))
                        continue
                    good.append(candidate)
                    ids.append(result[0])
                    tensors.append(result[1])
                firsts = range(0, len(tensors), self._batch_size)
                rows += networks.map(embedder.embed_raw, [np.stack(tensors[i : i + self._batch_size]) for i in firsts])
                on_progress(Progress("embedding", len(good) + len(failed), len(candidates), len(failed)))
        raw = np.concatenate(rows) if rows else np.zeros((0, embedder.raw_dim), np.float32)
        return good, ids, raw, failed

    def _projection_id(self, raw: FloatArray) -> str:
        provider, wanted = self._collections.provider, parse_projection(self._collections.projection)
        if wanted.kind == "pca":
            return provider.fit_pca([raw], wanted.dim)
        return provider.make_random(wanted.dim) if wanted.kind == "random" else "none"

    def _recall(
        self, projection_id: str, ids: list[str], embeddings: FloatArray, on_progress: ProgressListener
    ) -> tuple[float, str]:
        """recall@10 of the configured index, in a collection that is dropped again."""
        store = self._collections.store
        # The same bytes twice are one row of a collection.
        first_row = {image_id: row for row, image_id in reversed(list(enumerate(ids)))}
        unique = sorted(first_row.values())
        gallery = embeddings[unique]
        row_of = {ids[row]: place for place, row in enumerate(unique)}
        spec = self._collections.new_spec(projection_id)
        name = self._collections.create_beside(f"evaluation{os.getpid()}", spec)
        try:
            for start in range(0, len(unique), 1024):
                records = [ImageRecord(ids[r], original_key(ids[r]), (0, 0)) for r in unique[start : start + 1024]]
                store.upsert(name, records, gallery[start : start + 1024])
                on_progress(Progress("indexing", start + len(records), len(unique)))
            store.build_index(name)
            queries = gallery[:: max(1, len(gallery) // MAX_RECALL_QUERIES)]
            exact = exact_neighbours(gallery, queries, 10)
            found = [
                [row_of[hit.record.image_id] for hit in hits]
                for start in range(0, len(queries), 64)
                for hits in store.search(name, queries[start : start + 64], SearchParams(top_k=10))
            ]
            return recall_at_k(found, exact, gallery, queries, 10), spec.index.kind
        finally:
            store.drop_collection(name)


def _label(candidate: Candidate) -> str:
    return candidate.source_name.split("/", 1)[0]
