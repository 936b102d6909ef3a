"""Single pictures and the library as a whole: insert, get, delete, update, status."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from image_search.errors import CollectionNotFound, ImageNotFound, ImageSearchError
from image_search.fingerprint import content_hash
from image_search.imaging import SNIFF_BYTES, sniff_content_type
from image_search.interfaces import ImageStore
from image_search.metadata.words import NO_WORDS, Words
from image_search.records import OnDuplicate, merge_records
from image_search.services.answer import describe_model
from image_search.services.collections import Collections, OpenCollection
from image_search.services.objects import store_objects
from image_search.services.preparing import THUMBNAIL_TYPE, Preparer
from image_search.services.raw_vectors import as_kept
from image_search.storage.keys import check_image_id, original_key, thumbnail_key, vector_key
from image_search.types import CollectionSpec, ImageRecord


@dataclass(frozen=True, slots=True)
class InsertOutcome:
    """What an insert did."""

    record: ImageRecord
    status: Literal["created", "duplicate"]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model a collection is used with, and why that one."""

    model_id: str
    """"" where none can be used."""
    why: Literal["named", "library", "default", "unusable"]
    """Named in the configuration; what the library was built with; what a new library takes; none can be used."""
    reason: str
    """The same in words; with "unusable", what to do."""


@dataclass(frozen=True, slots=True)
class LibraryStatus:
    """The library at a glance."""

    collection: str
    collections: tuple[str, ...]
    images: int
    spec: CollectionSpec | None
    """None while there is no such collection."""
    chosen: ModelChoice

    def as_dict(self) -> dict[str, Any]:
        """The status as plain data."""
        spec = self.spec
        return {
            "collection": self.collection,
            "collections": list(self.collections),
            "images": self.images,
            "model": describe_model(spec) if spec else None,
            "index": {"kind": spec.index.kind, "params": dict(spec.index.params)} if spec else None,
            "model_choice": {
                "name": self.chosen.model_id,
                "why": self.chosen.why,
                "reason": self.chosen.reason,
            },
        }


