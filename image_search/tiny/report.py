"""A folder of queries and their neighbours, to look at: small pictures, scores, summaries, one PDF of all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

import numpy as np

from image_search.errors import ImageTooLarge, InvalidImage, InvalidInput, InvalidParameter, UnsupportedFormat
from image_search.tiny.archive import Archive, BytesListener, end_if, no_listener
from image_search.tiny.knn import Metric, Neighbour, nearest
from image_search.tiny.names import names_at
from image_search.tiny.output import check_folder, new_folder
from image_search.tiny.packing import (
    MAX_FILE_BYTES,
    MAX_PIXELS,
    CountListener,
    no_count,
    read_file,
    readable,
    walk,
)
from image_search.tiny.pdf import write_summary
from image_search.tiny.pixels import PICTURE_BYTES, Bytes, Fit, prepare, to_image
from image_search.tiny.summary import Entry, draw_summary
from image_search.tiny.threads import in_order
from image_search.types import Failure

MOST_NEIGHBOURS = 400
"""More of them could not be told from each other on one page."""
SMALL, SCORES, SUMMARIES, PDF, INDEX = "images_small", "scores", "summary_images", "summary.pdf", "report.json"
CONTENTS = frozenset((SMALL, SCORES, SUMMARIES, PDF, INDEX))
"""What a report has in it; a folder with nothing else may be replaced by a newer one."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was written."""

    queries: int
    pages: int
    failed: tuple[Failure, ...]
    """Files that are no pictures, or damaged ones."""


def decimals(metric: Metric) -> int:
    """Of a score, as it is written. Normalised distances lie within 0 and 2: they want more."""
    return 4 if metric == "l2" else 6


def make_report(
    folder: Path,
    archive: Archive,
    output: Path,
    k: int,
    *,
    metric: Metric = "l2",
    fit: Fit = "crop",
    threads: int = 1,
    max_pixels: int = MAX_PIXELS,
    max_file_bytes: int = MAX_FILE_BYTES,
    on_bytes: BytesListener = no_listener,
    on_count: CountListener = no_count,
    stop: Event | None = None,
) -> Report:
    """Find the k nearest of each picture of a folder, and write the folder `output`: all of it or nothing.

    Raises InvalidInput (no folder, no picture, stopped), InvalidParameter (k, the place), DatasetFormatError,
    ImageStoreError.
    """
    if not folder.is_dir():
        raise InvalidInput(f"folder {str(folder)!r} does not exist or is no folder")
    if not 1 <= k <= MOST_NEIGHBOURS:
        raise InvalidParameter("k", f"{k}; 1 to {MOST_NEIGHBOURS} are expected, as they share one page")
    _check_apart(output, folder, archive.path)
    check_folder(output, CONTENTS)
    names, queries, failed = _read(folder, fit, threads, max_pixels, max_file_bytes, on_count, stop)
    if not names:
        raise InvalidInput(f"no picture in folder {str(folder)!r}")
    found = nearest(archive, queries, k, metric=metric, threads=threads, on_bytes=on_bytes, stop=stop)
    called = names_at(archive.path, len(archive), [one.position for ones in found for one in ones])

    def entries() -> Iterator[Entry]:
        for done, (name, query, neighbours) in enumerate(zip(names, queries, found, strict=True), 1):
            end_if(stop, "the report was stopped; nothing was written")
            positions = [one.position for one in neighbours]
            entry = Entry(
                name,
                query,
                neighbours,
                archive.pictures(positions),
                decimals(metric),
                called,
            )
            _write_files(part, entry)
            yield entry
            on_count(done, len(names), len(failed))

    with new_folder(output, CONTENTS) as part:
        with (part / PDF).open("wb") as file:
            pages = write_summary(file, f"Nearest pictures, {metric}", entries())
        index = {
            "metric": metric,
            "archive": archive.path.name,
            "pictures": len(archive),
            "queries": [
                {"name": name, "neighbours": _described(neighbours, called)}
                for name, neighbours in zip(names, found, strict=True)
            ],
            "failed": [asdict(failure) for failure in failed],
        }
        (part / INDEX).write_text(json.dumps(index, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return Report(len(names), pages, tuple(failed))


def _read(
    folder: Path,
    fit: Fit,
    threads: int,
    max_pixels: int,
    max_file_bytes: int,
    on_count: CountListener,
    stop: Event | None,
) -> tuple[list[str], Bytes, list[Failure]]:
    def one(name: str) -> tuple[str, Bytes | str]:
        try:
            return name, prepare(read_file(folder / name, max_file_bytes), fit=fit, max_pixels=max_pixels)
        except (InvalidImage, ImageTooLarge, UnsupportedFormat) as error:
            return name, str(error)

    names: list[str] = []
    rows: list[Bytes] = []
    failed: list[Failure] = []
    for name, made in in_order(one, walk(folder), threads):
        end_if(stop, "the report was stopped; nothing was written")
        if isinstance(made, str):
            failed.append(Failure(readable(name), made))
        else:
            names.append(readable(name))
            rows.append(made)
    on_count(0, len(names), len(failed))
    return names, np.array(rows, np.uint8).reshape(-1, PICTURE_BYTES), failed


def _write_files(part: Path, entry: Entry) -> None:
    small, scores, summary = (
        part / place / f"{entry.name}{suffix}"
        for place, suffix in ((SMALL, ".png"), (SCORES, ".txt"), (SUMMARIES, ".png"))
    )
    for path in (small, scores, summary):
        path.parent.mkdir(parents=True, exist_ok=True)
    to_image(entry.query).save(small, "PNG")
    lines = (f"{one.score:.{entry.decimals}f} {one.position}\n" for one in entry.neighbours)
    scores.write_text("".join(lines), encoding="utf-8")
    draw_summary(entry).save(summary, "PNG")


def _described(neighbours: Sequence[Neighbour], names: dict[int, str]) -> list[dict[str, object]]:
    return [{**asdict(one), "name": names.get(one.position)} for one in neighbours]


def _check_apart(output: Path, folder: Path, archive: Path) -> None:
    """What is read must not be replaced by what is written, nor be read as a query the next time."""
    place, pictures = output.resolve(), folder.resolve()
    if place.is_relative_to(pictures):
        raise InvalidParameter(
            "output", f"{str(output)!r} lies in the folder of the queries; another place is expected"
        )
    if pictures.is_relative_to(place) or archive.resolve().is_relative_to(place):
        raise InvalidParameter("output", f"what is read lies in {str(output)!r}; another place is expected")
