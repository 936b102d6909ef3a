"""tiny knn, label, report: what is nearest to a picture, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from image_search.cli.attempts import PICTURE_FAULTS, attempt, exit_if, failures, file_name, read_picture
from image_search.cli.context import CliContext, emit, json_option, pass_context, stop_on_signals
from image_search.cli.progress import progress_bar
from image_search.cli.sources import PATH
from image_search.cli.tables import count, plain, print_failures, print_table
from image_search.errors import InvalidParameter
from image_search.machine import available_cores
from image_search.services.progress import Progress
from image_search.types import Failure

if TYPE_CHECKING:
    from image_search.tiny.archive import Archive, BytesListener
    from image_search.tiny.knn import Metric, Neighbour
    from image_search.tiny.label import Accuracy
    from image_search.tiny.pixels import Bytes, Fit

P = ParamSpec("P")
T = TypeVar("T")

NEIGHBOURS = 10
MANY = 300_000
"""From so many pictures in an archive on, nearly a gigabyte, progress is shown."""


def db_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--db`."""
    return click.option("--db", type=PATH, required=True, metavar="FILE", help="The archive.")(command)


def fit_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--fit`."""
    return click.option(
        "--fit",
        type=click.Choice(["crop", "stretch"]),
        default="crop",
        show_default=True,
        help="How a picture becomes square: its centre, or all of it stretched. As the archive was packed.",
    )(command)


def threads_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--threads`."""
    return click.option(
        "--threads", type=click.IntRange(1, 256), default=None, metavar="N", help="Default: one for each core."
    )(command)


def metric_option(default: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--metric`."""
    return click.option(
        "--metric",
        type=click.Choice(["l2", "normalised", "shifted"]),
        default=default,
        show_default=True,
        help="Euclidean distance of the pixels; of pictures brought to zero mean and unit norm; the same at the best "
        "of some small shifts of the picture or its mirror image.",
    )


def neighbours_option(command: Callable[P, T]) -> Callable[P, T]:
    """`-k`."""
    return click.option(
        "-k", "k", type=int, default=NEIGHBOURS, show_default=True, metavar="N", help="Neighbours of each query."
    )(command)


@dataclass(frozen=True)
class _Queries:
    """The pictures that are asked about, and the files that are none."""

    names: list[str]
    rows: Bytes
    """(q, 3072)"""
    failed: list[Failure]


@click.command()
@click.argument("queries", type=PATH, nargs=-1, required=True, metavar="QUERY...")
@db_option
@neighbours_option
@click.option("--all", "every", is_flag=True, help="Every distance, in the order of the file.")
@metric_option("l2")
@fit_option
@threads_option
@json_option
@pass_context
def knn(
    context: CliContext,
    queries: tuple[Path, ...],
    db: Path,
    k: int,
    every: bool,
    metric: Metric,
    fit: Fit,
    threads: int | None,
    as_json: bool,
) -> None:
    """Print the pictures of an archive that are nearest to each QUERY (a file, or - for stdin), in one pass.

    One line for each, `score position`, the nearest first; with several queries a line `# QUERY` before those of each.
    With --all a line for each picture of the archive: its distance from each query, then its position.

    \b
    Examples:
      image-search tiny knn --db tiny_images.bin photo.jpg
      image-search tiny knn --db tiny_images.bin queries/*.jpg -k 50 --metric normalised --json
      image-search tiny knn --db tiny_images.bin photo.jpg --all > distances.txt
    """
    from image_search.tiny.archive import Archive
    from image_search.tiny.knn import nearest
    from image_search.tiny.names import names_at

    if every and (as_json or metric == "shifted"):
        raise InvalidParameter("all", "its lines come as the file is read, of l2 or normalised: no --json, no shifted")
    with Archive(db) as archive, stop_on_signals() as stop, reading_bar(archive) as on_bytes:
        asked = _read(context, queries, fit)
        options: dict[str, Any] = {
            "metric": metric,
            "threads": threads or available_cores(),
            "on_bytes": on_bytes,
            "stop": stop,
        }
        if every:
            _print_all(archive, asked.rows, options)
            found = []
        else:
            found = nearest(archive, asked.rows, k, **options)
        # The side file is read from its beginning to its end: only where the names are shown.
        shown = [one.position for ones in found for one in ones] if as_json else []
        names = names_at(db, len(archive), shown) if shown else {}
        size = len(archive)

    def text() -> None:
        for name, neighbours in zip(asked.names, found, strict=not every):
            # By how many were given: a script must see which of them an answer is for.
            if len(queries) > 1:
                click.echo(f"# {plain(name)}")
            for one in neighbours:
                click.echo(f"{_score(one.score, metric)} {one.position}")

    if not every:
        data = {
            "pictures": size,
            "metric": metric,
            "results": [
                {"query": name, "neighbours": [_describe(one, names, metric) for one in neighbours]}
                for name, neighbours in zip(asked.names, found, strict=True)
            ],
            "failed": [asdict(failure) for failure in asked.failed],
        }
        emit(data, as_json=as_json, text=text)
    if not as_json:
        print_failures(asked.failed, err=True)
    exit_if(asked.failed)


