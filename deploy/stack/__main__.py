"""deploy/check: the stack without containers, used and broken; prints a table, ends with 1 where something failed."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.stack import steps
from deploy.stack.processes import Failed, Stack, stack, what_is_missing

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "flickr.tar"


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy/check", description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer pictures, shorter faults, longer time limits")
    parser.add_argument("--images", type=Path, help="folder of JPEGs; else the photos beside the checkout, else drawn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    parser.add_argument("--keep-log", type=Path, metavar="FILE", help="copy what the application said there")
    arguments = parser.parse_args()
    if (reason := what_is_missing()) is not None:
        print(f"deploy/check: {reason}", file=sys.stderr)
        return 2
    # Whoever ends it, and however: what it started ends too. A shell that runs it in the background ignores SIGINT.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _frame: sys.exit(128 + got))
    with tempfile.TemporaryDirectory(prefix="image-search-check-") as name:
        folder = Path(name)
        pictures = photos(folder, arguments.images, 60 if arguments.short else 1500)
        with stack(folder, patient=arguments.short) as running:
            rows, failures = run(running, pictures, short=arguments.short)
            if arguments.keep_log:
                arguments.keep_log.write_bytes(running.log.read_bytes())
    if arguments.json:
        arguments.json.write_text(json.dumps([{"step": r.step, "result": r.result} for r in rows], indent=1))
    return 1 if failures else 0


def photos(folder: Path, given: Path | None, count: int) -> Path:
    """A folder with at most so many JPEGs, all different."""
    target = folder / "photos"
    if given is not None:
        sources = sorted(given.rglob("*.jpg"))[:count]
    elif SHARED.is_file():
        with tarfile.open(SHARED) as archive:
            archive.extractall(folder / "unpacked", filter="data")
        sources = sorted((folder / "unpacked").rglob("*.jpg"))[:count]
    else:
        steps.drawn_pictures(target, count)
        return target
    target.mkdir()
    for number, source in enumerate(sources):
        (target / f"{number:05d}.jpg").write_bytes(source.read_bytes())
    return target


def run(running: Stack, folder: Path, *, short: bool) -> tuple[list[steps.Row], int]:
    """(table, failures): a step that fails does not keep the others from being tried."""
    asked: Sequence[Path] = sorted(folder.iterdir())[:: 10 if short else 75][:20]
    # Longer than any of its time limits: something has to be refused.
    away_s, max_s = (12.0, None) if short else (20.0, 10.0)
    todo: list[tuple[str, Callable[[], steps.Row | list[steps.Row]]]] = [
        ("ingest", lambda: steps.ingest(running, folder)),
        ("search", lambda: steps.old_and_new_search(running, asked[: 5 if short else 20])),
        ("insert, delete", lambda: steps.insert_delete_restore(running)),
        ("metrics", lambda: steps.numbers_of_all_workers(running)),
        ("reload", lambda: steps.reload_under_load(running, asked, times=1 if short else 3)),
        *[
            (f.name, lambda f=f: steps.fault(running, asked, f, away_s=away_s, max_s=max_s))  # type: ignore[misc]
            # What hangs is back before the longer time limits are over.
            for f in steps.FAULTS[: 3 if short else None]
        ],
        ("many inserts", lambda: steps.many_inserts(running, asked, count=100 if short else 2000)),
        ("SIGTERM", lambda: steps.stops_gracefully(running, asked)),
    ]
    rows: list[steps.Row] = []
    failures = 0
    for name, step in todo:
        began_s = time.monotonic()
        try:
            done = step()
            new = done if isinstance(done, list) else [done]
        except Failed as error:
            new = [steps.Row(name, f"FAILED: {error}")]
            failures += 1
        except Exception:  # noqa: BLE001 - shown in the table's place; the other steps are tried all the same
            new = [steps.Row(name, f"FAILED: {traceback.format_exc()}")]
            failures += 1
        for row in new:
            rows.append(row)
            print(f"{row.step:45} | {row.result} ({time.monotonic() - began_s:.0f} s)", flush=True)
    return rows, failures


if __name__ == "__main__":
    sys.exit(main())
