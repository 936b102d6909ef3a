"""A folder of pictures into a collection; stopped anywhere, it goes on later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from image_search.interfaces import ImageStore, OriginalsMode, VectorArchive
from image_search.metadata.table import EMPTY_TABLE, MetadataTable
from image_search.services.collections import Collections
from image_search.services.gate import PictureLocks
from image_search.services.ingesting.run import IngestRun, IngestTuning
from image_search.services.ingesting.scan_cache import ScanCache
from image_search.services.ingesting.telling import Teller
from image_search.services.preparing import Preparer
from image_search.services.progress import ProgressListener, no_progress
from image_search.services.scanning import Source
from image_search.types import IngestReport


class IngestService:
    """Bulk ingest into the collections of one library."""

    def __init__(
        self,
        collections: Collections,
        images: ImageStore,
        archive_for: Callable[[str], VectorArchive],
        cache: Callable[[], ScanCache],
        preparer: Preparer,
        tuning: IngestTuning,
        locks: PictureLocks,
    ) -> None:
        self._collections, self._images, self._archive_for = collections, images, archive_for
        self._cache, self._preparer, self._tuning, self._locks = cache, preparer, tuning, locks

    def run(
        self,
        source: Source,
        collection: str,
        *,
        metadata: MetadataTable = EMPTY_TABLE,
        originals: OriginalsMode | None = None,
        embedded_words: bool | None = None,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> IngestReport:
        """Ingest every picture of `source`; setting `stop` ends it early, after the chunk that is being written.

        `embedded_words`: whether what pictures say of themselves is taken; None = as configured.
        Raises InvalidInput (no such folder), ModelMismatch, and the BackendError of a part that failed: what was
        committed before it stays, and a later run goes on.
        """
        source.check()
        opened = self._collections.open_or_create(collection)
        run = IngestRun(
            opened,
            self._collections,
            self._images,
            self._archive_for(opened.spec.model_id),
            self._cache(),
            self._preparer,
            replace(self._tuning, originals=originals or self._tuning.originals),
            Teller(metadata, self._tuning.embedded_words if embedded_words is None else embedded_words),
            self._locks,
            on_progress,
            stop or threading.Event(),
        )
        return run.execute(source)
