"""Commands that work on many pictures: ingest and its three stages, export, import, evaluate, samples."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
from image_search.errors import InvalidInput, InvalidParameter
from image_search.metadata.reader import read_metadata
from image_search.metadata.table import EMPTY_TABLE, MetadataTable
from image_search.services.scanning import METADATA_NAMES, Source
from image_search.types import Failure, IndexSpec

SHOWN_FAILURES = 20

_FOLDER = click.Path(path_type=Path)

_metadata_option = click.option(
    "--metadata",
    type=_FOLDER,
    metavar="FILE",
    help="Words for the pictures, as JSONL, CSV, Parquet or pickled dictionaries: filename, title, tags, text, "
    "source_url, created_at. Default: FOLDER/metadata.jsonl, .csv or .parquet.",
)
_embedded_option = click.option(
    "--embedded-words/--no-embedded-words",
    default=None,
    help="Whether to take the words in the pictures' own files (EXIF, IPTC, XMP). Default: as configured.",
)


def _source(folder: Path | None, listed: Path | None) -> Source:
    if (folder is None) == (listed is None):
        raise InvalidParameter("FOLDER", "give a folder, or --list FILE")
    return Source(folder or Path(), listed)


def _metadata(path: Path | None, source: Source) -> MetadataTable:
    if path is not None:
        return read_metadata(path)
    if source.listed is not None:
        return EMPTY_TABLE
    for name in METADATA_NAMES:
        found = source.folder / name
        if not found.is_file():
            continue
        try:
            table = read_metadata(found)
        except InvalidInput as error:
            # A table of that name may be about something else; JSONL of that name is ours, and wrong.
            if found.suffix == ".jsonl":
                raise
            say(f"Leaving {name} in the folder out: {error}")
            continue
        say(f"Taking titles and tags of {len(table)} pictures from {name} in the folder.")
        return table
    return EMPTY_TABLE


def _print_words(cut: int, warnings: Sequence[Failure]) -> None:
    if cut:
        click.echo(f"{cut} pictures had words longer than is kept; their beginning is.")
    if warnings:
        click.echo(f"{len(warnings)} files beside pictures could not be read; their pictures are there without them:")
        _print_failures(warnings)


def _print_failures(failed: Sequence[Failure]) -> None:
    for failure in failed[:SHOWN_FAILURES]:
        click.echo(f"  {failure.path}: {failure.reason}")
    if len(failed) > SHOWN_FAILURES:
        click.echo(f"  ... and {len(failed) - SHOWN_FAILURES} more (--json lists them all)")


def _exit_if_stopped(stopped: bool) -> None:
    if stopped:
        say("Stopped early; start the same command again to go on.")
        sys.exit(1)


@click.command()
@click.argument("folder", type=_FOLDER, required=False)
@click.option("--list", "listed", type=_FOLDER, metavar="FILE", help="Text file with one picture path a line.")
@_metadata_option
@_embedded_option
@click.option(
    "--originals", type=click.Choice(["copy", "hardlink", "reference"]), help="How originals enter the image store."
)
@collection_option
@json_option
@pass_context
def ingest(
    context: CliContext,
    folder: Path | None,
    listed: Path | None,
    metadata: Path | None,
    embedded_words: bool | None,
    originals: str | None,
    collection: str | None,
    as_json: bool,
) -> None:
    """Make the pictures of FOLDER searchable.

    May be stopped at any moment and started again: it goes on where it was. Files that are no pictures are listed
    and do not end the run.

    Titles, tags and texts come from the metadata file, else from photo.jpg.json, photo.json or a caption in
    photo.txt beside the picture, else from the picture's own file.

    \b
    Examples:
      image-search ingest ~/Pictures
      image-search ingest ~/Pictures --metadata words.csv --originals hardlink
      image-search ingest --list files.txt --json
    """
    source = _source(folder, listed)
    name = collection or context.settings.library.collection
    with context.services(bulk=True) as services, stop_on_signals() as stop:
        table = _metadata(metadata, source)
        with progress_bar() as on_progress:
            report = services.ingest.run(
                source,
                name,
                metadata=table,
                embedded_words=embedded_words,
                originals=originals,  # type: ignore[arg-type]
                on_progress=on_progress,
                stop=stop,
            )
            fitted = None
            if not report.interrupted:
                fitted = services.indexing.fit_if_configured(name, on_progress=on_progress)
        spec = services.collections.spec(name)

    def text() -> None:
        click.echo(
            f"{report.added} added, {report.unchanged} unchanged, {report.duplicates} duplicates, "
            f"{len(report.failed)} failed; {report.images_per_second:.0f} pictures/s, {report.elapsed_s:.1f} s"
        )
        _print_failures(report.failed)
        _print_words(report.cut, report.warnings)
        if fitted:
            click.echo(f"Fitted the projection {fitted}.")
        elif spec.projection_id == "none" and spec.dim > 512 and not report.interrupted:
            click.echo(
                f"Hint: vectors have {spec.dim} numbers; `image-search index --fit pca:256` makes searches faster "
                "and, on most libraries, better."
            )

    emit(report, as_json=as_json, text=text)
    _exit_if_stopped(report.interrupted)


@click.command()
@click.argument("folder", type=_FOLDER, required=False)
@click.option("--list", "listed", type=_FOLDER, metavar="FILE", help="Text file with one picture path a line.")
@_metadata_option
@_embedded_option
@click.option("-o", "--output", type=_FOLDER, help="Folder of the shards; default: staged/pictures in the data folder.")
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
    source = _source(folder, listed)
    with context.services() as services, stop_on_signals() as stop:
        table = _metadata(metadata, source)
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
        click.echo(
            f"{report.added} pictures in {report.shards} new shards, {report.unchanged} there before, "
            f"{len(report.failed)} failed"
        )
        _print_failures(report.failed)
        _print_words(report.cut, report.warnings)

    emit(report, as_json=as_json, text=text)
    _exit_if_stopped(report.interrupted)


@click.command()
@click.argument("pictures", type=_FOLDER, required=False)
@click.option("-o", "--output", type=_FOLDER, help="Folder of the shards; default: staged/vectors in the data folder.")
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
    with context.services(bulk=True) as services, stop_on_signals() as stop, progress_bar() as on_progress:
        provider = services.collections.provider_for(collection or context.settings.library.collection)
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
        _print_failures(report.failed)

    emit(report, as_json=as_json, text=text)
    _exit_if_stopped(report.interrupted)


@click.command()
@click.argument("shards", type=_FOLDER, nargs=-1)
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

    \b
    Examples:
      image-search index                       add what `embed` left
      image-search index --fit pca:256         shorter vectors, faster searches
      image-search index --kind IVF_FLAT --params nlist=1024
    """
    from image_search.config import parse_index_params
    from image_search.services.stages import shard_files

    if fit and projection:
        raise InvalidParameter("--fit", "and --projection exclude each other")
    if fit and not fit.startswith("pca:"):
        raise InvalidParameter("--fit", f"{fit!r}: only pca:N is fitted")
    if params and not kind:
        raise InvalidParameter("--params", "needs --kind")
    name = collection or context.settings.library.collection
    with context.services() as services, stop_on_signals() as stop, progress_bar() as on_progress:
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
    _exit_if_stopped(report is not None and report.cancelled)


