"""check: does the library hold these pictures already?"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import click

from image_search.cli.attempts import PICTURE_FAULTS, STDIN, attempt, exit_if, file_name, read_picture
from image_search.cli.context import (
    CliContext,
    collection_option,
    emit,
    exit_if_stopped,
    json_option,
    pass_context,
    stop_on_signals,
)
from image_search.cli.ids import short_id
from image_search.cli.progress import progress_bar
from image_search.cli.tables import count, name_of, plain, print_failures, print_table
from image_search.errors import InvalidParameter, UnsupportedFormat
from image_search.fingerprint import content_hash
from image_search.interfaces import Keeping
from image_search.names import is_sha256
from image_search.services.progress import Progress, no_progress
from image_search.services.scanning import Candidate, Source
from image_search.services.searching.answer import CheckOutcome, describe_record
from image_search.types import Failure, ImageRecord
from image_search.wiring import Services

MANY = 20
"""From so many files on, progress is shown."""
SHOWN_OTHERS = 5
_STDIN_FILE = Path("/dev/stdin")
"""The file that stdin was redirected from, where it was."""
_STATES = {
    "identical": "identical",
    "kept": "identical",
    "reference": "held by reference to this very file",
    "missing": "known without its picture",
    "near_duplicate": "near-duplicate",
    "no": "new",
}
Held: TypeAlias = Literal["identical", "near_duplicate", "no"]


@dataclass(frozen=True, slots=True)
class _File:
    """A file that was named, or found in a folder that was named."""

    name: str
    path: Path
    found: Candidate | None = None


@dataclass(frozen=True, slots=True)
class _Checked:
    """What is known of one picture."""

    name: str
    image_id: str
    identical: ImageRecord | None
    near: tuple[ImageRecord, ...] | None = None
    """Near-duplicates, best first; None = not looked for."""
    original: Keeping | None = None
    """What the library has of the picture's own bytes; None = not looked at."""
    path: Path | None = None
    """The file, where there is one."""

    @property
    def held(self) -> Held:
        if self.identical is not None:
            # Whoever asks for the same bytes may remove the file next.
            return "identical" if self.original in (None, "kept") else "no"
        return "near_duplicate" if self.near else "no"

    def as_dict(self) -> dict[str, Any]:
        near = None if self.near is None else [_describe(record) for record in self.near]
        identical = None if self.identical is None else _describe(self.identical)
        return {
            "name": self.name,
            "id": self.image_id,
            "held": self.held,
            "identical": identical,
            "original": self.original,
            "near_duplicates": near,
        }


@dataclass(slots=True)
class _Report:
    """All that was looked at."""

    checked: list[_Checked] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    not_pictures: list[str] = field(default_factory=list)
    """Files in folders that are something else."""
    interrupted: bool = False

    @property
    def counts(self) -> dict[Held, int]:
        counted = Counter(one.held for one in self.checked)
        return {held: counted[held] for held in ("identical", "near_duplicate", "no")}

    def as_dict(self) -> dict[str, Any]:
        return {
            "counts": {**self.counts, "failed": len(self.failed)},
            "results": [one.as_dict() for one in self.checked],
            "failed": [{"path": f.path, "reason": f.reason} for f in self.failed],
            "not_pictures": self.not_pictures,
            "interrupted": self.interrupted,
        }


@click.command()
@click.argument("given", nargs=-1, required=True, metavar="FILE|FOLDER|HASH...")
@click.option("--sha256", "by_hash", is_flag=True, help="The arguments are SHA-256 hashes; - = lines of `sha256sum`.")
@click.option("--exact", is_flag=True, help="Look for the same bytes only: much faster, no network is needed.")
@collection_option
@json_option
@pass_context
def check(
    context: CliContext, given: tuple[str, ...], by_hash: bool, exact: bool, collection: str | None, as_json: bool
) -> None:
    """Tell whether the library holds pictures already: the same bytes, or the same picture in others.

    Folders are walked; what is no picture in them is left out. FILE may be `-` for a picture on stdin.

    With --exact and --sha256 a picture is held only where the library keeps its bytes: a reference to the very file
    that is asked about (ingest --originals reference) does not count, nor does a row that was imported without one.

    Exit code: 0 = the library has all of them, exactly or nearly; 1 = some are new, or could not be looked at.

    \b
    Examples:
      image-search check photo.jpg
      image-search check /media/camera --exact --json
      sha256sum *.jpg | image-search check --sha256 -
    """
    name = context.collection(collection)
    report = _Report()
    with context.services() as services, stop_on_signals() as stop:
        if by_hash:
            report.checked = _by_bytes(services, name, list(_hashes(given)))
        else:
            files = list(_files(given))
            with progress_bar() as bar:
                tell = bar if len(files) >= MANY else no_progress
                for done, file in enumerate(files):
                    if stop.is_set():
                        report.interrupted = True
                        break
                    tell(Progress("checking", done, len(files), len(report.failed)))
                    _check_file(services, name, file, report, exact=exact)
            if exact:
                report.checked = _by_bytes(services, name, report.checked)
    emit(report.as_dict(), as_json=as_json, text=lambda: _print(report))
    exit_if_stopped(report.interrupted)
    exit_if(report.counts["no"] or report.failed)


