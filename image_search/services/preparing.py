"""One file or upload -> everything that is stored of it, but its vector. Called from several threads."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image
from PIL.Image import new as new_image

from image_search.errors import ImageTooLarge, InvalidImage, UnsupportedFormat
from image_search.fingerprint import content_hash, is_low_detail, perceptual_hash, query_hashes
from image_search.imaging import SNIFF_BYTES, DecodedImage, decode, encode_jpeg, sniff_content_type, thumbnail
from image_search.metadata.embedded import embedded_words
from image_search.metadata.words import NO_WORDS, Words, unite
from image_search.services.scanning import Candidate
from image_search.storage.keys import original_key
from image_search.types import ImageRecord

THUMBNAIL_TYPE = "image/jpeg"


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A decoded picture with its record, its thumbnail and its original's type."""

    record: ImageRecord
    image: Image
    thumbnail: bytes
    """JPEG"""
    content_type: str
    cut: bool = False
    """Its words were longer than is kept."""


@dataclass(frozen=True)
class Preparer:
    """Decodes and describes pictures."""

    thumbnail_px: int
    max_pixels: int
    max_bytes: int

    def read(self, candidate: Candidate) -> bytes:
        """The bytes of a file. Raises InvalidImage, ImageTooLarge, UnsupportedFormat with the reason for a person."""
        if candidate.problem:
            raise InvalidImage(candidate.problem)
        if candidate.size_bytes > self.max_bytes:
            raise ImageTooLarge(f"file has {candidate.size_bytes:,} bytes; at most {self.max_bytes:,} are accepted")
        try:
            return _read_picture_file(candidate.path)
        except FileNotFoundError as error:
            raise InvalidImage("the file vanished while it was to be read") from error
        except OSError as error:
            raise InvalidImage(f"the file cannot be read: {error.strerror}") from error

    def decode(self, data: bytes, shortest_px: int) -> DecodedImage:
        """The picture at no more than the resolution that a network's `shortest_px` and the thumbnail need.

        Query and library take this same way, so that the same bytes give the same vector.
        """
        return decode(data, max_pixels=self.max_pixels, shortest_px=max(shortest_px, self.thumbnail_px // 2))

    def fingerprint(self, image: Image) -> tuple[tuple[int, ...], bool]:
        """Hashes of a decoded query picture to compare stored ones with, and whether it is nearly uniform.

        The first hash is the one that `prepare` finds.
        """
        tiny = _tiny(thumbnail(image, self.thumbnail_px))
        return query_hashes(tiny), is_low_detail(tiny)

    def warm_up(self) -> None:
        """Do now what the first picture would wait for: codecs and transforms are loaded at their first use."""
        self.fingerprint(self.decode(encode_jpeg(new_image("RGB", (8, 8))), 0).image)

    def prepare(
        self,
        data: bytes,
        *,
        image_id: str = "",
        source_name: str = "",
        words: Words = NO_WORDS,
        embedded: bool = False,
        shortest_px: int,
    ) -> PreparedImage:
        """Decode the bytes, at no more than the resolution that the network and the thumbnail need.

        `embedded`: what the file says of itself is taken where `words` say nothing.

        Raises InvalidImage, ImageTooLarge, UnsupportedFormat.
        """
        decoded = self.decode(data, shortest_px)
        if embedded:
            words = unite(words, embedded_words(data))
        small = thumbnail(decoded.image, self.thumbnail_px)
        image_id = image_id or content_hash(data)
        tiny = _tiny(small)
        record = ImageRecord(
            image_id=image_id,
            object_key=original_key(image_id),
            size_px=decoded.size_px,
            sources=(source_name,) if source_name else (),
            title=words.title,
            tags=words.tags,
            text=words.text,
            fields=words.fields,
            source_url=words.source_url,
            phash=perceptual_hash(tiny),
            low_detail=is_low_detail(tiny),
            created_at_s=int(time.time()) if words.created_at_s is None else words.created_at_s,
        )
        return PreparedImage(record, decoded.image, encode_jpeg(small), decoded.content_type, words.cut)


def _tiny(small: Image) -> Image:
    # A hash of 32 x 32 frequencies and a contrast need no more pixels, and no colours.
    return small.convert("L").reduce(max(1, min(small.size) // 64))


def _read_picture_file(path: Path) -> bytes:
    if not path.is_file():
        # A named pipe would block for ever, a device never end.
        raise InvalidImage("is no regular file")
    with path.open("rb") as file:
        prefix = file.read(SNIFF_BYTES)
        if not prefix:
            raise InvalidImage("the file is empty")
        if sniff_content_type(prefix) is None:
            raise UnsupportedFormat("is not a picture of a known format")
        return prefix + file.read()