@click.command()
@click.argument("queries", type=PATH, nargs=-1, metavar="[QUERY]...")
@db_option
@neighbours_option
@click.option("--evaluate", "judge", is_flag=True, help="Let pictures of the archive be labelled by the others.")
@click.option("--sample", type=int, default=1000, show_default=True, metavar="N", help="So many, for --evaluate.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="For --evaluate.")
@metric_option("normalised")
@fit_option
@threads_option
@json_option
@pass_context
def label(
    context: CliContext,
    queries: tuple[Path, ...],
    db: Path,
    k: int,
    judge: bool,
    sample: int,
    seed: int,
    metric: Metric,
    fit: Fit,
    threads: int | None,
    as_json: bool,
) -> None:
    """Say what each QUERY shows: the label that most of its k nearest pictures have.

    The label of a picture is the first folder of its name in the archive's side file: pack a folder that has one folder
    for each label. --evaluate tells how often the vote is right, of the nearest one and of k, by plain and by
    normalised pixels (and shifted ones, with --metric shifted).

    \b
    Examples:
      image-search tiny label --db cifar10.bin photo.jpg -k 20
      image-search tiny label --db cifar10.bin --evaluate -k 10
    """
    from image_search.tiny.archive import Archive
    from image_search.tiny.knn import nearest
    from image_search.tiny.label import evaluate, read_labels, vote

    if judge == bool(queries):
        raise InvalidParameter("query", "either pictures to label, or --evaluate, is expected")
    with Archive(db) as archive, stop_on_signals() as stop, reading_bar(archive) as on_bytes:
        labels = read_labels(archive)
        options: dict[str, Any] = {"threads": threads or available_cores(), "on_bytes": on_bytes, "stop": stop}
        if judge:
            positions = archive.sample(min(sample, len(archive)) if sample > 0 else sample, seed)
            metrics: list[Metric] = ["l2", "normalised"]
            if metric == "shifted":
                metrics.append(metric)
            found = [
                one
                for name in metrics
                for one in evaluate(archive, labels, positions, sorted({1, k}), metric=name, **options)
            ]
            _print_accuracies(found, as_json=as_json)
            return
        asked = _read(context, queries, fit)
        results = [
            {"query": name, **asdict(vote([labels.of(one.position) for one in neighbours]))}
            for name, neighbours in zip(
                asked.names,
                nearest(archive, asked.rows, k, metric=metric, **options),
                strict=True,
            )
        ]

    def text() -> None:
        for one in results:
            votes = sum(one["votes"].values())
            click.echo(f"{plain(one['label'])} {one['votes'][one['label']]}/{votes} {plain(one['query'])}")

    data = {"metric": metric, "k": k, "results": results, "failed": [asdict(failure) for failure in asked.failed]}
    emit(data, as_json=as_json, text=text)
    if not as_json:
        print_failures(asked.failed, err=True)
    exit_if(asked.failed)


@click.command()
@click.argument("folder", type=PATH, metavar="IMAGES_FOLDER")
@db_option
@click.option("-o", "--output", type=PATH, required=True, metavar="FOLDER", help="A new folder, or an older report's.")
@neighbours_option
@metric_option("l2")
@fit_option
@threads_option
@json_option
@pass_context
def report(
    context: CliContext,
    folder: Path,
    db: Path,
    output: Path,
    k: int,
    metric: Metric,
    fit: Fit,
    threads: int | None,
    as_json: bool,
) -> None:
    """Find the neighbours of every picture of IMAGES_FOLDER, and show them.

    FOLDER gets images_small/ (the queries at 32 x 32), scores/ (`score position` lines), summary_images/ (query and
    neighbours side by side), summary.pdf (a page for each query) and report.json.

    \b
    Example:
      image-search tiny report queries/ --db tiny_images.bin -o outputs/
    """
    from image_search.tiny.archive import Archive
    from image_search.tiny.report import make_report

    imaging = context.settings.imaging
    with Archive(db) as archive, stop_on_signals() as stop, reading_bar(archive) as on_bytes:
        made = make_report(
            folder,
            archive,
            output,
            k,
            metric=metric,
            fit=fit,
            threads=threads or available_cores(),
            max_pixels=imaging.max_local_pixels,
            max_file_bytes=imaging.max_local_bytes,
            on_bytes=on_bytes,
            stop=stop,
        )

    def text() -> None:
        click.echo(f"{count(made.queries, 'query', 'queries')} in {output}, {len(made.failed)} failed")
        print_failures(made.failed)

    emit({"output": str(output), **asdict(made)}, as_json=as_json, text=text)


def _print_accuracies(found: Sequence[Accuracy], *, as_json: bool) -> None:
    data = [{**asdict(one), "accuracy": one.accuracy} for one in found]
    rows = [(one.metric, str(one.k), f"{one.accuracy:.4f}", str(one.queries)) for one in found]
    titles = ("metric", "k", "accuracy", "queries")
    emit(data, as_json=as_json, text=lambda: print_table(titles, rows, right=titles[1:]))


def _read(context: CliContext, paths: Sequence[Path], fit: Fit) -> _Queries:
    """The queries, prepared as an archive's pictures are; one that is no picture does not spoil the others."""
    import numpy as np

    from image_search.tiny.pixels import PICTURE_BYTES, prepare

    imaging = context.settings.imaging

    def one(path: Path) -> Bytes:
        data = read_picture(path, imaging.max_local_bytes)
        return prepare(data, fit=fit, max_pixels=imaging.max_local_pixels)

    tried = [attempt(file_name(path), lambda path=path: one(path), PICTURE_FAULTS) for path in paths]  # type: ignore[misc]
    good = [done for done in tried if done.result is not None]
    rows = np.array([done.result for done in good], np.uint8).reshape(-1, PICTURE_BYTES)
    return _Queries([done.name for done in good], rows, failures(tried))


@contextmanager
def reading_bar(archive: Archive) -> Iterator[BytesListener]:
    """A listener that shows how far the archive is read, where that takes longer than a moment."""
    if len(archive) < MANY:
        from image_search.tiny.archive import no_listener

        yield no_listener
        return
    with progress_bar(in_bytes=True) as on_progress:
        yield lambda done, total: on_progress(Progress("read", done, total))


def _print_all(archive: Archive, rows: Bytes, options: dict[str, Any]) -> None:
    from image_search.tiny.knn import all_distances

    if not len(rows):
        return
    line = " ".join([_form(options["metric"])] * len(rows)) + " %d\n"
    for first, distances in all_distances(archive, rows, **options):
        lines = (line % (*of_one, first + row) for row, of_one in enumerate(distances.tolist()))
        click.echo("".join(lines), nl=False)


def _form(metric: str) -> str:
    # Normalised distances lie within 0 and 2: they want more decimals.
    return "%.4f" if metric == "l2" else "%.6f"


def _score(score: float, metric: str) -> str:
    return _form(metric) % score


def _describe(one: Neighbour, names: dict[int, str], metric: str) -> dict[str, Any]:
    described: dict[str, Any] = {"score": one.score, "position": one.position, "name": names.get(one.position)}
    if metric == "shifted":
        described |= {"shift_px": list(one.shift), "mirrored": one.mirrored}
    return described


COMMANDS = (knn, label, report)
