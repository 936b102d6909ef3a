"""Two machines, each with a data folder of its own, on one Milvus server and one bucket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.servers import ACCESS_KEY, SECRET_KEY, MilvusServer, RcloneServer
from image_search.config import load_settings
from image_search.errors import Conflict, VectorStoreError
from image_search.services.searching.query import Query
from image_search.types import SearchParams
from image_search.wiring import Services, build_services
from tests.live import environment, write_tiny_model
from tests.support import draw, jpeg
from tests.vectors import collection_name


@pytest.fixture
def name() -> str:
    """A collection of this test's own: the Milvus server is everybody's."""
    return f"c{collection_name()}".replace("_", "x")


@pytest.fixture
def machines(
    name: str, tmp_path: Path, milvus_server: MilvusServer, rclone_server: RcloneServer
) -> Iterator[list[Services]]:
    model = write_tiny_model(tmp_path)
    stores = {
        "IMAGE_SEARCH_MILVUS__URI": milvus_server.uri,
        "IMAGE_SEARCH_STORAGE__BACKEND": "minio",
        "IMAGE_SEARCH_STORAGE__BUCKET": f"b{name.lower()}"[:60],
        "IMAGE_SEARCH_STORAGE__ENDPOINT": rclone_server.endpoint,
        "IMAGE_SEARCH_STORAGE__ACCESS_KEY": ACCESS_KEY,
        "IMAGE_SEARCH_STORAGE__SECRET_KEY": SECRET_KEY,
        "IMAGE_SEARCH_STORAGE__SECURE": "false",
    }
    opened = []
    for number in range(2):
        env = environment(model, tmp_path / f"machine{number}", **stores)
        settings = {key: value for key, value in env.items() if key.startswith("IMAGE_SEARCH_")}
        opened.append(build_services(load_settings(environ=settings)))
    yield opened
    for services in opened:
        services.close()


def picture(mark: int) -> bytes:
    return jpeg(draw((mark * 5 % 256, 255 - mark * 5 % 256, mark * 11 % 256), mark=mark))


@pytest.mark.parametrize("later_s", [0, 0.05, 0.3])
def test_of_two_rebuilds_at_once_nothing_is_lost_or_mixed(machines: list[Services], name: str, later_s: float) -> None:
    for mark in range(40):
        machines[mark % 2].library.insert(name, picture(mark))
    ends = threading.Event()
    inserted: list[int] = []

    def insert() -> None:
        for mark in range(40, 200):
            if ends.is_set():
                return
            machines[mark % 2].library.insert(name, picture(mark))
            inserted.append(mark)

    def rebuild(number: int) -> bool:
        time.sleep(number * later_s)
        try:
            machines[number].indexing.rebuild(name, projection=f"random:{8 + number}")
        except (Conflict, VectorStoreError) as error:
            print(f"machine {number}: {error!r}")
            assert isinstance(error, Conflict) or error.retryable
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        inserting = pool.submit(insert)
        done = list(pool.map(rebuild, range(2)))
        ends.set()
        inserting.result()
    assert any(done)
    marks = [*range(40), *inserted]
    for services in machines:
        assert services.store.count(name, latest=True) == len(marks)
        for mark in marks:
            best = services.search.search(name, Query(image=picture(mark)), SearchParams(top_k=1)).hits[0]
            assert (best.match, best.hit.score) == ("identical", pytest.approx(1, abs=1e-3)), mark
    machines[0].indexing.rebuild(name)
    assert len([one for one in machines[0].store.list_collections() if one.startswith(f"{name}__")]) == 1
