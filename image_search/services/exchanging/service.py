"""Vectors to and from people who are elsewhere: a collection as a file to send, and one that was sent, as a job."""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from image_search.errors import DatasetFormatError, ImageStoreError, ModelMismatch, is_disk_full
from image_search.interfaces import ShardFiles
from image_search.services.exchanging.transfer import TransferService
from image_search.services.jobs import DAY_S, JobStopped, JobStore
from image_search.services.progress import Progress, ProgressListener
from image_search.types import Job

IMPORT = "import"
"""The kind of job."""
MAX_NAME_CHARACTERS = 255
UNNAMED = "the file"
"""What a file is called that came without a name."""
GONE = "{name} is not kept any more: send it again"

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

    def receive(self, collection: str, write: Callable[[BinaryIO], str], *, name: str = "") -> Job:
        """A new job that imports what `write` puts into the file that it is given.

        Errors call the file by `name`, else by what `write` returns: how its owner calls it, "" where that is unknown.
        Raises what `write` raises; DatasetFormatError, ModelMismatch where the file's head says that it cannot be
        imported; ImageStoreError where there is no room for it. Nothing of the file stays then.
        """
        path = self._new("import")
        try:
            given = self._write(path, write)
            called = _own_name(name or given)
            with _calling(path, called):
                self._shards.check_vector_shard(path)
                self._transfer.check_import(collection, path)
            return self._jobs.create(IMPORT, {"collection": collection, "file": path.name, "name": called})
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def run_job(
        self, params: Mapping[str, Any], on_progress: ProgressListener, stop: threading.Event
    ) -> Mapping[str, Any]:
        """Import a file that was received; how many pictures came in, were there, have no file, failed.

        The file stays until `ended`, so that the job can be done again where its end was not written down.
        """
        path = kept_file(self._folder, params)
        called = params.get("name", "")
        if not path.is_file():
            raise DatasetFormatError(GONE.format(name=called or UNNAMED))
        on_progress(Progress("checking", 0))
        with _calling(path, called):
            self._shards.check_vector_shard(path, rows=True, give_up=stop.is_set)
            if stop.is_set():
                raise JobStopped
            report = self._transfer.import_shards(
                params["collection"], path, checked=True, on_progress=on_progress, stop=stop
            )
        if report.interrupted:
            raise JobStopped
        return {
            "collection": report.collection,
            "added": report.added,
            "unchanged": report.unchanged,
            "without_picture": report.without_picture,
            "failed": len(report.failed),
        }

    def ended(self, job: Job, problem: Exception | None) -> None:
        """Remove the file of an import whose end is written down, unless to try again may help: then it stays a day."""
        if problem is None or isinstance(problem, DatasetFormatError):
            self._forget(job)

    def _forget(self, job: Job) -> None:
        path = kept_file(self._folder, job.params)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("%s cannot be removed: %s", path.name, error.strerror)

    def tidy(self) -> None:
        """Remove what a process that was killed left, and what was sent a day ago and waits for no job any more."""
        if not self._folder.is_dir():
            return
        imports = [job for job in self._jobs.list(limit=1000) if job.kind == IMPORT]
        for job in imports:
            if job.state == "done":
                self._forget(job)
        wanted = {job.params.get("file") for job in imports if job.state in ("queued", "running")}
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
    def _write(path: Path, write: Callable[[BinaryIO], str]) -> str:
        try:
            with path.open("xb") as file:
                return write(file)
        except OSError as error:
            said = "the disk is full" if is_disk_full(error) else f"what was sent cannot be kept: {error.strerror}"
            raise ImageStoreError(said, retryable=True) from error


def kept_file(folder: Path, params: Mapping[str, Any]) -> Path:
    """Where the file of an import lies until the job is done."""
    return folder / Path(params["file"]).name


def why_not_again(folder: Path, job: Job) -> str:
    """Why an import that has ended cannot be tried again, "" where it can: it needs its file."""
    name = job.params.get("name") or UNNAMED
    if job.state == "done":
        return f"job {job.job_id} is done and its file not kept: mend the rows that it refused in {name}, send it again"
    if not kept_file(folder, job.params).is_file():
        return f"job {job.job_id}: " + GONE.format(name=name)
    return ""


def _own_name(given: str) -> str:
    """What its owner calls a file: without folders, never opened, fit to be stored."""
    return re.split(r"[/\\]", given)[-1].strip()[:MAX_NAME_CHARACTERS].encode(errors="replace").decode()


@contextmanager
def _calling(path: Path, name: str) -> Iterator[None]:
    """Have errors about the file call it as its owner does."""
    try:
        yield
    except (DatasetFormatError, ModelMismatch) as error:
        raise type(error)(str(error).replace(path.name, name or UNNAMED)) from error
