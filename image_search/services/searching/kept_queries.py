"""Pictures that people searched with, where the owner wants them kept: beside the library, never part of it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from image_search.errors import ImageSearchError
from image_search.fingerprint import content_hash
from image_search.imaging import SNIFF_BYTES, sniff_content_type
from image_search.interfaces import ImageStore
from image_search.storage.keys import query_key

_log = logging.getLogger(__name__)


class KeptQueries:
    """Keeps the pictures of queries in the image store, by day. Safe to call from several threads."""

    def __init__(self, images: ImageStore) -> None:
        self._images = images

    def keep(self, data: bytes) -> None:
        """Keep a picture, once for each day (UTC); a search is not to fail for it, so a failure is only logged."""
        key = query_key(datetime.now(UTC).date(), content_hash(data))
        try:
            self._images.put(key, data, sniff_content_type(data[:SNIFF_BYTES]) or "application/octet-stream")
        except ImageSearchError as error:
            _log.warning("the picture of a query was not kept: %s", error)
