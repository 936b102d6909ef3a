"""Keeps writers out for the moment in which a rebuilt collection takes the place of the old one."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from image_search.errors import Conflict


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
        with self._path.open("a") as file:
            with self._turnstile():
                fcntl.flock(file, fcntl.LOCK_SH)
            yield

    @contextlib.contextmanager
    def switching(self) -> Iterator[None]:
        """Hold it alone; waits for the writers that are inside, and lets no other in."""
        with self._path.open("a") as file, self._turnstile():
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def rebuilding(self) -> Iterator[None]:
        """Hold the right to rebuild. Raises Conflict where another has it."""
        with self._path.with_suffix(".rebuild").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict("a collection of this library is being rebuilt; try again when that is done") from error
            yield

    @contextlib.contextmanager
    def _turnstile(self) -> Iterator[None]:
        # flock is not fair: without this, writers that keep coming would keep a switch waiting for ever.
        with self._path.with_suffix(".turnstile").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
