"""Where a bulk run takes pictures and their words from: arguments, options, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from image_search.cli.attempts import file_name
from image_search.cli.context import say
from image_search.cli.tables import plain, print_failures
from image_search.errors import InvalidInput, InvalidParameter
from image_search.metadata.reader import read_metadata
from image_search.metadata.table import EMPTY_TABLE, MetadataTable
from image_search.services.scanning import METADATA_NAMES, Source
from image_search.types import Failure

PATH = click.Path(path_type=Path)

list_option = click.option(
    "--list", "listed", type=PATH, metavar="FILE", help="Text file with one picture path a line."
)

metadata_option = click.option(
    "--metadata",
    type=PATH,
    metavar="FILE",
    help="Words for the pictures, as JSONL, CSV, Parquet or pickled dictionaries: filename, title, tags, text, "
    "source_url, created_at. Default: FOLDER/metadata.jsonl, .csv or .parquet.",
)
embedded_option = click.option(
    "--embedded-words/--no-embedded-words",
    default=None,
    help="Whether to take the words in the pictures' own files (EXIF, IPTC, XMP). Default: as configured.",
)


def source_of(folder: Path | None, listed: Path | None) -> Source:
    """The folder, or the list. Raises InvalidParameter where it is not exactly one, InvalidInput where it is absent."""
    if (folder is None) == (listed is None):
        raise InvalidParameter("FOLDER", "give a folder, or --list FILE")
    if folder is not None and folder.is_file():
        raise InvalidParameter("FOLDER", f"{file_name(folder)!r} is a file: give its folder, or --list FILE")
    source = Source(folder or Path(), listed)
    # Before anything is opened: a slip must not make a library.
    source.check()
    return source


def nothing_found(source: Source) -> str:
    """What to say where there was no file at all."""
    return f"No pictures found in {plain(file_name(source.listed or source.folder))}."


def metadata_for(path: Path | None, source: Source) -> MetadataTable:
    """The table at `path`; else the one that lies in the folder under a known name, if it is one."""
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


def print_words(cut: int, warnings: Sequence[Failure]) -> None:
    """What became of the pictures' words."""
    if cut:
        click.echo(f"{cut} pictures had words longer than is kept; their beginning is.")
    if warnings:
        click.echo(f"{len(warnings)} files beside pictures could not be read; their pictures are there without them:")
        print_failures(warnings)
