"""What the headers of an answer say of when to come again, and of how to go on with it. Pure."""

from __future__ import annotations

import email.utils
import re
import time

_SECONDS = re.compile(r"\d{1,9}")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-\d{1,15}/(?:(\d{1,15})|\*)")


def retry_after_s(text: str | None) -> float | None:
    """Seconds until the time that a Retry-After header tells (RFC 9110, 10.2.3); None where it tells none."""
    text = (text or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def content_range(text: str) -> tuple[int, int | None] | None:
    """(first byte, size of the whole) of a Content-Range header, the size None where it is not told; None for what
    is no such header.
    """
    found = _CONTENT_RANGE.fullmatch(text.strip())
    return None if found is None else (int(found[1]), int(found[2]) if found[2] else None)


def validator(etag: str, last_modified: str) -> str:
    """What If-Range may be asked with; "" = nothing."""
    # RFC 9110, 13.1.5: a weak tag does not promise the same bytes.
    etag = etag.strip()
    return etag if etag and not etag.startswith("W/") else last_modified.strip()
