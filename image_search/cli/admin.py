"""Commands around the library: serve, config, status."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from rich.table import Table

from image_search.cli.context import CliContext, collection_option, console, emit, json_option, pass_context, say
from image_search.config import Settings, load_settings


@click.command()
@click.option("--host", metavar="ADDRESS", help="Address to listen on (http_server.host).")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on (http_server.port).")
@click.option("--images", type=click.Path(path_type=Path), metavar="FOLDER", help="Ingest this folder first.")
@click.option("--samples", is_flag=True, help="If there is no library yet, make one of drawn sample pictures first.")
@json_option
@pass_context
def serve(
    context: CliContext, host: str | None, port: int | None, images: Path | None, samples: bool, as_json: bool
) -> None:
    """Serve the page and the HTTP interface.

    With --json one document on stdout says the address, once requests are taken.

    \b
    Examples:
      image-search serve
      image-search serve --host 0.0.0.0 --port 8080
      image-search serve --images ~/Pictures
    """
    from image_search.api.server import choose_model, prepare_library, run_server

    flags = {"http_server.host": host, "http_server.port": str(port) if port is not None else None}
    overrides = {**context.overrides, **{key: value for key, value in flags.items() if value is not None}}

    def read_settings() -> Settings:
        return load_settings(context.config_file, overrides=overrides)

    settings = read_settings()
    chosen = choose_model(context.config_file, overrides)
    say(f"Model: {chosen['model_id'] or 'not known yet'} ({chosen['reason']}), on {chosen['device']}")
    prepare_library(settings, context.config_file, overrides, images=images, samples=samples)

    def on_ready(ready: dict[str, str]) -> None:
        emit({**ready, "model": chosen}, as_json=as_json, text=lambda: say(f"Serving on {ready['address']}"))
        if settings.library.data_dir:
            say(f"Other commands on this library: image-search --data-dir {shlex.quote(str(settings.data_dir))} ...")

    run_server(read_settings, say, on_ready)


@click.group()
def config() -> None:
    """Show the configuration."""


@config.command(name="show")
@json_option
@pass_context
def config_show(context: CliContext, as_json: bool) -> None:
    """Print every setting, its value, and where it came from.

    \b
    Example:
      image-search config show
    """
    rows = context.settings.rows()

    def text() -> None:
        table = Table(box=None, header_style="dim", pad_edge=False)
        for title in ("setting", "value", "from"):
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*row)
        console().print(table)

    data = {key: {"value": value, "origin": origin} for key, value, origin in rows}
    emit(data, as_json=as_json, text=text)


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
    there = context.has_library()
    # An empty folder elsewhere answers for a library that is not there: asking must not make one.
    with context.services(temporary=not there) as services:
        found = services.library.status(context.collection(collection))
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
        if not there:
            click.echo(context.no_library())
            return
        for key, value in data.items():
            shown = value["reason"] if isinstance(value, dict) else value
            click.echo(f"{key:17} {', '.join(shown) if isinstance(shown, list) else shown}")

    emit(data, as_json=as_json, text=text)


@click.command()
@collection_option
@json_option
@pass_context
def init(context: CliContext, collection: str | None, as_json: bool) -> None:
    """Make ready what a service needs: the model's file, the bucket, the collection. What is there already stays.

    \b
    Example:
      image-search init
    """
    from image_search.embedding.hub import pull_model
    from image_search.embedding.models import REGISTRY, registered_path

    settings, name = context.settings, context.collection(collection)
    spec = REGISTRY.get(settings.embedding.model)
    pulled = spec is not None and bool(spec.repo_id) and not registered_path(spec, settings.model_cache_dir).is_file()
    if spec is not None and pulled:
        say(f"Fetching {spec.name}")
        pull_model(spec.name, settings.model_cache_dir)
    with context.services(creates=True) as services:
        services.images.ping()
        made = not services.collections.exists(name)
        model = services.collections.open_or_create(name).spec.model_id
    data = {"collection": name, "made": made, "model": model, "pulled": pulled}
    emit(data, as_json=as_json, text=lambda: say(f"Collection {name!r} is {'made' if made else 'there'}, with {model}"))


COMMANDS = (serve, init, config, status)