class LibraryService:
    """Single pictures of one library. Safe to call from several threads."""

    def __init__(self, collections: Collections, images: ImageStore, preparer: Preparer) -> None:
        self._collections, self._images, self._preparer = collections, images, preparer
        # Two inserts of the same bytes at once must not both find nothing; ids are hashes, so they spread evenly.
        self._stripes = [threading.Lock() for _ in range(64)]

    def insert(
        self,
        collection: str,
        data: bytes,
        *,
        source_name: str = "",
        words: Words = NO_WORDS,
        on_duplicate: OnDuplicate = "merge",
    ) -> InsertOutcome:
        """Store one picture; the next search finds it. Makes the collection where there is none.

        Raises InvalidImage and its siblings, ModelMismatch, BackendError.
        """
        self._collections.open_or_create(collection)
        image_id = content_hash(data)
        with self._alone([image_id]):
            return self._collections.write(
                collection, lambda opened: self._insert(opened, image_id, data, source_name, words, on_duplicate)
            )

    def _insert(
        self,
        opened: OpenCollection,
        image_id: str,
        data: bytes,
        source_name: str,
        words: Words,
        on_duplicate: OnDuplicate,
    ) -> InsertOutcome:
        store, embedder = self._collections.store, opened.embedder
        prepared = self._preparer.prepare(
            data, image_id=image_id, source_name=source_name, words=words, shortest_px=embedder.shortest_px
        )
        old = store.get(opened.physical, [image_id]).get(image_id)
        if old is not None:
            merged = merge_records(old, prepared.record, on_duplicate)
            if merged != old:
                store.update(opened.physical, [merged])
            if not self._images.exists(old.object_key):
                # Its row was imported without its picture.
                store_objects(self._images, prepared, data)
            return InsertOutcome(merged, "duplicate")
        raw = as_kept(embedder.embed_raw(embedder.preprocess([prepared.image])))
        # Objects first, the row last: a crash leaves an object without a row, never a hit without its picture.
        store_objects(self._images, prepared, data)
        vector = raw[0].astype(np.float16).tobytes()
        self._images.put(vector_key(image_id, embedder.model_id), vector, "application/octet-stream")
        store.upsert(opened.physical, [prepared.record], embedder.project(raw))
        return InsertOutcome(prepared.record, "created")

    def get(self, collection: str, image_id: str) -> ImageRecord:
        """The record of a picture. Raises ImageNotFound, CollectionNotFound."""
        found = self._collections.store.get(self._physical(collection), [check_image_id(image_id)])
        if image_id not in found:
            raise ImageNotFound(f"no picture {image_id!r} in collection {collection!r}")
        return found[image_id]

    def original(self, image_id: str) -> tuple[bytes, str]:
        """The original's bytes and content type. Raises ImageNotFound."""
        data = self._images.get(original_key(image_id))
        return data, sniff_content_type(data[:SNIFF_BYTES]) or "application/octet-stream"

    def thumbnail(self, image_id: str) -> tuple[bytes, str]:
        """The thumbnail's bytes and content type. Raises ImageNotFound."""
        return self._images.get(thumbnail_key(image_id)), THUMBNAIL_TYPE

    def delete(self, collection: str, image_ids: Sequence[str]) -> int:
        """Remove pictures, absent ones are fine; returns how many were there.

        Rows go first, objects after, and only those that no other collection shows.
        """
        ids = [check_image_id(image_id) for image_id in image_ids]
        spec = self._collections.spec(collection)
        with self._alone(ids):
            return self._delete(collection, ids, spec.model_id)

    def _delete(self, collection: str, ids: list[str], model_id: str) -> int:
        store = self._collections.store
        deleted = self._collections.alter(collection, lambda physical: store.delete(physical, ids))
        elsewhere: set[str] = set()
        for name in self._collections.names():
            elsewhere |= set(store.get(self._physical(name), ids))
        for image_id in ids:
            if image_id not in elsewhere:
                for key in (
                    vector_key(image_id, model_id),
                    thumbnail_key(image_id),
                    original_key(image_id),
                ):
                    self._images.delete(key)
        return deleted

    def status(self, collection: str) -> LibraryStatus:
        """The library at a glance; a collection that does not exist yet has 0 images."""
        store = self._collections.store
        try:
            spec: CollectionSpec | None = self._collections.spec(collection)
            images = store.count(self._physical(collection))
        except CollectionNotFound:
            spec, images = None, 0
        try:
            chosen = self.choose_model(collection)
        except ImageSearchError as error:
            # Status is asked when something is wrong; "no model" is one of its answers.
            chosen = ModelChoice("", "unusable", str(error))
        return LibraryStatus(collection, tuple(self._collections.names()), images, spec, chosen)

    def choose_model(self, collection: str) -> ModelChoice:
        """The model of a collection, found but not loaded.

        Raises ConfigError, ModelMismatch, EmbedderError where it cannot be used here; the message says what to do.
        """
        exists = self._collections.exists(collection)
        provider = self._collections.provider_for(collection)
        if not self._collections.provider.is_auto:
            return ModelChoice(provider.model_id, "named", "named in the configuration")
        if exists:
            return ModelChoice(provider.model_id, "library", f"collection {collection!r} was built with it")
        return ModelChoice(provider.model_id, "default", "the default of a new library")

    def check_ready(self, collection: str) -> None:
        """Return when stores answer and the model is loaded. Raises the error of the part that is not."""
        self._collections.store.ping()
        self._images.ping()
        if self._collections.exists(collection):
            self._collections.open(collection)
        else:
            self._collections.provider.get("none")

    @contextlib.contextmanager
    def _alone(self, image_ids: Sequence[str]) -> Iterator[None]:
        """Keep other threads from these pictures; always in one order, so that two calls cannot wait for each other."""
        with contextlib.ExitStack() as held:
            for stripe in sorted({int(image_id[:2], 16) % len(self._stripes) for image_id in image_ids}):
                held.enter_context(self._stripes[stripe])
            yield

    def _physical(self, collection: str) -> str:
        self._collections.spec(collection)
        return self._collections.store.resolve(collection)
