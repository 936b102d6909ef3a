"""The command group and its global options."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from image_search import __version__
from image_search.cli import admin, bulk, checking, deleting, jobs, migrating, models, pictures, search, stages
from image_search.cli.context import CliContext, fail
from image_search.errors import ConfigError, ImageSearchError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Configuration file; default: conf/config.ini."
)
@click.option("--data-dir", metavar="DIR", help="Folder of the library (library.data_dir).")
@click.option(
    "--set", "changes", multiple=True, metavar="SECTION.KEY=VALUE", help="Change one setting; may be repeated."
)
@click.version_option(__version__, prog_name="image-search")
@click.pass_context
def group(context: click.Context, config_file: Path | None, data_dir: str | None, changes: tuple[str, ...]) -> None:
    """Find the pictures of a library that are most similar to a picture.

    \b
    Examples:
      image-search ingest ~/Pictures                    make the folder searchable
      image-search search photo.jpg --top-k 5           the five most similar pictures
      image-search search --text "red boat"             by words; with a picture, by both
      image-search check /media/camera                  which of these are not in the library yet
      image-search serve                                page and HTTP interface on http://127.0.0.1:5000
      image-search --data-dir /srv/library status       another library

    Exit codes: 0 done, 1 could not, 2 misuse.
    """
    overrides = {}
    for change in changes:
        key, separator, value = change.partition("=")
        if not separator or "." not in key:
            raise ConfigError(f"--set {change!r}: must be SECTION.KEY=VALUE")
        overrides[key.strip()] = value
    if data_dir:
        overrides["library.data_dir"] = data_dir
    context.obj = CliContext(config_file, overrides)


_MODULES = (bulk, stages, search, pictures, checking, deleting, jobs, models, migrating, admin)
for command in (command for module in _MODULES for command in module.COMMANDS):
    group.add_command(command)


def main() -> None:
    """Run the command line."""
    as_json = "--json" in sys.argv
    try:
        sys.exit(group(prog_name="image-search", standalone_mode=False))
    except ImageSearchError as error:
        fail(error, as_json=as_json)
    except click.ClickException as error:
        if as_json:
            click.echo(json.dumps({"error": {"type": "UsageError", "message": error.format_message()}}))
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(1)
