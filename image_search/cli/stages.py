"""The three stages of an ingest as commands of their own: preprocess, embed, index; the last one rebuilds, too."""

from __future__ import annotations

from pathlib import Path

import click

from image_search.cli.context import (
    CliContext,
    collection_option,
    emit,
    exit_if_stopped,
    json_option,
    pass_context,
    stop_on_signals,
)
from image_search.cli.progress import progress_bar, telling_failures
from image_search.cli.sources import (
    PATH,
    embedded_option,
    list_option,
    metadata_for,
    metadata_option,
    nothing_found,
    print_words,
    source_of,
)
from image_search.cli.tables import print_failures
from image_search.errors import InvalidParameter
from image_search.types import IndexSpec


@click.command()
@click.argument("folder", type=PATH, required=False)
@list_option
@metadata_option
@embedded_option
@click.option("-o", "--output", type=PATH, help="Folder of the shards; default: staged/pictures in the data folder.")
@click.option("--originals", is_flag=True, help="Put whole files into the shards, not reduced pictures.")
@json_option
@pass_context
def preprocess(
    context: CliContext,
    folder: Path | None,
    listed: Path | None,
    metadata: Path | None,
    embedded_words: bool | None,
    output: Path | None,
    originals: bool,
    as_json: bool,
) -> None:
    """Stage 1: pictures of FOLDER into HDF5 shards and the image store. Then: `embed`, `index`.

    \b
    Example:
      image-search preprocess ~/Pictures && image-search embed && image-search index
    """
    source = source_of(folder, listed)
    with context.services(creates=True) as services, stop_on_signals() as stop:
        table = metadata_for(metadata, source)
        with progress_bar() as on_progress:
            report = services.stages.preprocess(
                source,
                output or services.staged_pictures,
                originals=originals,
                metadata=table,
                embedded_words=embedded_words,
                on_progress=on_progress,
                stop=stop,
            )

    def text() -> None:
        if not (report.added or report.unchanged or report.failed or report.interrupted):
            click.echo(nothing_found(source))
            return
        click.echo(
            f"{report.added} pictures in {report.shards} new shards, {report.unchanged} there before, "
            f"{len(report.failed)} failed"
        )
        print_failures(report.failed)
        print_words(report.cut, report.warnings)

    emit(report, as_json=as_json, text=text)
    exit_if_stopped(report.interrupted)


@click.command()
@click.argument("pictures", type=PATH, required=False)
@click.option("-o", "--output", type=PATH, help="Folder of the shards; default: staged/vectors in the data folder.")
@collection_option
@json_option
@pass_context
def embed(
    context: CliContext, pictures: Path | None, output: Path | None, collection: str | None, as_json: bool
) -> None:
    """Stage 2: vectors of the picture shards in PICTURES (default: those of `preprocess`) into HDF5 shards.

    They are made by the model of the collection that they are for.

    \b
    Example:
      image-search embed
    """
    with (
        context.services(creates=True, bulk=True) as services,
        stop_on_signals() as stop,
        progress_bar() as on_progress,
    ):
        provider = services.collections.provider_for(context.collection(collection))
        report = services.stages.embed(
            pictures or services.staged_pictures,
            output or services.staged_vectors(provider.model_id),
            provider.get("none"),
            services.archive_for(provider.model_id),
            batch_size=services.batch_size,
            on_progress=on_progress,
            stop=stop,
        )

    def text() -> None:
        click.echo(f"{report.added} vectors in {report.shards} new shards, {report.unchanged} there before")
        print_failures(report.failed)

    emit(report, as_json=as_json, text=text)
    exit_if_stopped(report.interrupted)


@click.command()
@click.argument("shards", type=PATH, nargs=-1)
@click.option("--fit", metavar="pca:N", help="Fit this projection on the library, and rebuild with it.")
@click.option("--projection", metavar="none|random:N", help="Rebuild with this projection.")
@click.option("--kind", metavar="KIND", help="Rebuild with this index (HNSW, IVF_FLAT, ...; a server only).")
@click.option("--params", default="", metavar="NAME=N,...", help="Build parameters of the index.")
@collection_option
@json_option
@pass_context
def index(
    context: CliContext,
    shards: tuple[Path, ...],
    fit: str | None,
    projection: str | None,
    kind: str | None,
    params: str,
    collection: str | None,
    as_json: bool,
) -> None:
    """Stage 3: vectors into a collection and its index; or rebuild a collection with another projection or index.

    Vector shards (default: those of `embed`) are added and then belong to the library. Without any, the collection is
    made anew beside the old one from the vectors that are kept, and takes its place; searches go on meanwhile.

    Pictures whose vector cannot be made any more are listed, and the old collection stays.

    \b
    Examples:
      image-search index                       add what `embed` left
      image-search index --fit pca:256         shorter vectors, faster searches
      image-search index --kind IVF_FLAT --params nlist=1024
    """
    from image_search.config import parse_index_params
    from image_search.services.ingesting.stages import shard_files

    if fit and projection:
        raise InvalidParameter("--fit", "and --projection exclude each other")
    if fit == "pca":
        raise InvalidParameter("--fit", "'pca': give a number, e.g. pca:128")
    if fit and not fit.startswith("pca:"):
        raise InvalidParameter("--fit", f"{fit!r}: only pca:N is fitted")
    if params and not kind:
        raise InvalidParameter("--params", "needs --kind")
    name = context.collection(collection)
    with (
        context.services(creates=True) as services,
        stop_on_signals() as stop,
        progress_bar() as bar,
        telling_failures(bar, as_json=as_json) as on_progress,
    ):
        paths = [p for given in shards for p in (shard_files(given) if given.is_dir() else [given])]
        if shards and not paths:
            raise InvalidParameter("SHARDS", "no shards (*.h5) there")
        rebuild = bool(fit or projection or kind)
        if not shards and not rebuild:
            paths = shard_files(services.staged_vectors(services.collections.provider_for(name).model_id))
        report = None
        if paths:
            report = services.indexing.add_shards(name, paths, on_progress=on_progress, stop=stop)
        if (rebuild or not paths) and not stop.is_set():
            report = services.indexing.rebuild(
                name,
                projection=fit or projection,
                index=IndexSpec(kind, parse_index_params(params)) if kind else None,  # type: ignore[arg-type]
                on_progress=on_progress,
                stop=stop,
            )

    def text() -> None:
        if report is not None:
            click.echo(
                f"{report.collection}: {report.images} pictures, {report.dim} numbers each ({report.projection_id}), "
                f"{report.index.kind}; {report.added} added from shards; {report.elapsed_s:.1f} s"
            )

    emit(report, as_json=as_json, text=text)
    exit_if_stopped(report is not None and report.cancelled)


COMMANDS = (preprocess, embed, index)
