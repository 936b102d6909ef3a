"""python -m benchmarks [NAME ...] [options]: all benchmarks, or those that are named."""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks.report import DATA

NAMES = (
    "quality",
    "projection",
    "indexes",
    "search",
    "ingest",
    "embedding",
    "compact",
    "text",
    "near_duplicates",
    "live",
    "page",
    "tiny",
)


def main() -> None:
    """Run them one after another."""
    if not DATA.is_dir():
        sys.exit("The pictures and networks to measure on are not here; set IMAGE_SEARCH_BENCH_DATA to their folder.")
    named = [a for a in sys.argv[1:] if a in NAMES]
    options = [a for a in sys.argv[1:] if a not in NAMES]
    for name in named or NAMES:
        import_module(f"benchmarks.{name}").main(options)


if __name__ == "__main__":
    main()
