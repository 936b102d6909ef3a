"""Values of options that are more than one word or number, and options that several commands have."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from image_search.errors import InvalidParameter
from image_search.filters import Filter, parse_filter_json
from image_search.ranking import Weights
from image_search.services.searching.query import Crop
from image_search.types import JsonScalar

P = ParamSpec("P")
T = TypeVar("T")


class ListingGroup(click.Group):
    """Commands of which `list` is meant where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments that are left for the command."""
        # The group's own options, each with a value: they may stand before the name of a command.
        own = {name for option in self.params for name in option.opts}
        start = 0
        while start < len(args) and args[start].partition("=")[0] in own:
            start += 1 if "=" in args[start] else 2
        first = (args[start:] or ["-"])[0]
        if start <= len(args) and first.startswith("-") and first not in self.get_help_option_names(ctx):
            args = [*args[:start], "list", *args[start:]]
        return super().parse_args(ctx, args)


class FilterType(click.ParamType[Filter]):
    """JSON, or @FILE with JSON in it."""

    name = "filter"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The filter. Raises InvalidParameter that names the place."""
        return parse_filter_option(value)


class CropType(click.ParamType[Crop]):
    """Four fractions."""

    name = "crop"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The region. Raises InvalidParameter."""
        left, top, right, bottom = _numbers("crop", value, "LEFT,TOP,RIGHT,BOTTOM")
        return Crop(left, top, right, bottom)


class WeightsType(click.ParamType[Weights]):
    """Two numbers."""

    name = "weights"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The weights. Raises InvalidParameter."""
        image, text = _numbers("weights", value, "IMAGE,TEXT")
        return Weights(image, text)


class TimeType(click.ParamType[int]):
    """A time or a day."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Unix time in whole seconds; without a zone it is UTC. Raises InvalidParameter."""
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidParameter(
                "created_at", f"{value[:40]!r}; a time such as 2026-01-31T12:00:00Z, or a day, is expected"
            ) from error
        return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())


def filter_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--filter`."""
    return click.option(
        "--filter",
        "where",
        type=FilterType(),
        metavar="JSON|@FILE",
        help='Only pictures that it holds for: {"tags": {"any": ["cat"]}, "width": {"gte": 800}}.',
    )(command)


def page_options(limit: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """`--limit` and `--after`."""

    def decorate(command: Callable[P, T]) -> Callable[P, T]:
        after = click.option("--after", metavar="ID", help="Go on after this one: the `next` of the page before.")
        return click.option(
            "--limit", default=limit, show_default=True, metavar="N", type=int, help="At most so many."
        )(after(command))

    return decorate


def parse_filter_option(text: str) -> Filter:
    """The filter of a JSON text, or of the file behind an @. Raises InvalidParameter that names the place."""
    if text.startswith("@"):
        text = _text_of(Path(text[1:]))
    try:
        return parse_filter_json(text)
    except InvalidParameter as error:
        if not isinstance(error.__cause__, json.JSONDecodeError):
            raise
        broken = error.__cause__
        raise InvalidParameter(
            "filter", f"not a JSON text: {broken.msg} (line {broken.lineno}, column {broken.colno})", malformed=True
        ) from error


def parse_field(text: str) -> tuple[str, JsonScalar]:
    """(name, value) of NAME=VALUE: a number, true, false, null or a quoted text as in JSON, else the text as it is."""
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise InvalidParameter("fields", f"{text[:80]!r}; NAME=VALUE is expected")
    try:
        parsed = json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return name, value
    return name, value if isinstance(parsed, dict | list) else parsed


def split_tags(text: str) -> tuple[str, ...]:
    """Tags of a text that has commas between them."""
    return tuple(tag for part in text.split(",") if (tag := part.strip()))


def _numbers(field: str, text: str, form: str) -> list[float]:
    parts = text.split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != form.count(",") + 1:
        raise InvalidParameter(field, f"{text[:80]!r}; {form} is expected, all of them numbers")
    return numbers


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidParameter("filter", f"{str(path)!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidParameter("filter", f"{str(path)!r} is no text in UTF-8") from error


def _no_constant(name: str) -> None:
    raise ValueError(name)
