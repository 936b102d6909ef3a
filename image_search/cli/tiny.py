"""tiny: an archive of 32 x 32 pictures, and what is found in it on raw pixels."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from image_search.cli import tiny_search
from image_search.cli.context import CliContext, emit, json_option, pass_context, stop_on_signals
from image_search.cli.progress import progress_bar
from image_search.cli.sources import PATH
from image_search.cli.tables import count, print_failures
from image_search.cli.tiny_search import db_option, fit_option, threads_option
from image_search.errors import InvalidParameter
from image_search.machine import available_cores
from image_search.services.progress import Progress

if TYPE_CHECKING:
    from image_search.tiny.mosaic import Order
    from image_search.tiny.pixels import Fit

RANDOM = 100
"""Pictures of a mosaic for which nothing else is asked."""


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


@tiny.command()
@click.argument("folder", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, metavar="FILE", help="The archive to write.")
@fit_option
@click.option("--force", is_flag=True, help="Replace an archive that is there.")
@threads_option
@json_option
@pass_context
def pack(
    context: CliContext, folder: Path, output: Path, fit: Fit, force: bool, threads: int | None, as_json: bool
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
            fit=fit,
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


@tiny.command()
@click.argument("positions", type=int, nargs=-1, metavar="[POSITION]...")
@db_option
@click.option("-o", "--output", type=PATH, required=True, metavar="FILE", help="Picture; its suffix says the format.")
@click.option("-c", "--columns", type=int, metavar="N", help="Pictures side by side; default: a square grid.")
@click.option("-n", "--number", type=int, metavar="N", help="So many random pictures; default: 100.")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="The same random pictures each time.")
@click.option(
    "--order",
    type=click.Choice(["row", "column"]),
    default="row",
    show_default=True,
    help="Fill rows from left to right, or columns from top to bottom.",
)
@click.option("--scale", type=int, default=1, show_default=True, metavar="N", help="Each pixel becomes N x N.")
@json_option
def mosaic(
    positions: tuple[int, ...],
    db: Path,
    output: Path,
    columns: int | None,
    number: int | None,
    seed: int | None,
    order: Order,
    scale: int,
    as_json: bool,
) -> None:
    """Put pictures of an archive side by side: those at some positions, or random ones.

    \b
    Examples:
      image-search tiny mosaic --db tiny_images.bin -o out.jpg
      image-search tiny mosaic --db tiny_images.bin -o out.png -n 400 -c 40 --seed 1
      image-search tiny mosaic --db tiny_images.bin -o out.png 5 3 79302016 --scale 4
    """
    from image_search.tiny import mosaic as drawing
    from image_search.tiny.archive import Archive

    if positions and number is not None:
        raise InvalidParameter("number", "positions are given; either these or a number of random ones")
    # Before a large archive is read for nothing.
    drawing.picture_format(output)
    with Archive(db) as archive:
        shown = positions or archive.sample(min(RANDOM, len(archive)) if number is None else number, seed)
        image = drawing.mosaic(archive.pictures(shown), columns, order=order, scale=scale)
    drawing.save(image, output)
    data = {"output": str(output), "size_px": image.size, "positions": list(shown)}
    wide, high = image.size
    emit(data, as_json=as_json, text=lambda: click.echo(f"{len(shown)} pictures, {wide} x {high} px, in {output}"))


for command in tiny_search.COMMANDS:
    tiny.add_command(command)

COMMANDS = (tiny,)
