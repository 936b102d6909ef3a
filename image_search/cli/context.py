"""What the commands share: settings, services, output, signals, exit codes."""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click
from rich.console import Console

from image_search.config import Settings, load_settings
from image_search.errors import (
    CollectionNotFound,
    ConfigError,
    FetchError,
    ImageSearchError,
    InvalidParameter,
    NotAdmitted,
    way_out,
)
from image_search.types import Failure

if TYPE_CHECKING:
    from image_search.wiring import Services

P = ParamSpec("P")
T = TypeVar("T")

EXIT_CODES: Mapping[type[ImageSearchError], int] = {ConfigError: 2, InvalidParameter: 2, ImageSearchError: 1}
"""0 done, 1 could not, 2 misuse; the nearest class in an error's tree counts."""


@dataclass
class CliContext:
    """Global options; settings are read when the first command asks for them."""

    config_file: Path | None = None
    overrides: dict[str, str] = field(default_factory=dict)

    @functools.cached_property
    def settings(self) -> Settings:
        """Settings in force."""
        return load_settings(self.config_file, overrides=self.overrides)

    def collection(self, named: str | None) -> str:
        """The collection that is meant: the one that is named, else the configured one."""
        return named or self.settings.library.collection

    def has_library(self) -> bool:
        """Whether something was stored in the data folder; a server's library is always taken to be there."""
        uri = self.settings.milvus_uri
        return "://" in uri or Path(uri).exists() or (self.settings.data_dir / "jobs.sqlite").exists()

    def has_staged(self) -> bool:
        """Whether `preprocess` or `embed` left something for the next stage."""
        return (self.settings.data_dir / "staged").exists()

    def no_library(self) -> str:
        """What to say where there is none."""
        return f"no library in {self.settings.data_dir} yet: ingest some pictures first"

    @contextmanager
    def services(self, *, creates: bool = False, bulk: bool = False, temporary: bool = False) -> Iterator[Services]:
        """Services over the configured stores, closed at the end.

        `creates`: make a library where there is none; else CollectionNotFound is raised there, and nothing is made.
        `bulk`: tuned for many pictures. `temporary`: with a data folder that is empty now and gone at the end.
        """
        from image_search.wiring import build_services

        if not (creates or temporary or self.has_library()):
            raise CollectionNotFound(self.no_library())
        with contextlib.ExitStack() as stack:
            settings = self.settings
            if temporary:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="image-search-"))
                settings = replace(
                    settings,
                    library=replace(settings.library, data_dir=folder),
                    embedding=replace(settings.embedding, cache_dir=str(settings.model_cache_dir)),
                    # A file that is configured by its path is not this folder's.
                    milvus=settings.milvus if "://" in settings.milvus_uri else replace(settings.milvus, uri=""),
                )
            services = build_services(settings, bulk=bulk)
            stack.callback(services.close)
            yield services


pass_context = click.make_pass_decorator(CliContext)


def json_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--json`: one JSON document on stdout, messages and progress on stderr."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(command)


def collection_option(command: Callable[P, T]) -> Callable[P, T]:
    """`--collection`, by default the configured one."""
    return click.option("--collection", default=None, metavar="NAME", help="Collection; default: the configured one.")(
        command
    )


def emit(result: Any, *, as_json: bool, text: Callable[[], None]) -> None:
    """Print the result as one JSON document, or as `text` prints it."""
    if as_json:
        data = asdict(result) if is_dataclass(result) and not isinstance(result, type) else result
        click.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))
        # A pipe would keep the document back until a command that goes on (serve) ends.
        sys.stdout.flush()
    else:
        text()


def exit_if_stopped(stopped: bool) -> None:
    """End with 1 where a signal ended the work early."""
    if stopped:
        say("Stopped early; start the same command again to go on.")
        sys.exit(1)


def say(message: str) -> None:
    """A message for the person, on stderr."""
    click.echo(message, err=True)


def console() -> Console:
    """Tables on stdout; in a pipe as wide as they want to be, so that nothing is broken in the middle."""
    # Titles and names are other people's: brackets in them are no markup.
    return Console(width=None if sys.stdout.isatty() else 200, markup=False, emoji=False, highlight=False)


def describe_error(error: ImageSearchError) -> dict[str, str]:
    """An error of ours as JSON shows it."""
    return {"type": type(error).__name__, "message": told(error)}


def told(error: ImageSearchError) -> str:
    """An error of ours for whoever runs a command here, who may know why an address was not fetched."""
    text = str(error)
    if isinstance(error, FetchError) and error.reason not in text:
        text += f": {error.reason}"
    return text + way_out(error) if isinstance(error, FetchError | NotAdmitted) else text


def fail(error: ImageSearchError, *, as_json: bool, failures: Sequence[Failure] = ()) -> NoReturn:
    """Print an error of ours, with the single failures that it sums up, and exit with its code."""
    code = next(EXIT_CODES[cls] for cls in type(error).__mro__ if cls in EXIT_CODES)
    if as_json:
        document: dict[str, Any] = {"error": describe_error(error)}
        if failures:
            document["failures"] = [asdict(failure) for failure in failures]
        click.echo(json.dumps(document, ensure_ascii=False))
    say(f"Error: {told(error)}")
    sys.exit(code)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second Ctrl-C ends the process at once."""
    stop = threading.Event()

    def handle(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("Stopping after what is being written; press Ctrl-C again to end at once.")

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
