"""Commands that ask the library: search, show, status; and delete."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from image_search.cli.context import CliContext, collection_option, console, emit, json_option, pass_context
from image_search.errors import InvalidImage
from image_search.services.answer import describe_record
from image_search.services.query import Query
from image_search.types import SearchParams


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--id", "image_id", metavar="ID", help="Search with a picture of the library instead.")
@click.option("--top-k", default=10, show_default=True, metavar="N", type=int, help="Number of results.")
@click.option("--offset", default=0, metavar="N", type=int, help="Skip the first N results.")
@click.option("--min-score", type=float, metavar="S", help="Leave out results below this cosine similarity.")
@click.option("--ef", type=int, metavar="N", help="HNSW: size of the candidate list.")
@click.option("--nprobe", type=int, metavar="N", help="IVF: clusters visited.")
@collection_option
@json_option
@pass_context
def search(
    context: CliContext,
    file: Path | None,
    image_id: str | None,
    top_k: int,
    offset: int,
    min_score: float | None,
    ef: int | None,
    nprobe: int | None,
    collection: str | None,
    as_json: bool,
) -> None:
    """Find the pictures most similar to FILE.

    \b
    Examples:
      image-search search photo.jpg
      image-search search photo.jpg --top-k 50 --min-score 0.6 --json
    """
    params = SearchParams(top_k, offset, min_score, ef, nprobe)
    data = None
    if file is not None:
        try:
            data = file.read_bytes()
        except OSError as error:
            raise InvalidImage(f"{str(file)!r} cannot be read: {error.strerror}") from error
    with context.services() as services:
        answer = services.search.search(
            collection or context.settings.library.collection, Query(image=data, image_id=image_id), params
        )

    def text() -> None:
        table = Table(box=None, header_style="dim", pad_edge=False)
        table.add_column("#", justify="right")
        table.add_column("score", justify="right")
        for title in ("", "picture", "size", "title"):
            table.add_column(title, overflow="fold")
        for ranked in answer.hits:
            record = ranked.hit.record
            bar = "█" * max(0, round(ranked.hit.score * 12))
            size = f"{record.size_px[0]}x{record.size_px[1]}"
            name = record.source_name or record.image_id[:16]
            table.add_row(str(ranked.rank), f"{ranked.hit.score:.4f}", bar, name, size, record.title)
        out = console()
        out.print(table if answer.hits else "Nothing found.")
        timing = answer.timing_ms
        out.print(
            f"decode {timing['decode']:.1f} ms, embed {timing['embed']:.1f} ms, search {timing['search']:.1f} ms",
            style="dim",
        )

    emit(answer.as_dict(), as_json=as_json, text=text)


@click.command()
@click.argument("image_id")
@collection_option
@json_option
@pass_context
def show(context: CliContext, image_id: str, collection: str | None, as_json: bool) -> None:
    """Print what is stored of the picture IMAGE_ID.

    \b
    Example:
      image-search show 3b1f...e2
    """
    with context.services() as services:
        record = services.library.get(collection or context.settings.library.collection, image_id)
    data = {"id": record.image_id, **describe_record(record)}

    def text() -> None:
        for key, value in data.items():
            click.echo(f"{key:12} {value}")

    emit(data, as_json=as_json, text=text)


@click.command()
@click.argument("image_ids", nargs=-1, required=True)
@collection_option
@json_option
@pass_context
def delete(context: CliContext, image_ids: tuple[str, ...], collection: str | None, as_json: bool) -> None:
    """Remove pictures from the library; the files they came from stay.

    \b
    Example:
      image-search delete 3b1f...e2
    """
    with context.services() as services:
        deleted = services.library.delete(collection or context.settings.library.collection, image_ids)
    emit({"deleted": deleted}, as_json=as_json, text=lambda: click.echo(f"{deleted} deleted"))


@click.command()
@collection_option
@json_option
@pass_context
def status(context: CliContext, collection: str | None, as_json: bool) -> None:
    """Print the library at a glance.

    \b
    Example:
      image-search status --json
    """
    with context.services() as services:
        found = services.library.status(collection or context.settings.library.collection)
    spec = found.spec
    data = {
        **found.as_dict(),
        "model": spec.model_id if spec else found.chosen.model_id or None,
        "dim": spec.dim if spec else None,
        "projection": spec.projection_id if spec else None,
        "index": spec.index.kind if spec else None,
        "data_dir": str(context.settings.data_dir),
        "vectors": context.settings.milvus_uri,
        "pictures": context.settings.storage.backend,
    }

    def text() -> None:
        for key, value in data.items():
            click.echo(f"{key:17} {', '.join(value) if isinstance(value, list) else value}")

    emit(data, as_json=as_json, text=text)


COMMANDS = (search, show, delete, status)
