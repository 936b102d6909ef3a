"""Commands about stored pictures: show, list, random, update."""

from __future__ import annotations

from typing import Any

import click

from image_search.cli.context import CliContext, collection_option, emit, json_option, pass_context
from image_search.cli.ids import stored_ids
from image_search.cli.options import TimeType, filter_option, page_options, parse_field, split_tags
from image_search.cli.tables import print_records, print_values
from image_search.errors import InvalidParameter
from image_search.filters import Filter
from image_search.services.library.changes import Changes
from image_search.services.searching.answer import describe_record
from image_search.types import ImageRecord, JsonScalar

_TEXTS = ("title", "text", "source_url")


@click.command()
@click.argument("image_id", metavar="ID")
@collection_option
@json_option
@pass_context
def show(context: CliContext, image_id: str, collection: str | None, as_json: bool) -> None:
    """Print what is stored of the picture ID.

    Wherever an ID is asked for, its first digits are enough (6 at least) where no other id begins with them.

    \b
    Example:
      image-search show 3b1f5c9a7e02
    """
    name = context.collection(collection)
    with context.services() as services:
        record = services.library.get(name, *stored_ids(services, name, [image_id]))
    data = _describe(record)
    emit(data, as_json=as_json, text=lambda: print_values(data))


@click.command(name="list")
@filter_option
@page_options(100)
@collection_option
@json_option
@pass_context
def list_command(
    context: CliContext, where: Filter | None, limit: int, after: str | None, collection: str | None, as_json: bool
) -> None:
    """List the pictures of the library, in order of their ids.

    \b
    Examples:
      image-search list --limit 20
      image-search list --filter '{"tags": {"all": ["sea", "2019"]}}' --json
      image-search list --filter @wanted.json
    """
    with context.services() as services:
        page = services.library.list_images(context.collection(collection), where=where, after=after, limit=limit)

    def text() -> None:
        if page.records:
            print_records(page.records)
        else:
            click.echo("No pictures.")
        if page.next:
            click.echo(f"There are more: --after {page.next}")

    data = {"images": [_describe(record) for record in page.records], "next": page.next}
    emit(data, as_json=as_json, text=text)


@click.command(name="random")
@click.option("-n", "--number", default=1, show_default=True, metavar="N", type=int, help="Pictures, 1 to 100.")
@filter_option
@collection_option
@json_option
@pass_context
def random_command(
    context: CliContext, number: int, where: Filter | None, collection: str | None, as_json: bool
) -> None:
    """Print pictures of the library at random.

    \b
    Example:
      image-search random -n 5
    """
    with context.services() as services:
        records = services.library.random_images(context.collection(collection), number, where)
    data = {"images": [_describe(record) for record in records]}
    emit(data, as_json=as_json, text=lambda: print_records(records) if records else click.echo("No pictures."))


@click.command()
@click.argument("image_id", metavar="ID")
@click.option("--title", metavar="TEXT", help="New title.")
@click.option("--tags", metavar="TAG,TAG", help="New tags in place of those that are there.")
@click.option("--add-tag", multiple=True, metavar="TAG", help="One more tag; may be repeated.")
@click.option("--remove-tag", multiple=True, metavar="TAG", help="One tag less; may be repeated.")
@click.option("--text", metavar="TEXT", help="New text.")
@click.option("--source-url", metavar="URL", help="New address of where it comes from.")
@click.option("--created-at", type=TimeType(), metavar="TIME", help="As 2026-01-31T12:00:00Z, or a day.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=VALUE",
    help="A field of your own; numbers, true and false are taken as such. May be repeated.",
)
@click.option(
    "--clear",
    multiple=True,
    metavar="WHAT",
    help="Empty title, tags, text or source_url, or remove fields.NAME; may be repeated.",
)
@collection_option
@json_option
@pass_context
def update(
    context: CliContext,
    image_id: str,
    title: str | None,
    tags: str | None,
    add_tag: tuple[str, ...],
    remove_tag: tuple[str, ...],
    text: str | None,
    source_url: str | None,
    created_at: int | None,
    fields: tuple[str, ...],
    clear: tuple[str, ...],
    collection: str | None,
    as_json: bool,
) -> None:
    """Change the words of the picture ID; what is not named stays.

    \b
    Examples:
      image-search update 3b1f5c9a7e02 --title "Boats" --add-tag sea --remove-tag draft
      image-search update 3b1f5c9a7e02 --field rating=5 --field camera=X100 --clear fields.note
      image-search update 3b1f5c9a7e02 --clear title --clear tags
    """
    texts = _texts({"title": title, "text": text, "source_url": source_url}, clear)
    if tags is not None and "tags" in clear:
        raise InvalidParameter("--clear", "'tags' is given a new value at the same time")
    wanted_tags = () if "tags" in clear else None if tags is None else split_tags(tags)
    new_fields = _fields(fields, clear)
    tags_change = wanted_tags is not None or bool(add_tag or remove_tag)
    if created_at is None and not (texts or new_fields or tags_change):
        raise InvalidParameter(
            "", "nothing to change: give --title, --tags, --text, --field, --clear or another option"
        )
    name = context.collection(collection)
    with context.services() as services:
        (whole_id,) = stored_ids(services, name, [image_id])
        record = services.library.update(
            name,
            whole_id,
            Changes(
                title=texts.get("title"),
                tags=wanted_tags,
                add_tags=add_tag,
                remove_tags=remove_tag,
                text=texts.get("text"),
                source_url=texts.get("source_url"),
                created_at_s=created_at,
                fields=new_fields or None,
            ),
        )
    data = _describe(record)
    emit(data, as_json=as_json, text=lambda: print_values(data))


def _describe(record: ImageRecord) -> dict[str, Any]:
    return {"id": record.image_id, **describe_record(record)}


def _texts(given: dict[str, str | None], clear: tuple[str, ...]) -> dict[str, str]:
    """New texts by their names, the cleared ones empty."""
    new = {name: value for name, value in given.items() if value is not None}
    for what in clear:
        if what in new:
            raise InvalidParameter("--clear", f"{what!r} is given a new value at the same time")
        if what not in (*_TEXTS, "tags") and not what.startswith("fields."):
            raise InvalidParameter(
                "--clear", f"{what[:80]!r}; one of {', '.join((*_TEXTS, 'tags', 'fields.NAME'))} is expected"
            )
    return new | {what: "" for what in clear if what in _TEXTS}


def _fields(given: tuple[str, ...], clear: tuple[str, ...]) -> dict[str, JsonScalar]:
    """New values of own fields, null for those that go."""
    new = dict(parse_field(one) for one in given)
    for what in clear:
        name = what.removeprefix("fields.")
        if name == what:
            continue
        if name in new:
            raise InvalidParameter("--clear", f"{what[:80]!r} is given a new value at the same time")
        new[name] = None
    return new


COMMANDS = (show, list_command, random_command, update)
