"""What every benchmark does with its numbers: a table on the screen, a JSON file beside the others."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("IMAGE_SEARCH_BENCH_DATA", Path(__file__).parents[2] / "shared"))
"""Folder with data/*.tar and models/, as the developers share it."""
MOBILENET = DATA / "models" / "mobilenet_v2_imagenet.onnx"


def publish(name: str, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the rows as a table and write them, with the machine and the time, to results/<name>.json."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in rows[0]:
        table.add_column(column, justify="left" if isinstance(rows[0][column], str) else "right")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    Console(width=150).print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {
        "name": name,
        "title": title,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version()},
        "rows": list(rows),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def unpacked(name: str) -> Path:
    """The folder of a shared set of pictures, unpacked once into results/data."""
    import tarfile

    target = RESULTS / "data"
    if not (target / name).is_dir():
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(DATA / "data" / f"{name}.tar") as archive:
            archive.extractall(target, filter="data")
    return target / name


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
