"""A progress bar on stderr; where stderr is no terminal, a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from image_search.cli.context import fail
from image_search.cli.tables import print_failures
from image_search.errors import ImageSearchError
from image_search.services.progress import Progress, ProgressListener
from image_search.types import Failure

LINE_EVERY_S = 10.0


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "–/s", style="cyan")


@contextmanager
def progress_bar(*, in_bytes: bool = False) -> Iterator[ProgressListener]:
    """A listener that shows done, rate, time left and failures; `in_bytes`: what is done are bytes."""
    if not sys.stderr.isatty():
        yield _line_listener(in_bytes=in_bytes)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        *((DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(), _RateColumn())),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failures]}", style="yellow"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, int] = {}

        def show(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bar.add_task(progress.stage, total=None, failures="")
            failures = f"{progress.failed} failed" if progress.failed else ""
            bar.update(
                bar.task_ids[list(tasks).index(progress.stage)],
                completed=progress.done,
                total=progress.total,
                failures=failures,
            )

        yield show


@contextmanager
def telling_failures(listener: ProgressListener, *, as_json: bool) -> Iterator[ProgressListener]:
    """A listener that also keeps the single failures that it hears of, and tells them with the error they end in."""
    met: list[Failure] = []

    def hear(progress: Progress) -> None:
        met.extend(progress.failures)
        listener(progress)

    try:
        yield hear
    except ImageSearchError as error:
        if not as_json:
            print_failures(met, err=True)
        fail(error, as_json=as_json, failures=met)


def _line_listener(*, in_bytes: bool) -> ProgressListener:
    started = last = time.monotonic()
    seen_stage = ""

    def show(progress: Progress) -> None:
        nonlocal last, seen_stage
        now = time.monotonic()
        if progress.stage == seen_stage and now - last < LINE_EVERY_S:
            return
        last, seen_stage = now, progress.stage
        failures = f", {progress.failed} failed" if progress.failed else ""
        if in_bytes:
            total = f" of {progress.total / 1e9:.2f}" if progress.total else ""
            rate = progress.done / 1e9 / max(now - started, 1e-9)
            done = f"{progress.done / 1e9:.2f}{total} GB, {rate:.2f} GB/s"
        else:
            done = f"{progress.done}{f' of {progress.total}' if progress.total else ''}"
        sys.stderr.write(f"{progress.stage}: {done}, {now - started:.0f} s{failures}\n")

    return show
