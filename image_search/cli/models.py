"""Commands around networks: models list, which, pull, quantise."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from image_search.cli.context import (
    CliContext,
    collection_option,
    emit,
    json_option,
    pass_context,
    say,
    stop_on_signals,
)
from image_search.cli.progress import progress_bar
from image_search.errors import ConfigError, EmbedderError, VectorStoreError


@click.group()
def models() -> None:
    """List, choose and fetch networks."""


@models.command(name="list")
@json_option
@pass_context
def models_list(context: CliContext, as_json: bool) -> None:
    """Print the models that go by a name, and whether their files are here.

    \b
    Example:
      image-search models list
    """
    from image_search.embedding.models import REGISTRY, derived_names, find_model, registered_path

    cache_dir = context.settings.model_cache_dir
    data = [
        {**asdict(spec), "here": registered_path(spec, cache_dir).is_file()}
        for spec in sorted(REGISTRY.values(), key=lambda spec: spec.name)
    ]
    for name in derived_names(cache_dir):
        try:
            data.append({**asdict(find_model(name, cache_dir).spec), "here": True})
        except (ConfigError, EmbedderError) as error:
            # One that is damaged must not hide the others.
            say(f"{name}: {error}")

    def text() -> None:
        for model in data:
            advice = f"image-search models pull {model['name']}" if model["repo_id"] else "install the package again"
            state = "here" if model["here"] else f"not here; {advice}"
            click.echo(
                f"{model['name']:12} {model['dim']:5} numbers  {model['licence']:12} {model['source']}  ({state})"
            )
        click.echo("Any .onnx file with a .json beside it can be used too: embedding.model = PATH")

    emit(data, as_json=as_json, text=text)


@models.command(name="which")
@collection_option
@json_option
@pass_context
def models_which(context: CliContext, collection: str | None, as_json: bool) -> None:
    """Print which model a collection is used with, and why that one.

    Fails, and says what to do, where that model is not on this machine.

    \b
    Examples:
      image-search models which
      image-search --set embedding.model=resnet50 models which
    """
    name = context.collection(collection)
    # An empty folder elsewhere answers for a library that is not there: asking must not make one.
    with context.services(temporary=not context.has_library()) as services:
        try:
            chosen = {**asdict(services.library.choose_model(name)), "device": services.provider.device}
        except VectorStoreError as error:
            # A store that is not up yet says nothing about the model: a service may start before it.
            chosen = {"model_id": "", "why": "unknown", "reason": str(error), "device": services.provider.device}
    emit(chosen, as_json=as_json, text=lambda: click.echo(f"{chosen['model_id'] or 'unknown'} ({chosen['reason']})"))


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
    from image_search.embedding.hub import pull_model

    found = pull_model(name, context.settings.model_cache_dir)
    data = {"name": name, "model_id": found.model_id, "sha256": found.sha256, "path": str(found.path)}
    emit(data, as_json=as_json, text=lambda: click.echo(f"{found.model_id} is here"))


@models.command(name="quantise")
@click.argument("name")
@click.option("--with", "folder", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="Pictures.")
@json_option
@pass_context
def models_quantise(context: CliContext, name: str, folder: Path, as_json: bool) -> None:
    """Make an int8 form of the model NAME (or of an .onnx file), calibrated on pictures like yours in FOLDER.

    It is kept in the model cache as NAME-int8 and compared with NAME on other pictures of FOLDER: its speed on this
    machine and how far it finds the same neighbours. Some hundred pictures do; 32 are the least.

    \b
    Examples:
      image-search models quantise compact --with ~/Pictures
      image-search models quantise network.onnx --with ~/Pictures --json
    """
    from image_search.embedding.preprocess import preprocess
    from image_search.embedding.quantise import find_source, quantise
    from image_search.services.measuring.quantising import FEW_PICTURES
    from image_search.services.progress import Progress

    cache_dir = context.settings.model_cache_dir
    model = find_source(name, cache_dir)
    with context.services(creates=True) as services, stop_on_signals() as stop, progress_bar() as on_progress:
        pictures = services.quantising.read(
            folder,
            lambda image: preprocess(image, model.spec),
            model.spec.resize_shortest_px,
            on_progress=on_progress,
            stop=stop,
        )
        count = len(pictures.calibration) + len(pictures.held_out)
        if count < FEW_PICTURES:
            say(f"Only {count} pictures: the result is better, and the report surer, with some hundred.")
        report = quantise(
            model,
            pictures.calibration,
            pictures.held_out,
            cache_dir,
            on_step=lambda stage, done, total: on_progress(Progress(stage, done, total)),
            stop=stop,
        )

    def text() -> None:
        click.echo(
            f"{report.int8_model_id} made from {report.model_id}: {report.calibration_pictures} pictures calibrated "
            f"it, {report.report_pictures} others judge it, {len(pictures.failed)} files left out"
        )
        size = report.int8_file_bytes / report.file_bytes
        click.echo(
            f"  file             {report.int8_file_bytes / 1e6:.1f} MB, {size:.2f} of {report.file_bytes / 1e6:.1f} MB"
        )
        click.echo(
            f"  speed            {report.speed_ratio_one_thread:.2f} times on one thread, "
            f"{report.speed_ratio_all_cores:.2f} times on all cores"
        )
        click.echo(f"  cosine           {report.mean_cosine:.4f} mean, {report.worst_cosine:.4f} worst")
        click.echo(f"  neighbours kept  {report.neighbours_kept:.3f} of the first ten")
        if not report.pays:
            click.echo("It does not pay: it is hardly faster here.")
        if not report.faithful:
            click.echo(f"It is not faithful: its vectors differ too much from those of {model.spec.name}.")
        if report.pays and report.faithful:
            click.echo(f"To use it, for a new library: embedding.model = {report.name}")
        else:
            click.echo(f"Better stay with {model.spec.name}. To use it all the same: embedding.model = {report.name}")
        click.echo("An existing library keeps the model that it was built with: vectors of two models never meet.")

    emit({**asdict(report), "failed": [asdict(f) for f in pictures.failed]}, as_json=as_json, text=text)


COMMANDS = (models,)