def _check_file(services: Services, collection: str, file: _File, report: _Report, *, exact: bool) -> None:
    """Look at one file and write into the report what came of it."""

    def look() -> _Checked:
        if file.found is not None:
            data = services.preparer.read(file.found)
        else:
            data = read_picture(file.path, services.preparer.max_bytes)
        if exact:
            return _Checked(file.name, content_hash(data), None, path=_STDIN_FILE if file.path == STDIN else file.path)
        return _outcome(file.name, services.search.check(collection, data))

    one = attempt(file.name, look, PICTURE_FAULTS)
    if one.result is not None:
        report.checked.append(one.result)
    elif file.found is not None and isinstance(one.error, UnsupportedFormat):
        report.not_pictures.append(file.name)
    else:
        report.failed.append(Failure(file.name, str(one.error)))


def _by_bytes(services: Services, collection: str, asked: Sequence[_Checked]) -> list[_Checked]:
    """The same with what the library knows by the hash, and what it keeps without the file."""
    known = services.library.known(collection, list(dict.fromkeys(one.image_id for one in asked)))
    return [
        replace(one, identical=known[one.image_id], original=services.library.keeping(one.image_id, one.path))
        if one.image_id in known
        else one
        for one in asked
    ]


def _outcome(name: str, outcome: CheckOutcome) -> _Checked:
    near = tuple(ranked.hit.record for ranked in outcome.near_duplicates)
    return _Checked(name, outcome.image_id, outcome.identical, near)


def _files(given: Sequence[str]) -> Iterator[_File]:
    for text in given:
        path = Path(text)
        if path != STDIN and path.is_dir():
            for found in Source(path).candidates():
                yield _File(file_name(found.path), found.path, found)
        else:
            yield _File(file_name(path), path)


def _hashes(given: Sequence[str]) -> Iterator[_Checked]:
    """Of an argument itself, of lines on stdin with the file that they name."""
    for text in given:
        lines = (os.fsdecode(line) for line in sys.stdin.buffer) if text == "-" else iter([text])
        for line in lines:
            if not line.strip():
                continue
            # A line begins with a backslash where sha256sum wrote an odd name in its own way.
            whole = line.strip()
            digest, _, name = whole.removeprefix("\\").partition(" ")
            if not is_sha256(digest.lower()):
                raise InvalidParameter("HASH", f"{digest[:80]!r}; 64 hex digits are expected")
            # sha256sum has one space or asterisk before the name.
            name = name[1:] if name[:1] in (" ", "*") else name
            path = Path(_unescaped(name) if whole.startswith("\\") else name) if name else None
            yield _Checked(file_name(Path(name)) if name else digest.lower(), digest.lower(), None, path=path)


def _unescaped(name: str) -> str:
    return re.sub(r"\\([\\nr])", lambda found: {"n": "\n", "r": "\r"}.get(found[1], "\\"), name)


def _describe(record: ImageRecord) -> dict[str, Any]:
    return {"id": record.image_id, **describe_record(record)}


def _print(report: _Report) -> None:
    rows = []
    for one in report.checked:
        same = one.identical or (one.near[0] if one.near else None)
        state = _STATES[one.original or one.held]
        rows.append([state, plain(one.name), short_id(same.image_id) if same else "", name_of(same) if same else ""])
    if rows:
        print_table(("", "file", "id", "in the library"), rows)
    counts = report.counts
    near = count(counts["near_duplicate"], "near-duplicate", "near-duplicates")
    click.echo(f"{counts['identical']} identical, {near}, {counts['no']} new, {len(report.failed)} failed")
    print_failures(report.failed)
    if others := report.not_pictures:
        names = [plain(name) for name in others[:SHOWN_OTHERS]] + ["..."] * (len(others) > SHOWN_OTHERS)
        click.echo(f"{count(len(others), 'file is no picture', 'files are no pictures')}: {', '.join(names)}")


COMMANDS = (check,)
