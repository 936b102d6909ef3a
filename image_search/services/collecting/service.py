"""Pictures from the web into a folder; stopped anywhere, it goes on later."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from image_search.interfaces import UrlOpener
from image_search.metadata.listed import BrokenRow, ListedPicture
from image_search.services.collecting.download import Downloader
from image_search.services.collecting.folder import CollectedFolder
from image_search.services.collecting.listed_run import CollectTuning, ListedRun
from image_search.services.collecting.set_run import SetRun
from image_search.services.collecting.sets import PublicSet
from image_search.services.progress import ProgressListener, no_progress
from image_search.types import FetchReport


@dataclass(frozen=True)
class CollectingService:
    """Lists of addresses and public sets into folders that can be ingested."""

    pictures: UrlOpener
    archives: UrlOpener
    """With limits for large files."""
    tuning: CollectTuning
    threads: int
    """That decode what comes out of an archive."""

    def fetch_list(
        self,
        rows: Iterable[ListedPicture | BrokenRow],
        folder: Path,
        *,
        limit: int | None = None,
        longest_px: int | None = None,
        retry_failed: bool = False,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> FetchReport:
        """Fetch the pictures that the first `limit` rows tell of; setting `stop` ends it early.

        `longest_px`: larger pictures are made smaller. `retry_failed`: also what failed for good in an earlier run.

        Raises InvalidInput (the list is damaged; what came before is fetched), Conflict, ImageStoreError.
        """
        with CollectedFolder.opened(folder) as opened:
            run = ListedRun(
                self.pictures,
                opened,
                self.tuning,
                longest_px=longest_px,
                retry_failed=retry_failed,
                on_progress=on_progress,
                stop=stop or threading.Event(),
            )
            return run.execute(rows, limit)

    def fetch_set(
        self,
        public: PublicSet,
        folder: Path,
        *,
        limit: int | None = None,
        longest_px: int | None = None,
        retry_failed: bool = False,
        keep_archives: bool = False,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> FetchReport:
        """Download the archives of a set and take its pictures out; with `limit` only the first ones.

        The archives are removed when every picture was taken out, unless `keep_archives`.

        Raises FetchError, InvalidInput, Conflict, ImageStoreError.
        """
        stop = stop or threading.Event()
        with CollectedFolder.opened(folder) as opened:
            downloader = Downloader(self.archives, opened.downloads, self.tuning.patience, on_progress, stop)
            run = SetRun(
                public,
                opened,
                downloader,
                self.threads,
                self.tuning.max_pixels,
                longest_px,
                retry_failed,
                keep_archives,
                on_progress,
                stop,
            )
            return run.execute(limit)
