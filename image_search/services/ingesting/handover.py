"""How one thread of a pipeline hands work on to the next, until the work ends or is given up."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

LOOK_UP_EVERY_S = 0.2
"""So soon a thread that waits notices that the work was given up."""


def put(out: queue.Queue[T | None], item: T | None, *, give_up: Callable[[], bool]) -> bool:
    """Hand on, None = nothing comes after; False where the work was given up and nobody takes any more."""
    while not give_up():
        try:
            out.put(item, timeout=LOOK_UP_EVERY_S)
        except queue.Full:
            continue
        return True
    return False


def take(items: queue.Queue[T | None], *, give_up: Callable[[], bool]) -> Iterator[T]:
    """What is handed on, until None comes or the work is given up."""
    while not give_up():
        try:
            item = items.get(timeout=LOOK_UP_EVERY_S)
        except queue.Empty:
            continue
        if item is None:
            return
        yield item
