"""What is stored of a picture beside its row: the original, and a thumbnail."""

from __future__ import annotations

from pathlib import Path

from image_search.interfaces import ImageStore, OriginalsMode
from image_search.services.preparing import THUMBNAIL_TYPE, PreparedImage
from image_search.storage.keys import thumbnail_key


def store_objects(
    images: ImageStore, prepared: PreparedImage, data: bytes, path: Path | None = None, mode: OriginalsMode = "copy"
) -> None:
    """Put the original (its bytes, or by `mode` the file at `path`) and the thumbnail."""
    record = prepared.record
    if path is None or mode == "copy":
        images.put(record.object_key, data, prepared.content_type)
    else:
        images.put_file(record.object_key, path, prepared.content_type, mode)
    images.put(thumbnail_key(record.image_id), prepared.thumbnail, THUMBNAIL_TYPE)
