"""Commands that work on many pictures: ingest, export, import, evaluate, samples."""

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
from image_search.cli.progress import progress_bar
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
from image_search.cli.tables import count, plain, print_failures
from image_search.errors import InvalidParameter
from image_search.services.scanning import Source


@click.command()
@click.argument("folder", type=PATH, required=False)
@list_option
@metadata_option
@embedded_option
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
    source = source_of(folder, listed)
    name = context.collection(collection)
    with context.services(creates=True, bulk=True) as services, stop_on_signals() as stop:
        table = metadata_for(metadata, source)
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

    seen = report.added + report.unchanged + report.duplicates + len(report.failed)

    def text() -> None:
        if not seen and not report.interrupted:
            click.echo(nothing_found(source))
            return
        reworded = f" ({report.reworded} of them with new words)" if report.reworded else ""
        click.echo(
            f"{report.added} added, {report.unchanged} unchanged{reworded}, {report.duplicates} duplicates, "
            f"{len(report.failed)} failed; {report.images_per_second:.0f} pictures/s, {report.elapsed_s:.1f} s"
        )
        print_failures(report.failed)
        print_words(report.cut, report.warnings)
        if report.unmatched:
            click.echo(
                f"{count(report.unmatched, 'entry', 'entries')} of the metadata file without a picture here, "
                f"the first: {plain(report.unmatched_names[0])}"
            )
        if fitted:
            click.echo(f"Fitted the projection {fitted}.")
        elif spec.projection_id == "none" and spec.dim > 512 and not report.interrupted:
            click.echo(
                f"Hint: vectors have {spec.dim} numbers; `image-search index --fit pca:256` makes searches faster "
                "and, on most libraries, better."
            )

    emit(report, as_json=as_json, text=text)
    exit_if_stopped(report.interrupted)


@click.command(name="export")
@click.argument("output", type=PATH)
@click.option("--features-only", is_flag=True, help="Raw vectors and names that are there so far; needs no model.")
@collection_option
@json_option
@pass_context
def export_command(
    context: CliContext, output: Path, features_only: bool, collection: str | None, as_json: bool
) -> None:
    """Write a collection's records and vectors into the HDF5 file OUTPUT.

    With --features-only these are the network's own vectors, as far as they are computed: also while an ingest runs,
    after one that was killed, and of what `embed` has left for `index`. `import` makes a library of them elsewhere.

    \b
    Examples:
      image-search export library.h5
      image-search export --features-only so-far.h5
    """
    # What `embed` left is there before any library is.
    creates = features_only and context.has_staged()
    with context.services(creates=creates) as services, progress_bar() as on_progress:
        export = services.transfer.export_features if features_only else services.transfer.export
        report = export(context.collection(collection), output, on_progress=on_progress)

    def text() -> None:
        click.echo(f"{report.images} pictures written to {output}")
        if report.lost:
            click.echo(f"{count(len(report.lost), 'picture', 'pictures')} without a vector that is kept:")
            print_failures(report.lost)

    emit(report, as_json=as_json, text=text)


@click.command(name="import")
@click.argument("path", type=PATH)
@click.option("--files", type=PATH, metavar="FILE", help="With an .npy matrix: the list of its rows' files.")
@click.option("--images", type=PATH, metavar="FOLDER", help="Where the pictures lie here: found by name and content.")
@collection_option
@json_option
@pass_context
def import_command(
    context: CliContext, path: Path, files: Path | None, images: Path | None, collection: str | None, as_json: bool
) -> None:
    """Read an exported HDF5 file, a folder of vector shards, or an .npy matrix of raw vectors into a collection.

    May be stopped at any moment and started again: what is in already changes nothing. A file with a row that cannot
    be read is refused before anything is written; single rows that no collection can take are listed at the end.

    With --images the pictures themselves are taken from a folder: a file counts as a row's picture where it has its
    name (the folders above it may differ) and its content. What is not found is listed.

    \b
    Examples:
      image-search import library.h5 --collection copy
      image-search import so-far.h5 --images /new/place/pictures
      image-search import vectors.npy --files files.txt
    """
    name = context.collection(collection)
    matrix = path.suffix == ".npy"
    if matrix and files is None:
        raise InvalidParameter("--files", "an .npy matrix needs the list of its rows' files")
    if matrix and images is not None:
        raise InvalidParameter("--images", "an .npy matrix takes its pictures from the list, --files")
    source = Source(images) if images is not None else None
    if source is not None:
        # Before anything is opened: a slip must not make a library.
        source.check()
    with (
        context.services(creates=True) as services,
        stop_on_signals() as stop,
        progress_bar() as on_progress,
    ):
        transfer = services.transfer
        if files is not None and matrix:
            report = transfer.import_matrix(name, path, Source(Path(), files), on_progress=on_progress, stop=stop)
        else:
            report = transfer.import_shards(name, path, pictures=source, on_progress=on_progress, stop=stop)

    def text() -> None:
        click.echo(f"{report.added} added, {report.unchanged} unchanged, {len(report.failed)} failed")
        if images is not None:
            click.echo(f"{count(report.pictures, 'picture', 'pictures')} stored, {len(report.not_found)} not found")
            print_failures(report.not_found)
        elif report.without_picture:
            click.echo(
                f"{report.without_picture} of them have no picture file here; ingest the folder to add those, "
                "or import again with --images FOLDER."
            )
        print_failures(report.failed)

    emit(report, as_json=as_json, text=text)
    exit_if_stopped(report.interrupted)


@click.command()
@click.argument("folder", type=PATH)
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
        print_failures(report.failed)

    emit(report, as_json=as_json, text=text)


@click.command()
@click.argument("folder", type=PATH)
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


COMMANDS = (ingest, export_command, import_command, evaluate, samples)
