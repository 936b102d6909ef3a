"""Real servers as fixtures: one of each for a whole run, started by the first test that asks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from deploy.servers import (
    MilvusLiteServer,
    MilvusServer,
    RcloneServer,
    Server,
    ServerMissing,
    running,
    temporary,
)

S = TypeVar("S", bound=Server)
ServerMaker = Callable[..., Any]


@contextlib.contextmanager
def started(make: type[S], **options: Any) -> Iterator[S]:
    """A running server in a folder of its own; skips where it is not installed."""
    with temporary() as folder:
        try:
            server = make(folder, **options)
        except ServerMissing as missing:
            pytest.skip(str(missing))
        with running(server):
            yield server


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[MilvusServer]:
    with started(MilvusServer) as server:
        yield server


@pytest.fixture(scope="session")
def milvus_lite_server() -> Iterator[MilvusLiteServer]:
    with started(MilvusLiteServer) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server() -> Iterator[RcloneServer]:
    with started(RcloneServer) as server:
        yield server


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """host:port of moto's S3 server in this process: it has every operation, and checks no signature."""
    server_module = pytest.importorskip(
        "moto.server", reason="moto[server] is not installed (pip install 'moto[server]')"
    )
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()
