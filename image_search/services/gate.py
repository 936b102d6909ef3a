"""Keeps writers out for the moment in which a rebuilt collection takes the place of the old one, or files of deleted
pictures go; and writers of one picture from each other."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from pathlib import Path

from image_search.errors import Conflict
from image_search.services.locking import locked


class SwitchGate:
    """Many writers at once, or one switch; between the threads and processes of one machine.

    The kernel frees it however its holder ends. Writers on other machines are not held up: for them a rebuild catches
    up once more after the switch.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Hold it together with other writers; waits while a switch is made."""
        with contextlib.ExitStack() as held:
            with self._turnstile():
                held.enter_context(locked(self._path, fcntl.LOCK_SH))
            yield

    @contextlib.contextmanager
    def switching(self) -> Iterator[None]:
        """Hold it alone; waits for the writers that are inside, and lets no other in."""
        with self._turnstile(), locked(self._path, fcntl.LOCK_EX):
            yield

    @contextlib.contextmanager
    def rebuilding(self) -> Iterator[None]:
        """Hold the right to rebuild, or to keep others from it. Raises Conflict where another has it."""
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(self._path.with_suffix(".rebuild"), fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise Conflict(
                    "a collection of this library is being rebuilt, or filled by `migrate`; try again when that is done"
                ) from error
            yield

    def _turnstile(self) -> contextlib.AbstractContextManager[None]:
        # flock is not fair: without this, writers that keep coming would keep a switch waiting for ever.
        return locked(self._path.with_suffix(".turnstile"), fcntl.LOCK_EX)


class PictureLocks:
    """Keeps everybody else from single pictures, between the threads and processes of one machine.

    Two inserts of the same bytes at once must not both find nothing, and two edits must not undo each other. Ids are
    hashes, so they spread evenly over the files; the kernel frees a lock however its holder ends.
    """

    FILES = 64

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def holding(self, image_ids: Sequence[str]) -> Iterator[None]:
        """Hold these pictures alone; always in one order, so that two calls cannot wait for each other."""
        with contextlib.ExitStack() as held:
            for number in sorted({int(image_id[:2], 16) % self.FILES for image_id in image_ids}):
                held.enter_context(locked(self._folder / f"{number:02d}", fcntl.LOCK_EX))
            yield
