"""What is asked, and how it becomes a vector: bytes -> decode -> crop -> embed, or what is stored or in a token."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from image_search.errors import ImageNotFound, ImageStoreError, InvalidInput, InvalidParameter
from image_search.filters import Filter
from image_search.fingerprint import content_hash
from image_search.imaging import MIN_EDGE_PX
from image_search.interfaces import FloatArray, ImageStore, PictureFetcher, VectorStore
from image_search.metadata.words import MAX_TEXT_BYTES
from image_search.names import is_sha256
from image_search.ranking import Collapse, Weights
from image_search.services.collections import OpenCollection
from image_search.services.preparing import Preparer
from image_search.storage.keys import thumbnail_key
from image_search.types import ImageRecord

_log = logging.getLogger(__name__)

NEGATIVE_WEIGHT = 0.5
"""How much the mean of the negatives is taken off the query (API.md, section 2)."""
MAX_NEGATIVES = 100
MIN_CROP = 0.001
"""As a fraction: a region of less is no picture even in the largest one that is accepted."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A region of the upright picture, as fractions of its width and height: 0 <= left < right <= 1."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class QueryVector:
    """A query picture as it is compared: all that is needed to ask again without the picture."""

    vector: FloatArray
    """(dim,) unit length, after the projection; negatives are not in it."""
    model_id: str
    projection_id: str
    image_id: str
    """SHA-256 of the query picture's bytes; "" of a region."""
    phashes: tuple[int, ...]
    """Perceptual hashes to compare stored ones with, see `fingerprint.query_hashes`."""
    low_detail: bool


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: at most one picture, words, or both."""

    image: bytes | None = None
    image_url: str | None = None
    fetch_within_s: float | None = None
    """Time that is left to fetch it in; None = as long as one may take."""
    image_id: str | None = None
    """A stored picture."""
    known: QueryVector | None = None
    """What an earlier answer gave."""
    text: str = ""
    text_of: str = ""
    """Id of a stored picture whose own title, tags and text are the words."""
    weights: Weights = field(default_factory=Weights)
    negative_ids: tuple[str, ...] = ()
    """Stored pictures that hits should be unlike; they are not among the hits."""
    crop: Crop | None = None
    where: Filter | None = None
    on_picture: Callable[[bytes], None] | None = None
    """Gets the bytes of image or image_url when they have proven to be a picture."""
    collapse: Collapse = "none"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A query with its picture turned into a vector and its words found."""

    picture: QueryVector | None
    vector: FloatArray | None
    """(1, dim) what is searched for: the picture's vector, less the negatives."""
    text: str
    size_px: tuple[int, int] | None
    timing_ms: dict[str, float]


