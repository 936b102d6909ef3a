"""How long to wait before a server is asked again. Pure."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from image_search.errors import FetchError

_MAX_DOUBLINGS = 10


@dataclass(frozen=True)
class Patience:
    """How often, and for how long, a fetch that failed is worth another try."""

    attempts: int = 4
    """For one picture, where its server does not answer as it should."""
    refusals: int = 6
    """For one picture, where its server is too busy."""
    backoff_s: float = 1.0
    """Before the second attempt; twice as long before each further one."""
    longest_s: float = 120.0
    """A host that wants to be left alone for longer is left to a later run."""
    silent: int = 10
    """After so many times in a row that connections to it failed, or it was too busy, a host is left to a later run;
    those that fail together count as once."""

    def wait_s(self, failures: int) -> float:
        """Before the next attempt after so many failures, more or less: many clients must not come back at once."""
        doubled = self.backoff_s * 2.0 ** min(max(failures - 1, 0), _MAX_DOUBLINGS)
        # Not a secret: any spread will do.
        return float(min(doubled, self.longest_s) * random.uniform(0.75, 1.25))  # noqa: S311


def is_too_much(error: FetchError) -> bool:
    """Whether the server says that it is asked too often: all of the host's pictures wait then, not just this one."""
    return error.status in (429, 503) or (error.retryable and error.retry_after_s is not None)


class Stopped(Exception):
    """The work was ended early, in the middle of a file."""


def sleep(seconds: float, stop: threading.Event) -> None:
    """Wait. Raises Stopped."""
    if stop.wait(seconds):
        raise Stopped
