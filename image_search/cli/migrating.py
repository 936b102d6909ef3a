"""The command that takes a library to other stores."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from image_search.cli.context import CliContext, emit, exit_if_stopped, json_option, pass_context, say, stop_on_signals
from image_search.cli.progress import progress_bar
from image_search.cli.tables import print_failures
from image_search.config import Settings, load_settings
from image_search.errors import ImageStoreError, InvalidParameter

_OF_A_LIBRARY = (
    "library.lock",
    "library.db",
    "jobs.sqlite",
    "switch.lock",
    "switch.rebuild",
    "projections",
    "images/tmp",
)
"""What a data folder has, embedded or beside servers: one of them is the first thing that is written into it."""


@click.command()
@click.option("--to-milvus", metavar="URI", help="Milvus server (http://host:19530); its password: milvus.token.")
@click.option(
    "--to-store",
    metavar="s3://BUCKET",
    help="Bucket on the S3 server of storage.endpoint, with storage.access_key and storage.secret_key.",
)
@click.option(
    "--to-data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Data folder of the new library: alone, an embedded library, as from a server back to a laptop.",
)
@click.option(
    "--overwrite", is_flag=True, help="Also bring edits and deletions over what the target shows of the same pictures."
)
@json_option
@pass_context
def migrate(
    context: CliContext,
    to_milvus: str | None,
    to_store: str | None,
    to_data_dir: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Take the whole library to other stores: pictures, vectors, projections, words, what lies in the trash.

    Nothing is embedded again and nothing changes here. It may be stopped or killed at any moment and started again:
    it goes on where it was, and what is there already is passed over. The target shows nothing of a collection until
    all of it is there; from then on it gets what it lacks, and keeps what is edited or deleted there (but --overwrite).
    A service may run on the target; it rebuilds nothing meanwhile.

    \b
    Examples:
      image-search --set storage.endpoint=s3.lan:9000 migrate --to-milvus http://milvus.lan:19530 --to-store s3://pictures
      image-search migrate --to-data-dir ~/laptop-library
    """
    from image_search.wiring import build_services, migration

    target_settings = _target(context, to_milvus, to_store, to_data_dir)
    with context.services(bulk=True) as source, stop_on_signals() as stop, progress_bar() as on_progress:
        target = build_services(target_settings)
        try:
            report = migration(source, target).run(overwrite=overwrite, on_progress=on_progress, stop=stop)
        finally:
            target.close()

    def text() -> None:
        for one in report.collections:
            more = f", {one.deleted} in the trash" if one.deleted else ""
            more += f"; {one.different} are different there and were left so (--overwrite)" if one.different else ""
            click.echo(f"{one.name}: {one.images} pictures here, {one.there} there ({one.copied} written now{more})")
        click.echo(
            f"{report.objects} files, {report.objects_copied} of them copied now, {report.objects_missing} missing "
            f"there; {report.elapsed_s:.1f} s"
        )
        print_failures(report.failed)
        if report.complete:
            click.echo("Everything is there.")

    emit(report, as_json=as_json, text=text)
    exit_if_stopped(report.interrupted)
    if not report.complete:
        say("Not everything is there: see above, and start the same command again.")
        sys.exit(1)


def _target(context: CliContext, to_milvus: str | None, to_store: str | None, to_data_dir: Path | None) -> Settings:
    """The settings of the target: those here, with what is named changed."""
    if not (to_milvus or to_store or to_data_dir):
        raise InvalidParameter("migrate", "where to? Name --to-milvus, --to-store, --to-data-dir, or several of them")
    overrides = dict(context.overrides)
    if to_data_dir:
        _check_folder(to_data_dir, context.settings.data_dir)
        overrides |= {"library.data_dir": str(to_data_dir), "milvus.uri": "", "storage.backend": "local"}
    if to_milvus:
        overrides["milvus.uri"] = to_milvus
    if to_store:
        found = re.fullmatch(r"s3://([^/]+)/?", to_store)
        if found is None:
            raise InvalidParameter("--to-store", f"{to_store!r}; s3://BUCKET is expected")
        overrides |= {"storage.backend": "minio", "storage.bucket": found[1]}
    target = load_settings(context.config_file, overrides=overrides)
    if to_store and not target.storage.endpoint:
        raise InvalidParameter("--to-store", "storage.endpoint says on which server: --set storage.endpoint=host:port")
    if _places(target) == _places(context.settings):
        raise InvalidParameter("migrate", "the target is where the library is")
    return target


def _check_folder(folder: Path, own: Path) -> None:
    """Raise InvalidParameter where the folder holds what is somebody else's, ImageStoreError where it cannot be read.

    One that an interrupted run began to fill is a library already.
    """
    try:
        if not folder.exists() or folder.resolve() == own.resolve() or not _held(folder):
            return
        ours = any((folder / name).exists() for name in _OF_A_LIBRARY)
    except NotADirectoryError as error:
        raise InvalidParameter("--to-data-dir", f"{str(folder)!r} is a file; a folder is expected") from error
    except OSError as error:
        raise ImageStoreError(f"folder {str(folder)!r} cannot be read: {error.strerror}") from error
    if not ours:
        raise InvalidParameter(
            "--to-data-dir",
            f"{str(folder)!r} holds other files and is no library; name a new or an empty folder, or a library's",
        )


def _held(folder: Path) -> set[str]:
    """What lies in the folder, but for what systems put there by themselves."""
    return {path.name for path in folder.iterdir()} - {"lost+found", ".DS_Store"}


def _places(settings: Settings) -> tuple[object, ...]:
    storage = settings.storage
    bucket = (storage.endpoint, storage.bucket) if storage.backend == "minio" else settings.data_dir
    return settings.milvus_uri, settings.milvus.db_name, bucket


COMMANDS = (migrate,)
