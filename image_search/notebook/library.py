"""A library for a notebook: one that a service serves, or one that is opened in this process; both behave alike."""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from image_search.client import Client, Hit, ImageInfo, NotFound
from image_search.config import Settings, load_settings
from image_search.errors import CollectionNotFound, ImageNotFound
from image_search.interfaces import FloatArray
from image_search.notebook.show import Shown
from image_search.services.measuring.comparing import ProjectionQuality, compare_projections, projections_to_compare
from image_search.services.scanning import METADATA_NAMES, Source
from image_search.services.searching.answer import SearchAnswer
from image_search.services.searching.query import Query
from image_search.types import ImageRecord, SearchParams
from image_search.wiring import Services, build_services

AT_ONCE = 8
"""Thumbnails that are fetched together."""


class Library(Protocol):
    """What a notebook asks of a library. Close it at the end.

    Raises ImageSearchError or, over HTTP, ClientError.
    """

    def count(self) -> int:
        """Its pictures."""
        ...

    def random(self, n: int) -> list[Shown]:
        """n pictures at random; all where there are not so many."""
        ...

    def similar(self, image: bytes, *, top_k: int = 12) -> list[Shown]:
        """The pictures most similar to the one in these bytes of a file, best first, with their cosines."""
        ...

    def like(self, image_id: str, *, top_k: int = 12) -> list[Shown]:
        """The same for a picture of the library, which is the first of them."""
        ...

    def by_words(self, text: str, *, top_k: int = 12) -> list[Shown]:
        """The pictures whose title, tags or text have these words, best first, by BM25."""
        ...

    def texts(self) -> list[str]:
        """Title, tags and text of every picture that has any, as one text each."""
        ...

    def close(self) -> None:
        """Release what was opened."""
        ...


class ServedLibrary:
    """A library behind a service's HTTP interface."""

    def __init__(self, address: str, *, key: str = "", collection: str | None = None) -> None:
        """Opens nothing yet. `key`: where searching needs one."""
        self._client, self._collection = Client(address, key=key), collection

    def count(self) -> int:
        """Its pictures."""
        return self._client.status(collection=self._collection).images

    def random(self, n: int) -> list[Shown]:
        """n pictures at random; all where there are not so many."""
        return self._shown(self._client.random(n, collection=self._collection))

    def similar(self, image: bytes, *, top_k: int = 12) -> list[Shown]:
        """The most similar pictures, best first."""
        return self._shown(self._client.search(image, top_k=top_k, collection=self._collection).results)

    def like(self, image_id: str, *, top_k: int = 12) -> list[Shown]:
        """Those most similar to a picture of the library."""
        return self._shown(self._client.search(image_id=image_id, top_k=top_k, collection=self._collection).results)

    def by_words(self, text: str, *, top_k: int = 12) -> list[Shown]:
        """The pictures with these words, best first."""
        return self._shown(self._client.search(text=text, top_k=top_k, collection=self._collection).results)

    def texts(self) -> list[str]:
        """The words of every picture that has any."""
        return _non_empty(_joined(i.title, i.tags, i.text) for i in self._client.images(collection=self._collection))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _shown(self, images: Sequence[ImageInfo]) -> list[Shown]:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="thumbnails") as pool:
            thumbnails = pool.map(self._thumbnail, [image.id for image in images])
            return [
                Shown(
                    image_id=image.id,
                    title=image.title or image.source_name or image.id[:12],
                    thumbnail=thumbnail,
                    score=image.score if isinstance(image, Hit) else None,
                    note=image.match if isinstance(image, Hit) and "image" in image.found_by else "",
                )
                for image, thumbnail in zip(images, thumbnails, strict=True)
            ]

    def _thumbnail(self, image_id: str) -> bytes:
        try:
            return self._client.thumbnail(image_id, collection=self._collection)
        except NotFound:
            return b""


