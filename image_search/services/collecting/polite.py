"""Work for many hosts, of which each is asked by few at once and left alone while it wants to be. Pure."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

LOOK_UP_EVERY_S = 0.2
"""So soon a thread that waits notices that the work was given up."""
_RECOVERY = 0.1
"""A host that was too busy is asked by one more at once after ten answers."""


@dataclass
class _Host(Generic[T]):
    limit: float
    """How many may ask it at once; a fraction counts for nothing, but grows."""
    active: int = 0
    paused_until_s: float = 0.0
    ready: deque[T] = field(default_factory=deque)
    later: list[tuple[float, int, T]] = field(default_factory=list)
    """(when, number, item) as a heap."""

    @property
    def waiting(self) -> int:
        return len(self.ready) + len(self.later)


class PoliteQueue(Generic[T]):
    """Items by host, handed out to several threads; hosts take turns. Safe to call from several threads.

    What was taken is released: until then it counts as one of those that ask its host.
    """

    def __init__(self, per_host: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_host, self._clock = per_host, clock
        self._hosts: OrderedDict[str, _Host[T]] = OrderedDict()
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._waiting = self._active = 0
        self._complete = False

    def add(self, host: str, item: T, *, after_s: float = 0.0, first: bool = False) -> None:
        """Let the item be taken, not before `after_s` seconds from now; `first`: before the host's others."""
        with self._changed:
            state = self._host(host)
            if after_s > 0:
                heapq.heappush(state.later, (self._clock() + after_s, next(self._numbers), item))
            elif first:
                state.ready.appendleft(item)
            else:
                state.ready.append(item)
            self._waiting += 1
            self._changed.notify()

    def complete(self) -> None:
        """Nothing new will come; what was taken may still be added again."""
        with self._changed:
            self._complete = True
            self._changed.notify_all()

    def take(self, *, give_up: Callable[[], bool]) -> tuple[str, T] | None:
        """(host, item), as soon as a host may be asked; None where nothing is left or the work was given up."""
        with self._changed:
            while not give_up():
                if self._complete and not self._waiting and not self._active:
                    return None
                found, wake_s = self._next()
                if found is not None:
                    return found
                self._changed.wait(min(wake_s, LOOK_UP_EVERY_S))
            return None

    def release(self, host: str) -> None:
        """One that was taken for this host asks it no more."""
        with self._changed:
            state = self._hosts[host]
            state.active -= 1
            self._active -= 1
            if not state.active and not state.waiting and state.limit >= self._per_host:
                del self._hosts[host]
            self._changed.notify_all()

    def wait_for_room(self, room: int, *, give_up: Callable[[], bool]) -> None:
        """Return when fewer than `room` items wait, or the work was given up."""
        with self._changed:
            while self._waiting >= room and not give_up():
                self._changed.wait(LOOK_UP_EVERY_S)

    def pause(self, host: str, seconds: float) -> None:
        """Leave a host alone for so long, and have half as many ask it afterwards."""
        with self._changed:
            state = self._host(host)
            state.paused_until_s = max(state.paused_until_s, self._clock() + seconds)
            state.limit = max(1.0, state.limit / 2)

    def went_well(self, host: str) -> None:
        """A host answered: by and by as many ask it again as may."""
        with self._changed:
            state = self._host(host)
            state.limit = min(float(self._per_host), state.limit + _RECOVERY)

    def drop(self, host: str) -> list[T]:
        """Take everything that waits for a host out of the queue, and return it."""
        with self._changed:
            state = self._host(host)
            dropped = [*state.ready, *(item for _, _, item in sorted(state.later, key=lambda entry: entry[:2]))]
            state.ready.clear()
            state.later.clear()
            self._waiting -= len(dropped)
            self._changed.notify_all()
            return dropped

    def _host(self, host: str) -> _Host[T]:
        if host not in self._hosts:
            self._hosts[host] = _Host(float(self._per_host))
        return self._hosts[host]

    def _next(self) -> tuple[tuple[str, T] | None, float]:
        """What may be taken now, else None and the seconds after which something may."""
        now, wake_s = self._clock(), float("inf")
        for name, state in self._hosts.items():
            if not state.waiting or state.active >= int(state.limit):
                continue
            ready_s = 0.0 if state.ready else state.later[0][0]
            starts_s = max(ready_s, state.paused_until_s)
            if starts_s > now:
                wake_s = min(wake_s, starts_s - now)
                continue
            item = state.ready.popleft() if state.ready else heapq.heappop(state.later)[2]
            state.active += 1
            self._waiting -= 1
            self._active += 1
            self._hosts.move_to_end(name)
            return (name, item), 0.0
        return None, wake_s
