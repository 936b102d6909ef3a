"""Deleted pictures: their rows wait in the image store, and their files stay, until they are restored or purged.

A deletion writes the entry, then removes the row; a purge removes the files, the original first, then the entry. A
crash between two steps leaves a picture that is shown, or one that can be restored, or one that the next purge takes;
a repetition of the step goes on where it ended.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from image_search.errors import Conflict, DatasetFormatError, ImageNotFound, ImageStoreError, InvalidInput
from image_search.interfaces import FloatArray, ImageStore
from image_search.metadata.words import united_fields
from image_search.records import merge_records, record_from_json, record_to_json
from image_search.services.collections import Collections, OpenCollection
from image_search.services.raw_vectors import RawVectors
from image_search.storage.keys import TRASH, in_trash, is_key, original_key, thumbnail_key, trash_key, vector_key
from image_search.types import ImageRecord

T = TypeVar("T")

BATCH = 32
"""Pictures whose files are removed in one go: writers wait meanwhile."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeletedImage:
    """A picture in the trash."""

    record: ImageRecord
    deleted_at_s: float
    """Unix time."""


@dataclass(frozen=True, slots=True)
class DeletedPage:
    """Some of the deleted pictures of a collection, in order of image_id."""

    entries: tuple[DeletedImage, ...]
    next: str | None
    """What to give as `after` for the next ones; None = there are no more."""


@dataclass(frozen=True)
class _Entry:
    """A row as it was, and what it takes to write it again."""

    record: ImageRecord
    deleted_at_s: float
    model_id: str
    projection_id: str
    vector: FloatArray
    """(dim,), as it stood in the collection of that model and projection."""
    has_original: bool
    """Rows may be imported without their pictures; such a one can do without its original again."""

    def to_bytes(self) -> bytes:
        head = {
            "version": 1,
            "deleted_at_s": self.deleted_at_s,
            "model_id": self.model_id,
            "projection_id": self.projection_id,
            "has_original": self.has_original,
            "vector": base64.b64encode(self.vector.astype("<f4").tobytes()).decode(),
        }
        return f"{json.dumps(head)}\n{record_to_json(self.record)}\n".encode()

    @staticmethod
    def from_bytes(data: bytes) -> _Entry:
        """Raises DatasetFormatError."""
        try:
            first, second, _ = data.decode().split("\n")
            head = json.loads(first)
            return _Entry(
                record_from_json(second),
                float(head["deleted_at_s"]),
                str(head["model_id"]),
                str(head["projection_id"]),
                np.frombuffer(base64.b64decode(head["vector"], validate=True), "<f4").astype(np.float32),
                bool(head["has_original"]),
            )
        except (ValueError, TypeError, KeyError, binascii.Error) as error:
            raise DatasetFormatError("is no entry of the trash") from error


class _DamagedError(ImageStoreError):
    """An entry cannot be read."""


