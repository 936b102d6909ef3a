"""Commands that take pictures out of the library and bring them back: delete, restore, trash."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click

from image_search.cli.attempts import attempt, exit_if, failures
from image_search.cli.context import (
    CliContext,
    collection_option,
    emit,
    exit_if_stopped,
    json_option,
    pass_context,
    stop_on_signals,
)
from image_search.cli.ids import any_ids, only_in_trash, short_id
from image_search.cli.options import ListingGroup, page_options
from image_search.cli.tables import brief, name_of, print_failures, print_table
from image_search.errors import Conflict, ImageNotFound, InvalidParameter
from image_search.names import rfc3339
from image_search.services.library.trash import DeletedImage
from image_search.services.searching.answer import describe_record

DAY_S = 86_400


@click.command()
@click.argument("image_ids", nargs=-1, required=True, metavar="ID...")
@click.option("--permanently", is_flag=True, help="Their files too, and at once; also of pictures in the trash.")
@collection_option
@json_option
@pass_context
def delete(
    context: CliContext, image_ids: tuple[str, ...], permanently: bool, collection: str | None, as_json: bool
) -> None:
    """Remove pictures from the library; the files they came from stay.

    They lie in the trash for a while (library.trash_days) and can be restored. What has been there for longer goes for
    good: now, unless that was seen to within a day.

    \b
    Examples:
      image-search delete 3b1f5c9a7e02
      image-search delete 3b1f5c9a7e02 9c2ad03b11f7 --permanently
    """
    name, days = context.collection(collection), context.settings.library.trash_days
    with context.services() as services:
        wanted = any_ids(services, name, image_ids)
        already = [] if permanently else only_in_trash(services, name, wanted)
        deleted = services.library.delete(name, wanted, permanently=permanently)
        purged = services.purge_daily()
    restorable = 0 if permanently else days

    def text() -> None:
        how = f"; for {restorable} days: image-search restore ID" if restorable else " for good"
        click.echo(f"{deleted} deleted{how if deleted else ''}")
        if already:
            click.echo(f"{len(already)} in the trash already: image-search restore {' '.join(map(short_id, already))}")
        if purged:
            click.echo(f"{purged} that had been in the trash for more than {days} days are gone for good")

    data = {"deleted": deleted, "restorable_days": restorable if deleted else 0, "purged": purged}
    emit(data, as_json=as_json, text=text)


@click.command()
@click.argument("image_ids", nargs=-1, required=True, metavar="ID...")
@collection_option
@json_option
@pass_context
def restore(context: CliContext, image_ids: tuple[str, ...], collection: str | None, as_json: bool) -> None:
    """Bring deleted pictures back as they were; one that is in the library already stays as it is.

    \b
    Example:
      image-search restore 3b1f5c9a7e02
    """
    name = context.collection(collection)
    with context.services() as services:

        def bring_back(given: str) -> dict[str, Any]:
            record = services.library.restore(name, *any_ids(services, name, [given]))
            return {"id": record.image_id, **describe_record(record)}

        # One alone is told as the error that it is.
        faults = (ImageNotFound, Conflict) if len(image_ids) > 1 else ()
        attempts = [attempt(given, partial(bring_back, given), faults) for given in image_ids]
    failed = failures(attempts)
    restored = [one.result for one in attempts if one.result is not None]

    def text() -> None:
        click.echo(f"{len(restored)} restored" + (f", {len(failed)} could not be:" if failed else ""))
        print_failures(failed)

    data = {"restored": restored, "failed": [{"id": f.path, "reason": f.reason} for f in failed]}
    emit(data, as_json=as_json, text=text)
    exit_if(failed)


@click.group(cls=ListingGroup)
def trash() -> None:
    """List deleted pictures (alone: the same as `list`), or let them go for good."""


@trash.command(name="list")
@page_options(100)
@collection_option
@json_option
@pass_context
def trash_list(context: CliContext, limit: int, after: str | None, collection: str | None, as_json: bool) -> None:
    """List the pictures of a collection that can be restored.

    \b
    Example:
      image-search trash list
    """
    with context.services() as services:
        page = services.library.list_deleted(context.collection(collection), after=after, limit=limit)
    days = context.settings.library.trash_days

    def describe(entry: DeletedImage) -> dict[str, Any]:
        data = {"id": entry.record.image_id, **describe_record(entry.record)}
        return {**data, "deleted_at": rfc3339(entry.deleted_at_s), "kept_until": _kept_until(entry, days)}

    def text() -> None:
        if page.entries:
            rows = (
                (
                    short_id(e.record.image_id),
                    rfc3339(e.deleted_at_s)[:10],
                    _kept_until(e, days)[:10],
                    name_of(e.record),
                    brief(e.record.title),
                )
                for e in page.entries
            )
            print_table(("id", "deleted", "kept until", "picture", "title"), rows)
        else:
            click.echo("The trash is empty.")
        if page.next:
            click.echo(f"There are more: --after {page.next}")

    data = {"images": [describe(entry) for entry in page.entries], "next": page.next}
    emit(data, as_json=as_json, text=text)


@trash.command(name="empty")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(0, 36_500),
    default=0.0,
    metavar="DAYS",
    help="Only what was deleted so long ago.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_context
def trash_empty(context: CliContext, days: float, yes: bool, as_json: bool) -> None:
    """Let the deleted pictures of all collections go for good.

    Files that another collection shows stay.

    \b
    Examples:
      image-search trash empty --older-than 7
      image-search trash empty --yes
    """
    if not yes:
        if not sys.stdin.isatty():
            raise InvalidParameter("--yes", "is needed where nobody can be asked")
        which = f"what was deleted more than {days:g} days ago" if days else "everything in the trash"
        click.confirm(f"Remove {which} for good, in all collections?", abort=True, err=True)
    with context.services() as services, stop_on_signals() as stop:
        purged = services.library.purge(older_than_s=days * DAY_S, stop=stop)
        stopped = stop.is_set()
    data = {"purged": purged, "interrupted": stopped}
    emit(data, as_json=as_json, text=lambda: click.echo(f"{purged} gone for good"))
    exit_if_stopped(stopped)


def _kept_until(entry: DeletedImage, days: int) -> str:
    return rfc3339(entry.deleted_at_s + days * DAY_S)


COMMANDS = (delete, restore, trash)
