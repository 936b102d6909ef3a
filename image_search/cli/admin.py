"""Commands around the library: serve, config, models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from image_search.cli.context import CliContext, console, emit, json_option, pass_context, say
from image_search.config import load_settings


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
    from image_search.api.server import prepare_library, run_server

    flags = {"http_server.host": host, "http_server.port": str(port) if port is not None else None}
    overrides = {**context.overrides, **{key: value for key, value in flags.items() if value is not None}}
    settings = load_settings(context.config_file, overrides=overrides)
    prepare_library(settings, context.config_file, overrides, images=images, samples=samples)

    def on_ready(ready: dict[str, str]) -> None:
        emit(ready, as_json=as_json, text=lambda: say(f"Serving on {ready['address']}"))

    run_server(settings, say, on_ready)


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


@click.group()
def models() -> None:
    """List and fetch networks."""


@models.command(name="list")
@json_option
@pass_context
def models_list(context: CliContext, as_json: bool) -> None:
    """Print the registered models, and whether their files are here.

    \b
    Example:
      image-search models list
    """
    from image_search.embedding.models import REGISTRY, cached_path

    cache_dir = context.settings.model_cache_dir
    data = [
        {**asdict(spec), "here": cached_path(spec, cache_dir).is_file()}
        for spec in sorted(REGISTRY.values(), key=lambda spec: spec.name)
    ]

    def text() -> None:
        for model in data:
            state = "here" if model["here"] else f"not here; image-search models pull {model['name']}"
            click.echo(
                f"{model['name']:12} {model['dim']:5} numbers  {model['licence']:12} {model['source']}  ({state})"
            )
        click.echo("Any .onnx file with a .json beside it can be used too: embedding.model = PATH")

    emit(data, as_json=as_json, text=text)


@models.command(name="pull")
@click.argument("name")
@json_option
@pass_context
def models_pull(context: CliContext, name: str, as_json: bool) -> None:
    """Fetch the registered model NAME; goes on where an earlier try stopped.

    \b
    Example:
      image-search models pull resnet50
    """
    from image_search.embedding.models import pull_model

    found = pull_model(name, context.settings.model_cache_dir)
    data = {"name": name, "model_id": found.model_id, "sha256": found.sha256, "path": str(found.path)}
    emit(data, as_json=as_json, text=lambda: click.echo(f"{found.model_id} is here"))


COMMANDS = (serve, config, models)
