"""Vectors to and from people who are elsewhere: a collection as a file to send, and one that was sent, as a job."""

from __future__ import annotations

import errno
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from image_search.errors import DatasetFormatError, ImageStoreError
from image_search.interfaces import ShardFiles
from image_search.services.jobs import DAY_S, JobStopped, JobStore
from image_search.services.progress import Progress, ProgressListener
from image_search.services.transfer import TransferService
from image_search.types import Job

IMPORT = "import"
"""The kind of job."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportedFile:
    """An exported collection: a file that has no name any more, and is gone when it is closed."""

    file: BinaryIO
    size_bytes: int


class ExchangeService:
    """Exports and imports of one library by way of a folder of its own. Safe to call from several threads."""

    def __init__(self, transfer: TransferService, shards: ShardFiles, jobs: JobStore, folder: Path) -> None:
        self._transfer, self._shards, self._jobs, self._folder = transfer, shards, jobs, folder

    def export(self, collection: str) -> ExportedFile:
        """The collection as an HDF5 file, open for reading; the caller closes it.

        Nothing of it stays on the disk, whatever becomes of the caller. Raises CollectionNotFound, ImageStoreError.
        """
        path = self._new("export")
        try:
            self._transfer.export(collection, path)
            file = path.open("rb")
        finally:
            path.unlink(missing_ok=True)
        return ExportedFile(file, file.seek(0, 2) - file.seek(0))

    def receive(self, collection: str, write: Callable[[BinaryIO], None]) -> Job:
        """A new job that imports what `write` puts into the file that it is given.

        Raises what `write` raises; DatasetFormatError, ModelMismatch where the file's head says that it cannot be
        imported; ImageStoreError where there is no room for it. Nothing of the file stays then.
        """
        path = self._new("import")
        try:
            self._write(path, write)
            self._shards.check_vector_shard(path)
            self._transfer.check_import(collection, path)
            return self._jobs.create(IMPORT, {"collection": collection, "file": path.name})
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def run_job(
        self, params: Mapping[str, Any], on_progress: ProgressListener, stop: threading.Event
    ) -> Mapping[str, Any]:
        """Import a file that was received; how many pictures came in, were there, have no file, failed.

        A file stays until it is imported, so that the job can be tried again; for a day, where it is not.
        """
        path = self._folder / Path(params["file"]).name
        if not path.is_file():
            raise DatasetFormatError("the file that was sent is not there any more: send it again")
        on_progress(Progress("checking", 0))
        self._shards.check_vector_shard(path, rows=True, give_up=stop.is_set)
        if stop.is_set():
            raise JobStopped
        report = self._transfer.import_shards(params["collection"], path, on_progress=on_progress, stop=stop)
        if report.interrupted:
            raise JobStopped
        path.unlink(missing_ok=True)
        return {
            "collection": report.collection,
            "added": report.added,
            "unchanged": report.unchanged,
            "without_picture": report.without_picture,
            "failed": len(report.failed),
        }

    def tidy(self) -> None:
        """Remove what a process that was killed left, and what was sent a day ago and waits for no job any more."""
        if not self._folder.is_dir():
            return
        wanted = {
            job.params.get("file")
            for job in self._jobs.list(limit=1000)
            if job.kind == IMPORT and job.state in ("queued", "running")
        }
        for path in self._folder.iterdir():
            try:
                if path.name not in wanted and time.time() - path.stat().st_mtime > DAY_S:
                    path.unlink()
            except FileNotFoundError:
                continue  # another process was faster
            except OSError as error:
                _log.warning("%s cannot be removed: %s", path.name, error.strerror)

    def _new(self, what: str) -> Path:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ImageStoreError(f"the folder {self._folder.name!r} cannot be made: {error.strerror}") from error
        return self._folder / f"{what}-{secrets.token_hex(8)}.h5"

    @staticmethod
    def _write(path: Path, write: Callable[[BinaryIO], None]) -> None:
        try:
            with path.open("xb") as file:
                write(file)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            said = "the disk is full" if full else f"what was sent cannot be kept: {error.strerror}"
            raise ImageStoreError(said, retryable=True) from error