@dataclass(frozen=True)
class OwnLibrary:
    """A library that is opened in this process; joins the process that has it open already."""

    services: Services
    collection: str
    scratch: tempfile.TemporaryDirectory[str] | None = None
    """Where all of it lies, if it is to be gone at the end."""

    def count(self) -> int:
        """Its pictures."""
        store = self.services.collections.store
        return self.services.collections.look(self.collection, store.count)

    def random(self, n: int) -> list[Shown]:
        """n pictures at random; all where there are not so many."""
        return [self._shown(record) for record in self.services.library.random_images(self.collection, n)]

    def similar(self, image: bytes, *, top_k: int = 12) -> list[Shown]:
        """The most similar pictures, best first."""
        return self._search(Query(image=image), top_k)

    def like(self, image_id: str, *, top_k: int = 12) -> list[Shown]:
        """Those most similar to a picture of the library."""
        return self._search(Query(image_id=image_id), top_k)

    def by_words(self, text: str, *, top_k: int = 12) -> list[Shown]:
        """The pictures with these words, best first."""
        return self._search(Query(text=text), top_k)

    def texts(self) -> list[str]:
        """The words of every picture that has any."""
        return _non_empty(_joined(r.title, r.tags, r.text) for records in self._batches() for r in records)

    def features(self) -> tuple[list[str], FloatArray]:
        """(labels, (n, raw_dim) raw vectors); a label is the first folder of a picture's name, "" where it has none."""
        labels: list[str] = []
        rows: list[FloatArray] = []
        for records, raw in self.services.features.batches(self.collection, lambda _record, _reason: None):
            labels += [r.source_name.partition("/")[0] if "/" in r.source_name else "" for r in records]
            rows.append(raw)
        if not rows:
            raise CollectionNotFound(f"collection {self.collection!r} has no raw vectors")
        return labels, np.concatenate(rows)

    def compare_projections(self, projections: Sequence[str] | None = None) -> list[ProjectionQuality]:
        """How good the library's vectors stay with each projection (None = with those that it is large enough for).

        The library is not changed.
        """
        labels, raw = self.features()
        if projections is None:
            projections = projections_to_compare(*raw.shape)
        settings = self.services.settings
        model_id = self.services.features.model_id(self.collection)
        with tempfile.TemporaryDirectory(prefix="image-search-projections-") as scratch:
            aside = build_services(_with_data_dir(settings, Path(scratch)))
            try:
                return compare_projections(aside.provider.for_model(model_id), raw, labels, projections)
            finally:
                aside.close()

    def close(self) -> None:
        """Release the stores; calling it again is fine."""
        atexit.unregister(self.close)
        self.services.close()
        if self.scratch is not None:
            self.scratch.cleanup()

    def _batches(self) -> Iterator[list[ImageRecord]]:
        store = self.services.collections.store
        for records, _ in store.iterate(store.resolve(self.collection)):
            yield records

    def _search(self, query: Query, top_k: int) -> list[Shown]:
        answer: SearchAnswer = self.services.search.search(self.collection, query, SearchParams(top_k=top_k))
        return [
            self._shown(ranked.hit.record, ranked.hit.score, ranked.match if ranked.hit.by_image else "")
            for ranked in answer.hits
        ]

    def _thumbnail(self, image_id: str) -> bytes:
        try:
            return self.services.library.thumbnail(image_id, self.collection)[0]
        except ImageNotFound:
            return b""

    def _shown(self, record: ImageRecord, score: float | None = None, note: str = "") -> Shown:
        return Shown(
            image_id=record.image_id,
            title=record.title or record.source_name or record.image_id[:12],
            thumbnail=self._thumbnail(record.image_id),
            score=score,
            note=note,
        )


def open_library(place: str | Path, *, key: str = "", collection: str = "") -> ServedLibrary | OwnLibrary:
    """The library at the address of a service (http:// or https://), else in this data folder.

    What is opened in this process is closed when that ends, so that a notebook's buttons go on working until then.
    Raises CollectionNotFound where that folder holds no library: none is made.
    """
    if str(place).startswith(("http://", "https://")):
        return ServedLibrary(str(place), key=key, collection=collection or None)
    settings = load_settings(overrides={"library.data_dir": str(place)})
    name = collection or settings.library.collection
    if "://" not in settings.milvus_uri and not Path(settings.milvus_uri).is_file():
        raise CollectionNotFound(f"no library in {str(place)!r}: ingest some pictures first")
    opened = OwnLibrary(build_services(settings), name)
    try:
        # Says which collections there are, where this is none.
        opened.services.collections.spec(name)
    except BaseException:
        opened.close()
        raise
    atexit.register(opened.close)
    return opened


def sample_library(count: int = 240) -> OwnLibrary:
    """A library of drawn sample pictures with titles and tags; gone when it is closed, or when this process ends."""
    from image_search.metadata.reader import read_metadata
    from image_search.samples import draw_samples

    scratch = tempfile.TemporaryDirectory(prefix="image-search-notebook-")
    folder = Path(scratch.name) / "pictures"
    draw_samples(folder, count=count)
    services = build_services(_with_data_dir(load_settings(), Path(scratch.name) / "library"), bulk=True)
    library = OwnLibrary(services, services.settings.library.collection, scratch)
    try:
        services.ingest.run(Source(folder), library.collection, metadata=read_metadata(folder / METADATA_NAMES[0]))
    except BaseException:
        library.close()
        raise
    atexit.register(library.close)
    return library


def _with_data_dir(settings: Settings, folder: Path) -> Settings:
    """The same settings for the embedded stores in another folder; models are looked for where they were."""
    return replace(
        settings,
        library=replace(settings.library, data_dir=str(folder)),
        embedding=replace(settings.embedding, cache_dir=str(settings.model_cache_dir)),
        milvus=replace(settings.milvus, uri=""),
        storage=replace(settings.storage, backend="local"),
    )


def _joined(title: str, tags: Sequence[str], text: str) -> str:
    return " ".join(part for part in (title, " ".join(tags), text) if part)


def _non_empty(texts: Iterator[str]) -> list[str]:
    return [text for text in texts if text]
