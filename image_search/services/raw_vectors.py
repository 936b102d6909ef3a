"""The raw vectors of a collection's pictures, from wherever they are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from image_search.errors import ImageNotFound, InvalidInput
from image_search.interfaces import FloatArray, ImageStore, VectorArchive, VectorStore
from image_search.services.collections import OpenCollection
from image_search.services.preparing import Preparer
from image_search.storage.keys import original_key, vector_key
from image_search.types import CollectionSpec, ImageRecord

BATCH = 1024
CLOCK_MARGIN_S = 60.0
"""Files are stamped by the clock of whoever stores them: what is looked for begins that much earlier."""

LostListener: TypeAlias = Callable[[ImageRecord, str], None]
"""Is told of a picture that has neither a raw vector nor an original that one could be made of, and why."""


def as_kept(raw: FloatArray) -> FloatArray:
    """Raw vectors as they are kept, in float16: embeddings are made of these, so that a rebuild gives them again."""
    limit = float(np.finfo(np.float16).max)
    return np.clip(raw, -limit, limit).astype(np.float16).astype(np.float32)


class RawVectors:
    """Raw vectors as any positive multiple of them: every use normalises first.

    They are read from the collection itself where it has no projection, else from the archive of bulk runs, else from
    beside the picture, else made again from the original.
    """

    def __init__(
        self,
        store: VectorStore,
        images: ImageStore,
        archive_for: Callable[[str], VectorArchive],
        preparer: Preparer,
    ) -> None:
        self._store, self._images, self._archive_for, self._preparer = store, images, archive_for, preparer

    def all(self, opened: OpenCollection, lost: LostListener) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Every row's record and raw vector, in batches; `opened` must be open for raw vectors.

        `lost` is told of those that have none any more.
        """
        if opened.spec.projection_id == "none":
            yield from self._store.iterate(opened.physical, batch_size=BATCH)
            return
        seen: set[str] = set()
        yield from self._archived_rows(opened.physical, opened.spec.model_id, seen)
        for batch, _ in self._store.iterate(opened.physical, batch_size=BATCH):
            missing = [record for record in batch if record.image_id not in seen]
            found = self._each(opened, missing, self._single, lost)
            if found:
                yield [r for r in missing if r.image_id in found], np.stack(list(found.values()))

    def kept(
        self, physical: str, spec: CollectionSpec, lost: LostListener
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """The same without a network: those rows whose raw vectors are kept, while others write, too.

        `lost` is told of the others. A vector of another length than the first that was found is damaged, and lost.
        """
        if spec.projection_id == "none":
            yield from self._store.iterate(physical, batch_size=BATCH)
            return
        seen: set[str] = set()
        since_s = time.time() - CLOCK_MARGIN_S
        dim: int | None = None
        for records, raw in self._archived_rows(physical, spec.model_id, seen):
            dim = raw.shape[1]
            yield records, raw
        missing: dict[str, ImageRecord] = {}
        for batch, _ in self._store.iterate(physical, batch_size=BATCH):
            found: dict[str, FloatArray] = {}
            for record in batch:
                alone = None if record.image_id in seen else self._beside_picture(record, spec.model_id)
                if alone is not None and dim is None:
                    dim = len(alone) or None
                if alone is not None and len(alone) == dim:
                    found[record.image_id] = alone
                elif record.image_id not in seen:
                    missing[record.image_id] = record
            if found:
                seen.update(found)
                yield [r for r in batch if r.image_id in found], np.stack(list(found.values()))
        if missing:
            # A bulk run that goes on wrote some of them since the archive was read.
            yield from self._archived_rows(physical, spec.model_id, seen, since_s=since_s)
        for image_id in self._store.get(physical, list(missing.keys() - seen)):
            lost(missing[image_id], "no raw vector of it is kept")

    def of(
        self, opened: OpenCollection, records: Sequence[ImageRecord], lost: LostListener, *, since_s: float
    ) -> tuple[list[ImageRecord], FloatArray]:
        """Raw vectors of rows written since that Unix time, by a bulk run or one by one, and the rows themselves.

        `lost` is told of those that have none any more: they are left out.
        """
        found = self._archived(opened, {record.image_id for record in records}, since_s=since_s)
        for record in records:
            if record.image_id not in found and (alone := self._kept_alone(opened, record)) is not None:
                found[record.image_id] = alone
        # Older shards hold what was written anew without being embedded anew: after an edit, or another rebuild.
        missing = {record.image_id for record in records if record.image_id not in found}
        if missing:
            found |= self._archived(opened, missing, since_s=0.0)
        found |= self._each(opened, [r for r in records if r.image_id not in found], self._made_again, lost)
        there = [record for record in records if record.image_id in found]
        if not there:
            return [], np.empty((0, opened.embedder.raw_dim), np.float32)
        return there, np.stack([found[record.image_id] for record in there])

    def one(self, opened: OpenCollection, record: ImageRecord) -> FloatArray:
        """(raw_dim,) raw vector of one picture. Raises ImageNotFound, InvalidInput where there is none any more."""
        try:
            # The archive last: for one picture it costs less to embed again than to read through all the shards.
            return self._single(opened, record)
        except (ImageNotFound, InvalidInput):
            archived = self._archived(opened, {record.image_id}, since_s=0.0)
            if not archived:
                raise
            return archived[record.image_id]

    def _archived_rows(
        self, physical: str, model_id: str, seen: set[str], *, since_s: float = 0.0
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Rows of the collection that are in the archive, each once; adds their ids to `seen`."""
        for archived, raw in self._archive_for(model_id).iterate(BATCH, since_s=since_s):
            current = self._store.get(physical, [record.image_id for record in archived])
            rows = []
            for row, record in enumerate(archived):
                if record.image_id in current and record.image_id not in seen:
                    seen.add(record.image_id)
                    rows.append(row)
            if rows:
                yield [current[archived[row].image_id] for row in rows], raw[rows]

    def _each(
        self,
        opened: OpenCollection,
        records: Sequence[ImageRecord],
        find: Callable[[OpenCollection, ImageRecord], FloatArray],
        lost: LostListener,
    ) -> dict[str, FloatArray]:
        found: dict[str, FloatArray] = {}
        problems: list[tuple[ImageRecord, str]] = []
        for record in records:
            try:
                found[record.image_id] = find(opened, record)
            except (ImageNotFound, InvalidInput) as error:
                problems.append((record, str(error)))
        # What was deleted since its row was read is not lost.
        there = self._store.get(opened.physical, [r.image_id for r, _ in problems]) if problems else {}
        for record, reason in problems:
            if record.image_id in there:
                lost(record, reason)
        return found

    def _archived(self, opened: OpenCollection, wanted: set[str], *, since_s: float) -> dict[str, FloatArray]:
        found: dict[str, FloatArray] = {}
        for archived, raw in self._archive_for(opened.spec.model_id).iterate(BATCH, since_s=since_s):
            found |= {r.image_id: v for r, v in zip(archived, raw, strict=True) if r.image_id in wanted}
        return found

    def _single(self, opened: OpenCollection, record: ImageRecord) -> FloatArray:
        alone = self._kept_alone(opened, record)
        return alone if alone is not None else self._made_again(opened, record)

    def _kept_alone(self, opened: OpenCollection, record: ImageRecord) -> FloatArray | None:
        """What a single insert kept beside the picture, if it was one."""
        alone = self._beside_picture(record, opened.spec.model_id)
        # One of another length is damaged; the original is as good.
        return alone if alone is not None and len(alone) == opened.embedder.raw_dim else None

    def _beside_picture(self, record: ImageRecord, model_id: str) -> FloatArray | None:
        """The vector in the image store, of whatever length (0 = it is cut); None where there is none."""
        try:
            kept = self._images.get(vector_key(record.image_id, model_id))
        except ImageNotFound:
            return None
        if len(kept) % np.dtype(np.float16).itemsize:
            return np.empty(0, np.float32)
        return np.frombuffer(kept, np.float16).astype(np.float32)

    def _made_again(self, opened: OpenCollection, record: ImageRecord) -> FloatArray:
        decoded = self._preparer.decode(self._images.get(original_key(record.image_id)), opened.embedder.shortest_px)
        again: FloatArray = as_kept(opened.embedder.embed_raw(opened.embedder.preprocess([decoded.image])))[0]
        return again
