"""What the headers of an answer say."""

from __future__ import annotations

import email.utils
import time

import pytest

from image_search.http_headers import content_range, retry_after_s, validator


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), (" 0 ", 0), ("", None), (None, None), ("soon", None), ("-5", None), ("1e9", None), ("9" * 40, None)],
)
def test_retry_after_in_seconds(text: str | None, seconds: float | None) -> None:
    assert retry_after_s(text) == seconds


def test_retry_after_as_a_date() -> None:
    in_an_hour = email.utils.formatdate(time.time() + 3600, usegmt=True)
    assert 3400 < (retry_after_s(in_an_hour) or 0) <= 3600
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after_s("Wed, 99 Oct 2015 07:28:00 GMT") is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("bytes 5-9/10", (5, 10)),
        (" bytes 0-0/* ", (0, None)),
        ("bytes */10", None),
        ("bytes 5-9", None),
        ("items 5-9/10", None),
        ("bytes -5-9/10", None),
        (f"bytes {'1' * 400}-9/10", None),
        ("", None),
    ],
)
def test_content_range(text: str, part: tuple[int, int | None] | None) -> None:
    assert content_range(text) == part


def test_only_a_strong_tag_stands_for_the_same_bytes() -> None:
    assert validator('"abc"', "yesterday") == '"abc"'
    assert validator('W/"abc"', "yesterday") == "yesterday"
    assert validator("", "") == ""
