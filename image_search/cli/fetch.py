"""Pictures from the web into a folder that can be ingested."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from image_search.cli.context import CliContext, emit, exit_if_stopped, json_option, pass_context, stop_on_signals
from image_search.cli.progress import progress_bar
from image_search.cli.sources import PATH
from image_search.cli.tables import count, plain, print_failures, print_table
from image_search.errors import InvalidParameter
from image_search.metadata.reader import read_list
from image_search.services.collecting.sets import PUBLIC_SETS, RECORD_SUFFIX, PublicSet, read_set
from image_search.types import FetchReport, Refusal

_MEGABYTE = 1_000_000
SHOWN_ENTRIES = 5
_AT_ONCE = click.IntRange(1, 256)


@click.command()
@click.argument("source", metavar="[SOURCE]", required=False)
@click.option("-o", "--output", type=PATH, metavar="FOLDER", help="Where the pictures go.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N pictures of the source.")
@click.option("--jobs", type=_AT_ONCE, metavar="N", help="Pictures fetched at once. Default: as configured (16).")
@click.option("--per-host", type=_AT_ONCE, metavar="N", help="The same from one host. Default: as configured (4).")
@click.option(
    "--resize",
    type=click.IntRange(16, 16_384),
    metavar="PX",
    help="Make a picture whose longest edge has more smaller.",
)
@click.option("--retry-failed", is_flag=True, help="Try again what failed for good in an earlier run.")
@click.option("--keep-archives", is_flag=True, help="Keep a set's archives when its pictures were taken out.")
@click.option("--sets", "list_sets", is_flag=True, help="List the public sets that are known by name.")
@json_option
@pass_context
def fetch(
    context: CliContext,
    source: str | None,
    output: Path | None,
    limit: int | None,
    jobs: int | None,
    per_host: int | None,
    resize: int | None,
    retry_failed: bool,
    keep_archives: bool,
    list_sets: bool,
    as_json: bool,
) -> None:
    """Fetch the pictures that SOURCE tells of into FOLDER, with their titles, tags and texts.

    SOURCE is a list with addresses (image_url or url; JSONL, CSV, Parquet, pickled dictionaries, or a text file with
    one a line), XML of the MVSO collection (a file or a folder), or a public set by its name or its record's file.

    May be stopped at any moment and started again: it goes on where it was. What could not be had is in
    FOLDER/failures.jsonl, the words are in FOLDER/metadata.jsonl.

    Only public addresses are asked, at the usual ports; url_fetch.allow admits others, and what was refused is then
    tried by itself.

    \b
    Examples:
      image-search fetch photos.csv -o photos && image-search ingest photos
      image-search fetch metadata.jsonl -o photos --limit 1000 --resize 800
      image-search fetch coco-val2017 -o coco
      image-search fetch lan.csv -o photos --set url_fetch.allow=nas.lan:8080
      image-search fetch --sets
    """
    if list_sets:
        _show_sets(as_json)
        return
    if source is None or output is None:
        raise InvalidParameter("SOURCE", "give a source and -o FOLDER; `image-search fetch --help` has examples")
    from image_search.wiring import build_collecting

    public = _set_of(source)
    service = build_collecting(context.settings, jobs=jobs, per_host=per_host)
    with stop_on_signals() as stop:
        if public is None:
            fetched = partial(service.fetch_list, read_list(Path(source)))
        else:
            fetched = partial(service.fetch_set, public, keep_archives=keep_archives)
        with progress_bar() as on_progress:
            report = fetched(
                folder=output,
                limit=limit,
                longest_px=resize,
                retry_failed=retry_failed,
                on_progress=on_progress,
                stop=stop,
            )
    allow = context.settings.url_fetch.allow
    emit(report, as_json=as_json, text=lambda: _print(report, source, output, allow))
    exit_if_stopped(report.interrupted)
    if not (report.fetched or report.unchanged or report.duplicates) and (
        report.failed or report.skipped or report.refused
    ):
        raise SystemExit(1)


def _set_of(source: str) -> PublicSet | None:
    """The public set that is meant, None where it is a list."""
    if source.endswith(RECORD_SUFFIX):
        return read_set(Path(source))
    # A file of that name is in the way of nobody who writes ./name.
    return PUBLIC_SETS.get(source)


def _show_sets(as_json: bool) -> None:
    emit(
        {"sets": [{"name": s.name, "bytes": _bytes(s), "description": s.description} for s in PUBLIC_SETS.values()]},
        as_json=as_json,
        text=lambda: print_table(
            ("name", "MB", "what"),
            [(s.name, f"{_bytes(s) // _MEGABYTE:,}", s.description) for s in PUBLIC_SETS.values()],
            right=("MB",),
        ),
    )


def _bytes(public: PublicSet) -> int:
    return public.pictures.size_bytes + (public.captions.size_bytes if public.captions else 0)


def _print(report: FetchReport, source: str, output: Path, allow: Sequence[str]) -> None:
    told = report.fetched or report.unchanged or report.failed or report.skipped or report.refused
    if not (told or report.interrupted):
        click.echo(f"{plain(source)} tells of no pictures.")
        return
    refused = f", {len(report.refused)} refused by the settings" if report.refused else ""
    reworded = f" ({report.reworded} of them with new words)" if report.reworded else ""
    click.echo(
        f"{report.fetched} fetched, {report.unchanged} there before{reworded}, {report.duplicates} duplicates, "
        f"{len(report.failed)} failed{refused}; {report.bytes_fetched / _MEGABYTE:,.1f} MB, {report.elapsed_s:.1f} s"
    )
    print_failures(report.failed)
    if report.refused:
        _print_refused(report.refused, allow)
    if report.repeated:
        click.echo(f"{count(report.repeated, 'address', 'addresses')} more than once in the list.")
    if report.skipped:
        click.echo(f"{report.skipped} failed for good before, and were not tried again (--retry-failed does).")
    if report.fetched or report.unchanged:
        click.echo(f"Next: image-search ingest {plain(str(output))}")


def _print_refused(refused: Sequence[Refusal], allow: Sequence[str]) -> None:
    """What the settings keep us from, and the setting that would not: only the person knows whose hosts these are."""
    click.echo("Refused by the settings:")
    print_failures(refused)
    entries = list(dict.fromkeys(one.admitted_by for one in refused))
    wanted = ",".join([*allow, *entries[:SHOWN_ENTRIES]])
    more = f" ({len(entries) - SHOWN_ENTRIES} hosts more)" if len(entries) > SHOWN_ENTRIES else ""
    click.echo(
        f"Where you trust these hosts, admit them, and the same command tries again: "
        f"--set url_fetch.allow={plain(wanted)}{more}"
    )


COMMANDS = (fetch,)
