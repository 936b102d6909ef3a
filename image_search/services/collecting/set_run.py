"""One fetch of a public set: its archives, and from them pictures with their words; each step goes on where it was."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from image_search.errors import InvalidInput
from image_search.metadata.words import NO_WORDS, Words
from image_search.services.collecting.captions import read_captions
from image_search.services.collecting.download import Downloader
from image_search.services.collecting.folder import CollectedFolder, disk_errors, member_url
from image_search.services.collecting.pictures import CheckedPicture, check_picture
from image_search.services.collecting.sets import PublicSet
from image_search.services.collecting.unpacking import Member, pictures_in, text_in
from image_search.services.collecting.waiting import Stopped
from image_search.services.progress import Progress, ProgressListener
from image_search.types import Failure, FetchReport

MAX_PICTURE_BYTES = 100_000_000
_ROOM = 2.2
"""Times its size that a set needs while it is unpacked: archive and pictures."""
_AHEAD = 4
"""Pictures that wait for each thread that decodes."""
_AHEAD_BYTES = 512_000_000
"""All of those together, and one more: many threads and large pictures would fill the memory."""

R = TypeVar("R")


@dataclass
class SetRun:
    """The state of one fetch of a set; `execute` may be called once."""

    public: PublicSet
    folder: CollectedFolder
    downloader: Downloader
    threads: int
    max_pixels: int
    longest_px: int | None
    retry_failed: bool
    keep_archives: bool
    on_progress: ProgressListener
    stop: threading.Event

    def execute(self, limit: int | None) -> FetchReport:
        """Fetch the set, or the first `limit` pictures of its archive.

        Raises FetchError, InvalidInput (an archive that is not what it should be), ImageStoreError; what was unpacked
        before stays.
        """
        started = time.perf_counter()
        self._fetched = self._unchanged = self._skipped = self._bytes = 0
        self._failures: list[Failure] = []
        self._names: set[str] = set()
        self._kept, self._missed = self.folder.members(self.public.pictures.url)
        try:
            with disk_errors():
                self._run(limit)
        except Stopped:
            self.stop.set()
        finally:
            self.folder.publish()
        return FetchReport(
            fetched=self._fetched,
            unchanged=self._unchanged,
            duplicates=0,
            failed=tuple(self._failures),
            skipped=self._skipped,
            repeated=0,
            bytes_fetched=self._bytes,
            elapsed_s=round(time.perf_counter() - started, 3),
            folder=str(self.folder.root),
            interrupted=self.stop.is_set(),
        )

    def _run(self, limit: int | None) -> None:
        public = self.public
        if self.folder.is_complete(public.pictures.url) and not (self._missed and self.retry_failed):
            self._unchanged, self._skipped = len(self._kept), len(self._missed)
            return
        words: Mapping[str, Words] = {}
        archives: list[Path] = []
        if public.captions is not None:
            archives.append(self.downloader.get(public.captions))
            words = read_captions(text_in(archives[0], public.captions_member), public.captions_member)
        archives.append(self.downloader.get(public.pictures, room=_ROOM if limit is None else 1.0))
        known = self._kept if self.retry_failed else self._kept | self._missed
        members = pictures_in(archives[-1], max_bytes=MAX_PICTURE_BYTES, skip=known)
        with ThreadPoolExecutor(self.threads, thread_name_prefix="unpack") as pool:
            some = itertools.islice(members, limit)
            for member, checked in _ahead(pool, self._check, some, self.threads * _AHEAD, _AHEAD_BYTES):
                if self.stop.is_set():
                    raise Stopped
                self._keep(member, checked, words)
        if limit is None:
            self.folder.complete(public.pictures.url)
            for archive in () if self.keep_archives else archives:
                archive.unlink()

    def _check(self, member: Member) -> CheckedPicture | str:
        """The picture, or what is wrong with it; "" = it is there already."""
        if member.problem or not member.data:
            return member.problem
        try:
            return check_picture(member.data, max_pixels=self.max_pixels, longest_px=self.longest_px)
        except InvalidInput as error:
            return str(error)

    def _keep(self, member: Member, checked: CheckedPicture | str, words: Mapping[str, Words]) -> None:
        url = member_url(self.public.pictures.url, member.name)
        if member.name in self._names:
            checked = f"{member.name} is in the archive twice; the first is kept"
            url += "#again"
        self._names.add(member.name)
        if isinstance(checked, CheckedPicture):
            self.folder.keep(url, member.name, checked, self._words(member.name, words), once=False)
            self._fetched += 1
            self._bytes += len(member.data)
        elif checked:
            self.folder.miss(url, checked, may_pass=False)
            self._failures.append(Failure(member.name, checked))
        elif member.name in self._missed:
            self._skipped += 1
        else:
            self._unchanged += 1
        done = self._fetched + self._unchanged + self._skipped + len(self._failures)
        self.on_progress(Progress("unpacking", done, None, len(self._failures)))

    def _words(self, name: str, words: Mapping[str, Words]) -> Words:
        path = PurePosixPath(name)
        if (found := words.get(path.name)) is not None:
            return found
        called = self.public.classes.get(path.parent.name)
        return NO_WORDS if called is None else Words(title=called, tags=(called,), fields={"class": path.parent.name})


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[Member], R], members: Iterator[Member], count: int, size_bytes: int
) -> Iterator[tuple[Member, R]]:
    """(member, result) in order; no further one is read while `count` or more than `size_bytes` are on their way."""
    waiting: deque[tuple[Member, Future[R]]] = deque()
    size = 0
    for member in members:
        waiting.append((member, pool.submit(work, member)))
        size += len(member.data)
        while len(waiting) >= count or size > size_bytes:
            first, result = waiting.popleft()
            size -= len(first.data)
            yield first, result.result()
    while waiting:
        first, result = waiting.popleft()
        yield first, result.result()
