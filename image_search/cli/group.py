"""The command group and its global options."""

from __future__ import annotations

import json
import os
import sys
from difflib import SequenceMatcher

import click

from image_search import __version__
from image_search.cli import (
    admin,
    bulk,
    checking,
    deleting,
    fetch,
    jobs,
    migrating,
    models,
    pictures,
    search,
    stages,
    tiny,
)
from image_search.cli.context import CliContext, fail, say
from image_search.cli.everywhere import add_global_options
from image_search.errors import ImageSearchError, is_disk_full


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="image-search")
@click.pass_context
def group(context: click.Context) -> None:
    """Find the pictures of a library that are most similar to a picture.

    \b
    Examples:
      image-search ingest ~/Pictures                    make the folder searchable
      image-search search photo.jpg --top-k 5           the five most similar pictures
      image-search search --text "red boat"             by words; with a picture, by both
      image-search check /media/camera                  which of these are not in the library yet
      image-search serve                                page and HTTP interface on http://127.0.0.1:5000
      image-search status --data-dir /srv/library       another library

    --config, --data-dir and --set may stand before the command or after it; what comes later counts.

    Exit codes: 0 done, 1 could not, 2 misuse.
    """
    context.ensure_object(CliContext)


_MODULES = (bulk, fetch, stages, search, pictures, checking, deleting, jobs, models, tiny, migrating, admin)
for command in (command for module in _MODULES for command in module.COMMANDS):
    group.add_command(command)
add_global_options(group)

AS_NEAR = 0.1
"""Options this close to the most alike are named too: none that was meant is left out then, of all options with one
letter missing or two of them swapped."""


def main() -> None:
    """Run the command line."""
    as_json = "--json" in sys.argv
    _open_missing_streams()
    try:
        sys.exit(group(prog_name="image-search", standalone_mode=False))
    except ImageSearchError as error:
        fail(error, as_json=as_json)
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption):
            _keep_nearest(error)
        if as_json:
            click.echo(json.dumps({"error": {"type": "UsageError", "message": error.format_message()}}))
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)
    except OSError as error:
        if not is_disk_full(error):
            raise
        _forget_output()
        say("Error: no room is left on the disk that this is written to")
        sys.exit(1)


def _keep_nearest(error: click.NoSuchOption) -> None:
    """click also names what is only somewhat alike: --set is, to every short option."""
    names = error.possibilities or []
    alike = [SequenceMatcher(None, name, error.option_name).ratio() for name in names]
    names[:] = [name for name, ratio in zip(names, alike, strict=True) if ratio > max(alike) - AS_NEAR]


def _open_missing_streams() -> None:
    """A shell's `>&-` leaves no stream at all, and its number to the next file that is opened."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def _forget_output() -> None:
    """What is still to be written would fail once more at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
