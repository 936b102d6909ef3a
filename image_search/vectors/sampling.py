"""Random records of a library whose ids are hashes (pure)."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from image_search.types import ImageRecord


def sample_records(page: Callable[[str | None, int], list[ImageRecord]], n: int) -> list[ImageRecord]:
    """At most n records out of `page(after, limit)`, which lists in order of image_id, in random order.

    Ids are SHA-256: those that follow a random one are as good as drawn, and cost one page instead of a scan.
    """
    start = secrets.token_hex(32)
    found = page(start, n)
    if len(found) < n:
        found = found + [record for record in page(None, n - len(found)) if record.image_id <= start]
    secrets.SystemRandom().shuffle(found)
    return found
