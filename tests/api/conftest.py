"""Real routes over stand-ins, with a gallery of red, green and blue pictures in the library."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import WSGIRequestHandler, make_server

from image_search.api.app import create_app
from image_search.config import Settings, load_settings
from image_search.interfaces import FloatArray
from image_search.services.indexing import IndexingService
from image_search.services.jobs import JobRunner
from image_search.services.scanning import Source
from image_search.types import CollectionSpec, ImageRecord, Job
from image_search.wiring import Services
from tests.api.helpers import ADMIN, ADMIN_KEY

MakeClient: TypeAlias = Callable[..., FlaskClient]


@pytest.fixture
def changes() -> dict[str, str]:
    """Settings of these tests; a `make_client(**more)` adds to them. No picture is fetched from beyond this machine."""
    return {"security.admin_key": ADMIN_KEY, "url_fetch.mode": "allowlist", "url_fetch.allow": "127.0.0.1:1"}


@pytest.fixture
def settings(tmp_path: Path, changes: dict[str, str]) -> Settings:
    """Default settings over an empty data folder, with a known admin key."""
    return load_settings(environ={}, overrides={"library.data_dir": str(tmp_path / "data"), **changes})


@dataclass
class Shelf:
    """A library that the first test ingests and every further one copies."""

    data_dir: Path
    spec: CollectionSpec | None = None
    rows: list[tuple[list[ImageRecord], FloatArray]] = field(default_factory=list)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf") / "data")


@pytest.fixture
def stocked(services: Services, gallery: Path, shelf: Shelf) -> Services:
    """The services with the gallery in their library."""
    data_dir = services.settings.data_dir
    if shelf.spec is None:
        services.ingest.run(Source(gallery), "default")
        shutil.copytree(data_dir, shelf.data_dir)
        shelf.rows = list(services.store.iterate("default"))
        shelf.spec = services.collections.spec("default")
        return services
    shutil.copytree(shelf.data_dir, data_dir, dirs_exist_ok=True)
    services.collections.create("default", shelf.spec)
    for records, embeddings in shelf.rows:
        services.store.upsert("default", records, embeddings)
    return services


@pytest.fixture
def app(settings: Settings, stocked: Services) -> Flask:
    return create_app(settings, stocked)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def admin() -> Mapping[str, str]:
    """Headers of an administrator."""
    return ADMIN


@pytest.fixture
def make_client(tmp_path: Path, changes: dict[str, str], stocked: Services) -> MakeClient:
    """A client of the same library under other settings: make_client(security__user_key="...")."""

    def make(**more: str) -> FlaskClient:
        named = {key.replace("__", "."): value for key, value in more.items()}
        overrides = {"library.data_dir": str(tmp_path / "data"), **changes, **named}
        return create_app(load_settings(environ={}, overrides=overrides), stocked).test_client()

    return make


@pytest.fixture
def running(stocked: Services) -> Services:
    """The services with a job runner at work that neither waits for jobs nor lingers after a switch."""
    indexing = IndexingService(
        stocked.collections,
        stocked.images,
        stocked.archive_for,
        stocked.shards,
        stocked.preparer,
        stocked.locks,
        switch_grace_s=0.1,
    )

    def ended(job: Job, problem: Exception | None) -> None:
        if job.kind == "import":
            stocked.exchange.ended(job, problem)

    handlers = {"rebuild": indexing.run_job, "import": stocked.exchange.run_job}
    runner = JobRunner(stocked.jobs, handlers, poll_s=0.02, on_end=ended)
    stocked.__dict__.update(indexing=indexing, runner=runner)
    runner.start()
    return stocked


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[Flask], tuple[str, int]]]:
    """Serve an application on a real socket; gives (host, port)."""
    servers = []

    def start(app: Flask) -> tuple[str, int]:
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return "127.0.0.1", server.server_port

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()
