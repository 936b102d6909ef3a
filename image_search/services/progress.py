"""How long-running work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from image_search.types import Failure


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work is; `total` None = not known yet."""

    stage: str
    done: int
    total: int | None = None
    failed: int = 0
    failures: tuple[Failure, ...] = ()
    """Those that were met since the last report, where the work tells them one by one."""


ProgressListener: TypeAlias = Callable[[Progress], None]


def no_progress(progress: Progress) -> None:
    """A listener that does not listen."""