@click.command(name="export")
@click.argument("output", type=_FOLDER)
@collection_option
@json_option
@pass_context
def export_command(context: CliContext, output: Path, collection: str | None, as_json: bool) -> None:
    """Write a collection's records and vectors into the HDF5 file OUTPUT.

    \b
    Example:
      image-search export library.h5
    """
    with context.services() as services, progress_bar() as on_progress:
        name = collection or context.settings.library.collection
        report = services.transfer.export(name, output, on_progress=on_progress)
    emit(report, as_json=as_json, text=lambda: click.echo(f"{report.images} pictures written to {output}"))


@click.command(name="import")
@click.argument("path", type=_FOLDER)
@click.option("--files", type=_FOLDER, metavar="FILE", help="With an .npy matrix: the list of its rows' files.")
@collection_option
@json_option
@pass_context
def import_command(context: CliContext, path: Path, files: Path | None, collection: str | None, as_json: bool) -> None:
    """Read an exported HDF5 file, a folder of vector shards, or an .npy matrix of raw vectors into a collection.

    \b
    Examples:
      image-search import library.h5 --collection copy
      image-search import vectors.npy --files files.txt
    """
    name = collection or context.settings.library.collection
    with context.services() as services, progress_bar() as on_progress:
        if path.suffix == ".npy":
            if files is None:
                raise InvalidParameter("--files", "an .npy matrix needs the list of its rows' files")
            report = services.transfer.import_matrix(name, path, Source(Path(), files), on_progress=on_progress)
        else:
            report = services.transfer.import_shards(name, path, on_progress=on_progress)

    def text() -> None:
        click.echo(f"{report.added} added, {report.unchanged} unchanged, {len(report.failed)} failed")
        if report.without_picture:
            click.echo(f"{report.without_picture} of them have no picture file here; ingest the folder to add those.")
        _print_failures(report.failed)

    emit(report, as_json=as_json, text=text)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--exclude", multiple=True, metavar="CLASS", help="Leave this sub-folder out; may be repeated.")
@json_option
@pass_context
def evaluate(context: CliContext, folder: Path, exclude: tuple[str, ...], as_json: bool) -> None:
    """Measure retrieval on FOLDER, which has one sub-folder for each class; the library stays as it is.

    \b
    Example:
      image-search evaluate caltech --exclude BACKGROUND_Google
    """
    with (
        context.services(bulk=True, temporary=True) as services,
        stop_on_signals() as stop,
        progress_bar() as on_progress,
    ):
        report = services.evaluation.run(folder, exclude=exclude, on_progress=on_progress, stop=stop)

    def text() -> None:
        click.echo(f"{report.images} pictures, {report.classes} classes, {report.model_id}, {report.projection_id}")
        click.echo(f"  precision@1   {report.precision_at_1:.4f}")
        click.echo(f"  precision@10  {report.precision_at_10:.4f}")
        click.echo(f"  mAP           {report.map:.4f}")
        click.echo(f"  recall@10     {report.recall_at_10:.4f}  ({report.index} against exact search)")
        _print_failures(report.failed)

    emit(report, as_json=as_json, text=text)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--count", default=720, show_default=True, type=click.IntRange(1, 100_000), help="Pictures.")
@click.option("--seed", default=2026, show_default=True, help="Another seed, other pictures.")
@json_option
def samples(folder: Path, count: int, seed: int, as_json: bool) -> None:
    """Draw sample pictures with titles and tags into FOLDER.

    \b
    Example:
      image-search samples /tmp/samples && image-search ingest /tmp/samples
    """
    from image_search.samples import draw_samples
    from image_search.services.progress import Progress

    with progress_bar() as on_progress:
        drawn = draw_samples(
            folder, count=count, seed=seed, progress=lambda done, total: on_progress(Progress("drawing", done, total))
        )
    result = {"folder": str(folder), "pictures": drawn}
    emit(result, as_json=as_json, text=lambda: click.echo(f"{drawn} pictures in {folder}"))


COMMANDS = (ingest, preprocess, embed, index, export_command, import_command, evaluate, samples)
