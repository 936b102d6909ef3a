"""Keeps writers out for the moment in which a rebuilt collection takes the place of the old one."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


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
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    @contextlib.contextmanager
    def switching(self) -> Iterator[None]:
        """Hold it alone; waits for the writers."""
        with self._path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