def check_query(query: Query) -> None:
    """Raises InvalidParameter that names the field."""
    given = [
        name
        for name, value in (
            ("image", query.image),
            ("image_url", query.image_url),
            ("image_id", query.image_id),
            ("query_id", query.known),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise InvalidParameter(given[1], f"and {given[0]} exclude each other: give exactly one picture")
    if query.text.strip() and query.text_of:
        raise InvalidParameter("text_of", "and text exclude each other")
    if not given and not query.text.strip() and not query.text_of:
        raise InvalidParameter("image", "is missing: give a picture (image, image_url, image_id or query_id) or a text")
    if len(query.text.encode(errors="surrogatepass")) > MAX_TEXT_BYTES:
        raise InvalidParameter("text", f"is longer than {MAX_TEXT_BYTES:,} bytes")
    if query.negative_ids and not given:
        raise InvalidParameter("negative_ids", "needs a picture that it is taken from")
    if len(query.negative_ids) > MAX_NEGATIVES:
        raise InvalidParameter("negative_ids", f"has {len(query.negative_ids)} ids; at most {MAX_NEGATIVES} are taken")
    if query.crop is not None:
        if query.image is None and query.image_url is None:
            raise InvalidParameter("crop", "needs the picture itself, as image or image_url")
        crop = query.crop
        if not (0 <= crop.left < crop.right <= 1 and 0 <= crop.top < crop.bottom <= 1):
            raise InvalidParameter("crop", "must have 0 <= left < right <= 1 and 0 <= top < bottom <= 1")
        if min(crop.right - crop.left, crop.bottom - crop.top) < MIN_CROP:
            raise InvalidParameter("crop", f"must be at least {MIN_CROP} of the picture wide and high")
    weights = query.weights
    if not (0 <= weights.image < 1e6 and 0 <= weights.text < 1e6) or weights.image + weights.text <= 0:
        raise InvalidParameter("weights", "must be 0 or more, and not both 0")


class QueryReader:
    """Turns queries into vectors."""

    def __init__(self, store: VectorStore, images: ImageStore, preparer: Preparer, fetcher: PictureFetcher) -> None:
        self._store, self._images, self._preparer, self._fetcher = store, images, preparer, fetcher

    def read(self, opened: OpenCollection, query: Query) -> Resolved:
        """The query as it is compared with the pictures of a collection.

        Raises InvalidParameter, InvalidImage and its siblings, ImageNotFound, FetchError, and what the embedder raises.
        """
        timing: dict[str, float] = {"fetch": 0.0, "decode": 0.0, "embed": 0.0}
        size_px = None
        picture = query.known
        data = query.image
        if query.image_url is not None:
            with _timed(timing, "fetch"):
                data = self._fetcher.fetch(query.image_url, within_s=query.fetch_within_s)
        if data is not None:
            picture, size_px = self.picture(opened, data, query.crop, timing)
            if query.on_picture is not None:
                query.on_picture(data)
        elif query.image_id is not None:
            picture, size_px = self._stored(opened, query.image_id)
        elif picture is not None:
            spec = opened.spec
            if (picture.model_id, picture.projection_id) != (spec.model_id, spec.projection_id):
                raise InvalidParameter("query_id", "is of another model or projection: send the picture again")
        vector = None
        if picture is not None:
            vector = self._less(opened, picture.vector, query.negative_ids)
        return Resolved(picture, vector, self._words(opened, query), size_px, timing)

    def picture(
        self, opened: OpenCollection, data: bytes, crop: Crop | None, timing: dict[str, float]
    ) -> tuple[QueryVector, tuple[int, int]]:
        """A picture's bytes as they are compared, and its size in pixels."""
        embedder = opened.embedder
        with _timed(timing, "decode"):
            # A region is looked at as closely as a picture of its own.
            part = 1.0 if crop is None else min(crop.right - crop.left, crop.bottom - crop.top)
            decoded = self._preparer.decode(data, min(round(embedder.shortest_px / part), 16_384))
            image = decoded.image
            if crop is not None:
                width, height = image.size
                box = (crop.left * width, crop.top * height, crop.right * width, crop.bottom * height)
                left, top, right, bottom = (round(edge) for edge in box)
                if min(right - left, bottom - top) < MIN_EDGE_PX:
                    raise InvalidParameter("crop", f"is smaller than {MIN_EDGE_PX} x {MIN_EDGE_PX} pixels")
                image = image.crop((left, top, right, bottom))
            phashes, low_detail = self._preparer.fingerprint(image)
        with _timed(timing, "embed"):
            vector = embedder.embed([image])[0]
        image_id = content_hash(data) if crop is None else ""
        spec = opened.spec
        known = QueryVector(vector, spec.model_id, spec.projection_id, image_id, phashes, low_detail)
        return known, decoded.size_px

    def _stored(self, opened: OpenCollection, image_id: str) -> tuple[QueryVector, tuple[int, int]]:
        record = self._record(opened, "image_id", image_id)
        vectors = self._store.get_embeddings(opened.physical, [image_id])
        if image_id not in vectors:
            raise _missing(opened, image_id)
        spec = opened.spec
        phashes = self._stored_hashes(record)
        known = QueryVector(vectors[image_id], spec.model_id, spec.projection_id, image_id, phashes, record.low_detail)
        return known, record.size_px

    def _stored_hashes(self, record: ImageRecord) -> tuple[int, ...]:
        """As of a picture that comes as bytes, so that it is judged the same; with its own hash alone a little less
        is caught, so a thumbnail that is not to be had ends no search."""
        try:
            small = self._preparer.decode(self._images.get(thumbnail_key(record.image_id)), 0).image
        except (ImageNotFound, ImageStoreError, InvalidInput) as error:
            _log.warning("picture %s is judged by its own hash alone: %s", record.image_id, error)
            return (record.phash,)
        return (record.phash, *self._preparer.fingerprint(small)[0][1:])

    def _record(self, opened: OpenCollection, field: str, image_id: str) -> ImageRecord:
        record = self._store.get(opened.physical, [_checked(field, image_id)]).get(image_id)
        if record is None:
            raise _missing(opened, image_id)
        return record

    def _less(self, opened: OpenCollection, vector: FloatArray, negative_ids: Sequence[str]) -> FloatArray:
        query = vector.reshape(1, -1).astype(np.float32)
        if not negative_ids:
            return query
        ids = [_checked("negative_ids", image_id) for image_id in negative_ids]
        found = self._store.get_embeddings(opened.physical, ids)
        for image_id in ids:
            if image_id not in found:
                raise InvalidParameter("negative_ids", f"no picture {image_id!r} in collection {opened.name!r}")
        away = query - NEGATIVE_WEIGHT * np.mean([found[image_id] for image_id in ids], axis=0)
        # At least half of a unit vector is left: a half of others' mean is no longer than that.
        unit: FloatArray = (away / np.linalg.norm(away)).astype(np.float32)
        return unit

    def _words(self, opened: OpenCollection, query: Query) -> str:
        if not query.text_of:
            return query.text.strip()
        record = self._record(opened, "text_of", query.text_of)
        words = " ".join((record.title, *record.tags, record.text)).strip()
        if not words:
            raise InvalidParameter("text_of", "that picture has no words")
        return words.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")


def _checked(field: str, image_id: str) -> str:
    if not is_sha256(image_id):
        raise InvalidParameter(field, f"{image_id[:80]!r} is no id: an id is 64 lowercase hex digits")
    return image_id


def _missing(opened: OpenCollection, image_id: str) -> ImageNotFound:
    return ImageNotFound(f"no picture {image_id[:64]!r} in collection {opened.name!r}")


@contextmanager
def _timed(timing: dict[str, float], step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    timing[step] = round((time.perf_counter() - started) * 1000, 3)
