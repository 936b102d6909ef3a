"""The options that every command takes: which configuration, which library, which settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from image_search.cli.context import CliContext
from image_search.errors import ConfigError

_TOLD_ONCE = "Options of every command: --config FILE, --data-dir DIR, --set SECTION.KEY=VALUE (image-search --help)."


def add_global_options(group: click.Group) -> None:
    """Let them stand after each command of the group as well as before it; their help is the group's."""
    group.params = [*_options(hidden=False), *group.params]
    for command in _below(group):
        command.params = [*command.params, *_options(hidden=True)]
        command.epilog = _TOLD_ONCE


def _below(group: click.Group) -> Sequence[click.Command]:
    inner = [
        command for found in group.commands.values() if isinstance(found, click.Group) for command in _below(found)
    ]
    return [*group.commands.values(), *inner]


def _options(*, hidden: bool) -> list[click.Option]:
    return [
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path),
            help="Configuration file; default: conf/config.ini.",
            expose_value=False,
            callback=_take_config,
            hidden=hidden,
        ),
        click.Option(
            ["--data-dir"],
            metavar="DIR",
            help="Folder of the library (library.data_dir).",
            expose_value=False,
            callback=_take_data_dir,
            hidden=hidden,
        ),
        click.Option(
            ["--set"],
            multiple=True,
            metavar="SECTION.KEY=VALUE",
            help="Change one setting; may be repeated.",
            expose_value=False,
            callback=_take_changes,
            hidden=hidden,
        ),
    ]


def _take_config(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        _ours(context).config_file = value


def _take_data_dir(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        _ours(context).overrides["library.data_dir"] = value


def _take_changes(context: click.Context, _: click.Parameter, changes: Sequence[str]) -> None:
    for change in changes:
        key, separator, value = change.partition("=")
        if not separator or "." not in key:
            raise ConfigError(f"--set {change!r}: must be SECTION.KEY=VALUE")
        _ours(context).overrides[key.strip()] = value


def _ours(context: click.Context) -> CliContext:
    return context.ensure_object(CliContext)
