"""tiny: an archive of 32 x 32 pictures, and what is found in it on raw pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from image_search.cli.context import CliContext, emit, json_option, pass_context, stop_on_signals
from image_search.cli.progress import progress_bar
from image_search.cli.sources import PATH
from image_search.cli.tables import count, print_failures
from image_search.machine import available_cores
from image_search.services.progress import Progress

P = ParamSpec("P")
T = TypeVar("T")


@click.group()
def tiny() -> None:
    """Search on raw pixels: archives of 32 x 32 pictures, as that of the Tiny Images.

    An archive is one file of 3,072 bytes a picture, read by position; beside it ARCHIVE.names says what the pictures
    are called.

    \b
    Examples:
      image-search tiny pack ~/Pictures -o tiny_images.bin
      image-search tiny mosaic --db tiny_images.bin -o out.jpg
      image-search tiny knn --db tiny_images.bin photo.jpg -k 10
      image-search tiny report queries/ --db tiny_images.bin -o outputs/
    """


def db_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--db`."""
    return click.option("--db", type=PATH, required=True, metavar="FILE", help="The archive.")(command)


def fit_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--fit`."""
    return click.option(
        "--fit",
        type=click.Choice(["crop", "stretch"]),
        default="crop",
        show_default=True,
        help="How a picture becomes square: its centre, or all of it stretched. As the archive was packed.",
    )(command)


def threads_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--threads`."""
    return click.option(
        "--threads", type=click.IntRange(1, 256), default=None, help="Threads; default: one for each core."
    )(command)


@tiny.command()
@click.argument("folder", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, metavar="FILE", help="The archive to write.")
@fit_option
@click.option("--force", is_flag=True, help="Replace an archive that is there.")
@threads_option
@json_option
@pass_context
def pack(
    context: CliContext, folder: Path, output: Path, fit: str, force: bool, threads: int | None, as_json: bool
) -> None:
    """Pack the pictures of FOLDER, in the order of their paths, into an archive.

    Each becomes 32 x 32 pixels of three colours. FILE.names says what they are called. Files that are no pictures are
    listed and do not end the run.

    \b
    Example:
      image-search tiny pack ~/Pictures -o tiny_images.bin
    """
    from image_search.tiny import packing

    imaging = context.settings.imaging
    with stop_on_signals() as stop, progress_bar() as on_progress:
        report = packing.pack(
            folder,
            output,
            fit=fit,  # type: ignore[arg-type]
            threads=threads or available_cores(),
            replace=force,
            max_pixels=imaging.max_local_pixels,
            max_file_bytes=imaging.max_local_bytes,
            on_count=lambda done, total, failed: on_progress(Progress("pack", done, total, failed)),
            stop=stop,
        )

    def text() -> None:
        click.echo(f"{count(report.pictures, 'picture', 'pictures')} packed into {output}, {len(report.failed)} failed")
        print_failures(report.failed)

    emit({"output": str(output), **asdict(report)}, as_json=as_json, text=text)


@tiny.command()
@click.argument("archive", type=PATH)
@click.argument("positions", type=int, nargs=-1, metavar="[POSITION]...")
@click.option("-o", "--output", type=PATH, required=True, metavar="FOLDER", help="A new or empty folder.")
@threads_option
@json_option
def unpack(archive: Path, positions: tuple[int, ...], output: Path, threads: int | None, as_json: bool) -> None:
    """Write the pictures of ARCHIVE, or those at some positions, as PNG files.

    They are called as the archive's side file says, else by their positions.

    \b
    Examples:
      image-search tiny unpack tiny_images.bin -o pictures/
      image-search tiny unpack tiny_images.bin 0 17 79302016 -o pictures/
    """
    from image_search.tiny import packing
    from image_search.tiny.archive import Archive

    with Archive(archive) as opened, stop_on_signals() as stop, progress_bar() as on_progress:
        written = packing.unpack(
            opened,
            output,
            positions,
            threads=threads or available_cores(),
            on_count=lambda done, total, failed: on_progress(Progress("unpack", done, total, failed)),
            stop=stop,
        )
    data = {"output": str(output), "pictures": written}
    emit(data, as_json=as_json, text=lambda: click.echo(f"{count(written, 'picture', 'pictures')} in {output}"))


COMMANDS = (tiny,)
