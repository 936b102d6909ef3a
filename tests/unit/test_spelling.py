"""One place each for what several rooms spell the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import image_search
from image_search.names import is_sha256, rfc3339

ROOT = Path(image_search.__file__).parent


@pytest.mark.parametrize("room", ["vectors", "storage", "services", "cli", "api"])
def test_ids_and_times_are_spelt_in_one_place(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert 'compile(r"[0-9a-f]{64}")' not in text, path
        assert ".isoformat()" not in text, path


@pytest.mark.parametrize(
    ("text", "is_one"), [("a" * 64, True), ("A" * 64, False), ("a" * 63, False), ("a" * 64 + "\n", False)]
)
def test_a_hash(text: str, is_one: bool) -> None:
    assert is_sha256(text) == is_one


def test_a_time() -> None:
    assert [rfc3339(seconds) for seconds in (0, 1.9, -1)] == [
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:01Z",
        "1969-12-31T23:59:59Z",
    ]
