"""Single pictures and the library as a whole: insert, list, get, update, delete, restore, status."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from image_search.errors import CollectionNotFound, ImageNotFound, ImageSearchError, InvalidParameter
from image_search.filters import Filter
from image_search.fingerprint import content_hash
from image_search.imaging import SNIFF_BYTES, sniff_content_type
from image_search.interfaces import ImageStore, Keeping
from image_search.metadata.words import NO_WORDS, Words
from image_search.records import OnDuplicate, merge_records
from image_search.services.collections import Collections, OpenCollection
from image_search.services.gate import PictureLocks
from image_search.services.library.changes import Changes, changed_record
from image_search.services.library.newest import newest_first, place_of
from image_search.services.library.trash import DeletedPage, Trash
from image_search.services.objects import store_objects
from image_search.services.preparing import THUMBNAIL_TYPE, Preparer
from image_search.services.raw_vectors import as_kept
from image_search.services.searching.answer import describe_model
from image_search.storage.keys import check_image_id, original_key, thumbnail_key, vector_key
from image_search.types import CollectionSpec, ImageRecord, SearchParams

MAX_PAGE = 1000
"""Pictures of one page of a list."""
MAX_RANDOM = 100


@dataclass(frozen=True, slots=True)
class InsertOutcome:
    """What an insert did."""

    record: ImageRecord
    status: Literal["created", "duplicate"]


@dataclass(frozen=True, slots=True)
class ImagePage:
    """Some of a collection's pictures, in order of image_id."""

    records: tuple[ImageRecord, ...]
    next: str | None
    """What to give as `after` for the next ones; None = there are no more."""


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
    """Single pictures of one library. Safe to call from several threads and processes of one machine."""

    def __init__(
        self,
        collections: Collections,
        images: ImageStore,
        preparer: Preparer,
        trash: Trash,
        locks: PictureLocks,
        *,
        keeps_deleted: bool,
    ) -> None:
        """`keeps_deleted`: whether deleted pictures go into the trash, or for good at once."""
        self._collections, self._images, self._preparer = collections, images, preparer
        self._trash, self._locks, self._keeps_deleted = trash, locks, keeps_deleted

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
        if not self._collections.exists(collection):
            # Decoded first: what is refused must not leave an empty collection.
            self._preparer.decode(data, self._collections.provider.get("none").shortest_px)
        self._collections.open_or_create(collection)
        image_id = content_hash(data)
        with self._locks.holding([image_id]):
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
        # Another process may have written it a moment ago; its original lay there first, and looking for that is quick.
        latest = self._images.exists(prepared.record.object_key)
        old = store.get(opened.physical, [image_id], latest=latest).get(image_id)
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
        found = self._rows(collection, [check_image_id(image_id)])
        if image_id not in found:
            # Another process may have written it a moment ago: only what is not there costs the longer look.
            found = self._rows(collection, [image_id], latest=True)
        if image_id not in found:
            raise ImageNotFound(f"no picture {image_id!r} in collection {collection!r}")
        return found[image_id]

    def known(self, collection: str, image_ids: Sequence[str]) -> dict[str, ImageRecord]:
        """The records of those pictures that the collection has, by the SHA-256 of their bytes."""
        found: dict[str, ImageRecord] = {}
        for start in range(0, len(image_ids), MAX_PAGE):
            found |= self._rows(collection, image_ids[start : start + MAX_PAGE])
        return found

    def list_images(
        self, collection: str, *, where: Filter | None = None, after: str | None = None, limit: int = 100
    ) -> ImagePage:
        """The first `limit` (1 to 1,000) pictures after an id, in order of image_id.

        With `next` as the next `after` every picture is seen once that stays, whatever comes and goes.
        """
        _check_page(after, limit)
        store = self._collections.store
        found = self._collections.look(
            collection, lambda physical: store.list_records(physical, where=where, after=after, limit=limit + 1)
        )
        more = len(found) > limit
        return ImagePage(tuple(found[:limit]), found[limit - 1].image_id if more else None)

    def list_newest(
        self, collection: str, *, where: Filter | None = None, after: str | None = None, limit: int = 100
    ) -> ImagePage:
        """The first `limit` (1 to 1,000) pictures after a place, newest first; `next` as in `list_images`."""
        _check_page(None, limit)
        found = self._collections.look(
            collection,
            lambda physical: newest_first(self._collections.store, physical, where=where, after=after, limit=limit + 1),
        )
        more = len(found) > limit
        return ImagePage(tuple(found[:limit]), place_of(found[limit - 1]) if more else None)

    def random_images(self, collection: str, n: int = 1, where: Filter | None = None) -> list[ImageRecord]:
        """n (1 to 100) different pictures at random, all of them where there are not so many."""
        if not 1 <= n <= MAX_RANDOM:
            raise InvalidParameter("n", f"{n}; 1 to {MAX_RANDOM} is expected")
        return self._collections.look(collection, lambda physical: self._collections.store.sample(physical, n, where))

    def update(self, collection: str, image_id: str, changes: Changes) -> ImageRecord:
        """The record of a picture after changing its words. Raises ImageNotFound, InvalidParameter."""
        check_image_id(image_id)
        store = self._collections.store

        def change(physical: str) -> ImageRecord:
            old = store.get(physical, [image_id], latest=True).get(image_id)
            if old is None:
                raise ImageNotFound(f"no picture {image_id!r} in collection {collection!r}")
            new = changed_record(old, changes)
            if new != old:
                store.update(physical, [new])
            return new

        with self._locks.holding([image_id]):
            return self._collections.alter(collection, change)

    def original(self, image_id: str, collection: str | None = None) -> tuple[bytes, str]:
        """The original's bytes and content type. Raises ImageNotFound, also where no collection shows the picture.

        `collection`: where it probably is, which saves looking through the others.
        """
        self._check_shown(image_id, collection)
        data = self._images.get(original_key(image_id))
        return data, sniff_content_type(data[:SNIFF_BYTES]) or "application/octet-stream"

    def keeping(self, image_id: str, beside: Path | None) -> Keeping:
        """What the library has of a picture's original, and whether it can do without the file `beside`."""
        return self._images.keeping(original_key(image_id), beside)

    def thumbnail(self, image_id: str, collection: str | None = None) -> tuple[bytes, str]:
        """The thumbnail's bytes and content type, on the same terms as `original`."""
        self._check_shown(image_id, collection)
        return self._images.get(thumbnail_key(image_id)), THUMBNAIL_TYPE

    def delete(self, collection: str, image_ids: Sequence[str], *, permanently: bool = False) -> int:
        """Move pictures into the trash, absent ones are fine; returns how many were there.

        `permanently` (and always where no trash is kept): their files go too, as far as no other collection and no
        other trash shows them; pictures that lie in the trash already count.
        """
        ids = [check_image_id(image_id) for image_id in image_ids]
        self._collections.spec(collection)
        with self._locks.holding(ids):
            if permanently or not self._keeps_deleted:
                return self._trash.destroy(collection, ids)
            return self._trash.take(collection, ids)

    def restore(self, collection: str, image_id: str) -> ImageRecord:
        """Bring a deleted picture back as it was; one that is there is returned as it is.

        Where the same picture was inserted again meanwhile, the words of both unite. Raises ImageNotFound, Conflict.
        """
        with self._locks.holding([check_image_id(image_id)]):
            return self._trash.restore(collection, image_id)

    def list_deleted(self, collection: str, *, after: str | None = None, limit: int = 100) -> DeletedPage:
        """The first `limit` (1 to 1,000) pictures in the trash after an id, in order of image_id."""
        _check_page(after, limit)
        self._collections.spec(collection)
        return self._trash.page(collection, after=after, limit=limit)

    def purge(self, *, older_than_s: float, stop: threading.Event | None = None) -> int:
        """Empty the trash of what was deleted so long ago; returns how many pictures left it.

        Files go only where no collection and no other trash shows them. Setting `stop` ends it between pictures.
        """
        return self._trash.purge(older_than_s=older_than_s, stop=stop)

    def status(self, collection: str) -> LibraryStatus:
        """The library at a glance; a collection that does not exist yet has 0 images."""
        store = self._collections.store
        try:
            spec: CollectionSpec | None = self._collections.spec(collection)
            images = store.count(store.resolve(collection))
        except CollectionNotFound:
            spec, images = None, 0
        try:
            chosen = self.choose_model(collection)
        except ImageSearchError as error:
            # Status is asked when something is wrong; "no model" is one of its answers.
            chosen = ModelChoice("", "unusable", str(error))
        return LibraryStatus(collection, tuple(self._collections.names()), images, spec, chosen)

    def collections(self) -> list[tuple[str, int, CollectionSpec]]:
        """Name, number of pictures and spec of each collection, sorted by name."""
        found = []
        for name in self._collections.names():
            try:
                found.append(
                    (name, self._collections.look(name, self._collections.store.count), self._collections.spec(name))
                )
            except CollectionNotFound:
                continue  # dropped since its name was read
        return found

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
        """Return when the model is loaded, the files' store answers and a search does. Raises the error of the part."""
        store = self._collections.store
        store.ping()
        self._images.ping()
        if self._collections.exists(collection):
            opened = self._collections.open(collection)
            # A server that has just come back answers questions before it can search.
            store.search(opened.physical, np.eye(1, opened.spec.dim, dtype=np.float32), SearchParams(top_k=1))
        else:
            self._collections.provider.get("none")

    def _rows(self, collection: str, image_ids: Sequence[str], *, latest: bool = False) -> dict[str, ImageRecord]:
        store = self._collections.store
        return self._collections.look(collection, lambda physical: store.get(physical, image_ids, latest=latest))

    def _check_shown(self, image_id: str, collection: str | None) -> None:
        """Raise ImageNotFound where no collection shows the picture: the file of a deleted one is nobody's any more."""
        check_image_id(image_id)
        if collection is not None and self._shows(collection, image_id):
            return
        names = self._collections.names()
        # Another process may have inserted it a moment ago: only what is not there costs the longer look.
        looks = [(name, False) for name in names if name != collection] + [(name, True) for name in names]
        if not any(self._shows(name, image_id, latest=latest) for name, latest in looks):
            raise ImageNotFound(f"no picture {image_id!r}")

    def _shows(self, collection: str, image_id: str, *, latest: bool = False) -> bool:
        try:
            return image_id in self._rows(collection, [image_id], latest=latest)
        except CollectionNotFound:
            return False


def _check_page(after: str | None, limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidParameter("limit", f"{limit}; 1 to {MAX_PAGE:,} is expected")
    if after is not None:
        try:
            check_image_id(after)
        except ImageNotFound as error:
            raise InvalidParameter("after", "must be the id of a picture, as `next` of the page before") from error