class Trash:
    """The deleted pictures of one library. Callers keep others from the pictures that they name."""

    def __init__(self, collections: Collections, images: ImageStore, raw: RawVectors) -> None:
        self._collections, self._images, self._raw = collections, images, raw

    def take(self, collection: str, image_ids: Sequence[str]) -> int:
        """Move rows into the trash, absent ones are fine; returns how many were there.

        What is kept of an earlier deletion of the same picture is replaced: a restore brings it as it was last.
        """
        store = self._collections.store
        taken: set[str] = set()

        def move(physical: str) -> None:
            records = store.get(physical, image_ids, latest=True)
            spec = store.describe_collection(physical)
            vectors = store.get_embeddings(physical, list(records), latest=True) if records else {}
            now_s = time.time()
            for image_id, record in records.items():
                if image_id not in vectors:
                    continue  # another process deleted it in between
                there = self._images.exists(record.object_key)
                entry = _Entry(record, now_s, spec.model_id, spec.projection_id, vectors[image_id], there)
                self._images.put(trash_key(collection, image_id), entry.to_bytes(), "application/json")
                taken.add(image_id)
            if vectors:
                store.delete(physical, list(vectors))

        self._collections.alter(collection, move)
        return len(taken)

    def restore(self, collection: str, image_id: str) -> ImageRecord:
        """Write a deleted row again; where the picture came back meanwhile, its words unite with those that it had.

        A picture that is there and was not deleted is returned as it is. Raises ImageNotFound; Conflict where there is
        nothing any more from which to make its vector.
        """
        record = self._collections.write(collection, lambda opened: self._put_back(opened, image_id))
        self._images.delete(trash_key(collection, image_id))
        return record

    def _put_back(self, opened: OpenCollection, image_id: str) -> ImageRecord:
        store = self._collections.store
        there = store.get(opened.physical, [image_id], latest=True).get(image_id)
        entry = self._find(opened.name, image_id)
        if there is not None:
            if entry is None:
                return there
            merged = _united(there, entry.record)
            if merged != there:
                store.update(opened.physical, [merged])
            return merged
        if entry is None:
            raise ImageNotFound(f"no picture {image_id!r} in the trash of collection {opened.name!r}")
        if entry.has_original and not self._images.exists(entry.record.object_key):
            # A purge that did not come to its end, or a file that was referred to and is gone.
            raise ImageNotFound(f"picture {image_id!r} cannot be restored: its original is not there any more")
        store.upsert(opened.physical, [entry.record], self._vector(opened, entry))
        return entry.record

    def _vector(self, opened: OpenCollection, entry: _Entry) -> FloatArray:
        """(1, dim) embedding for the collection as it is now: it may have another projection than it had."""
        if entry.model_id == opened.spec.model_id:
            if entry.projection_id == opened.spec.projection_id:
                return entry.vector[None]
            if entry.projection_id == "none":
                return opened.embedder.project(entry.vector[None])
        try:
            raw = self._raw.one(opened, entry.record)
        except (ImageNotFound, InvalidInput) as error:
            raise Conflict(f"picture {entry.record.image_id!r} cannot be restored: {error}") from error
        return opened.embedder.project(raw[None])

    def page(self, collection: str, *, after: str | None, limit: int) -> DeletedPage:
        """The first `limit` deleted pictures after an id; those that came back are none."""
        found: list[DeletedImage] = []
        for ids in _batches(self._ids(collection, after), limit + 1):
            there = self._collections.look(collection, lambda physical, ids=ids: self._rows(physical, ids))  # type: ignore[misc]
            for image_id in ids:
                if image_id in there:
                    continue
                if (entry := self._find_whole(collection, image_id)) is not None:
                    found.append(DeletedImage(entry.record, entry.deleted_at_s))
            if len(found) > limit:
                break
        more = len(found) > limit
        return DeletedPage(tuple(found[:limit]), found[limit - 1].record.image_id if more else None)

    def destroy(self, collection: str, image_ids: Sequence[str]) -> int:
        """Remove rows, their entries and files for good; returns how many were in the collection or in its trash.

        Rows go first, files after. It needs no room on a disk, and repeating it completes it.
        """
        store = self._collections.store
        gone: set[str] = set()

        def remove(physical: str) -> None:
            gone.update(self._rows(physical, image_ids))
            store.delete(physical, list(image_ids))

        self._collections.alter(collection, remove)
        for ids in _batches(image_ids, BATCH):
            with self._collections.gate.switching():
                gone.update(i for i in ids if self._images.exists(trash_key(collection, i)))
                self._remove([(collection, image_id) for image_id in ids], set())
        return len(gone)

    def purge(self, *, older_than_s: float, stop: threading.Event | None = None) -> int:
        """Empty the trash of what was deleted so long ago; returns how many pictures left it."""
        before_s = time.time() - older_than_s
        purged = 0
        for places in _batches(self._older(before_s), BATCH):
            if stop is not None and stop.is_set():
                break
            with self._collections.gate.switching():
                # Again: it may have been restored, and deleted anew, since it was looked at.
                entries = [(place, self._find_whole(*place)) for place in places]
                old = [(place, entry) for place, entry in entries if entry and entry.deleted_at_s <= before_s]
                self._remove([place for place, _ in old], {entry.model_id for _, entry in old})
            purged += len(old)
        return purged

    def _older(self, before_s: float) -> Iterator[tuple[str, str]]:
        for place in self._places(TRASH):
            entry = self._find_whole(*place)
            if entry is not None and entry.deleted_at_s <= before_s:
                yield place

    def _remove(self, places: Sequence[tuple[str, str]], model_ids: set[str]) -> None:
        """Files that nobody else shows, and the entries; hold the gate, so that nobody brings them meanwhile."""
        names = self._collections.names()
        ids = [image_id for _, image_id in places]
        shown: set[str] = set()
        for name in names:
            shown |= self._collections.look(name, lambda physical: self._rows(physical, ids))
            model_ids = model_ids | {self._collections.spec(name).model_id}
        for collection, image_id in places:
            others = (trash_key(name, image_id) for name in names if name != collection)
            if image_id not in shown and not any(self._images.exists(key) for key in others):
                # The original first: without it the entry is not restored, should this end half-way.
                self._images.delete(original_key(image_id))
                self._images.delete(thumbnail_key(image_id))
                for model_id in model_ids:
                    self._images.delete(vector_key(image_id, model_id))
            self._images.delete(trash_key(collection, image_id))

    def _rows(self, physical: str, image_ids: Sequence[str]) -> set[str]:
        # Files go by what this says: a picture that another process has just written must not lose its own.
        return set(self._collections.store.get(physical, image_ids, latest=True))

    def _ids(self, collection: str, after: str | None) -> Iterator[str]:
        last = trash_key(collection, after) if after else ""
        for _, image_id in self._places(f"{TRASH}{collection}/", after=last):
            yield image_id

    def _places(self, prefix: str, *, after: str = "") -> Iterator[tuple[str, str]]:
        """(collection, image_id) of the entries, in their order; what others keep in the bucket is none."""
        return (in_trash(key) for key in self._images.iter_keys(prefix, after=after) if is_key(key))

    def _find(self, collection: str, image_id: str) -> _Entry | None:
        """The entry, None where there is none."""
        try:
            return _Entry.from_bytes(self._images.get(trash_key(collection, image_id)))
        except ImageNotFound:
            return None
        except DatasetFormatError as error:
            raise _DamagedError(f"what the trash of {collection} keeps of picture {image_id} is damaged") from error

    def _find_whole(self, collection: str, image_id: str) -> _Entry | None:
        """The entry, None where there is none or it is damaged: one of them must not keep all others."""
        try:
            return self._find(collection, image_id)
        except _DamagedError as error:
            _log.warning("%s; it is left alone", error)
            return None


def _united(there: ImageRecord, deleted: ImageRecord) -> ImageRecord:
    """What was said since wins; what was said before is there again; the time of the first insert stays."""
    merged = merge_records(there, deleted)
    return replace(merged, fields=united_fields(there.fields, deleted.fields), created_at_s=deleted.created_at_s)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
