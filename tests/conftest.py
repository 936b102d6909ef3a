"""Fixtures for all tests: services over stand-ins, a drawn gallery, and where the real pictures lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import image_search.datasets.hdf5 as hdf5
from image_search.config import Settings, load_settings
from image_search.storage.local_store import LocalImageStore
from image_search.vectors.memory_store import MemoryVectorStore
from image_search.wiring import Services
from tests.support import MeanColourProvider, write_gallery
from tests.url_servers import Serve, servers
from tests.web_of_pictures import Web

pytest_plugins = ["tests.servers"]
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the settings or the library of the person who runs it."""
    import os

    for name in list(os.environ):
        if name.startswith("IMAGE_SEARCH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Default settings over an empty data folder."""
    return load_settings(environ={}, overrides={"library.data_dir": str(tmp_path / "data")})


@pytest.fixture
def services(settings: Settings) -> Iterator[Services]:
    """Services over exact search in memory, a local folder and the mean-colour embedder."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    made = Services(
        settings=settings,
        store=MemoryVectorStore(),
        images=LocalImageStore(settings.data_dir / "images"),
        provider=MeanColourProvider(),
        shards=hdf5,
        max_pixels=settings.imaging.max_pixels,
        network_threads=1,
    )
    yield made
    made.close()


@pytest.fixture
def gallery(tmp_path: Path) -> Path:
    """A folder with red/, green/ and blue/, five drawn pictures each."""
    folder = tmp_path / "gallery"
    write_gallery(folder)
    return folder


@pytest.fixture(scope="session")
def mobilenet() -> Path:
    """The real network beside the checkout; skips where it is not there."""
    path = SHARED / "models" / "mobilenet_v2_imagenet.onnx"
    if not path.is_file():
        pytest.skip("needs ../shared/models/mobilenet_v2_imagenet.onnx")
    return path


@pytest.fixture
def serve() -> Iterator[Serve]:
    """What starts servers that answer by a script."""
    with servers() as start:
        yield start


@pytest.fixture
def web(serve: Serve) -> Web:
    """A server of pictures, empty."""
    return Web(serve)


AGAIN = {"browser": 2, "deploy": 1, "integration": 1}
"""How often a test of a folder may be tried again; the run's summary says which were."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser, and servers that are killed and started, are late at times on a busy machine; nothing else may be."""
    for item in items:
        if times := AGAIN.get(item.path.parent.name):
            item.add_marker(pytest.mark.flaky(reruns=times))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many tests had no server to run on, and how to get one."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "make servers" in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests of real servers were skipped: `make servers` gets the servers into .servers/"
        )
