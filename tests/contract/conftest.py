"""The implementations that the contract of vector stores is run on."""

from __future__ import annotations

import importlib.util
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.servers import MilvusLiteServer, MilvusServer
from image_search.interfaces import VectorStore
from image_search.vectors.memory_store import MemoryVectorStore
from tests.vectors import SPEC, collection_name

GIVEN_URI = os.environ.get("IMAGE_SEARCH_TEST_MILVUS", "")
"""URI of another Milvus server that the suite may fill, for instance http://127.0.0.1:19530; "" = none."""


def open_store(uri: str) -> Iterator[VectorStore]:
    from image_search.vectors.milvus_store import MilvusVectorStore

    store = MilvusVectorStore(uri)
    yield store
    store.close()


@pytest.fixture(scope="session")
def lite_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorStore]:
    if importlib.util.find_spec("milvus_lite") is None:
        pytest.skip("milvus_lite is not installed")
    yield from open_store(str(tmp_path_factory.mktemp("lite") / "library.db"))


@pytest.fixture(scope="session")
def milvus_store(milvus_server: MilvusServer) -> Iterator[VectorStore]:
    yield from open_store(milvus_server.uri)


@pytest.fixture(scope="session")
def milvus_lite_server_store(milvus_lite_server: MilvusLiteServer) -> Iterator[VectorStore]:
    yield from open_store(milvus_lite_server.uri)


@pytest.fixture(scope="session")
def given_store() -> Iterator[VectorStore]:
    yield from open_store(GIVEN_URI)


@pytest.fixture(params=["memory", "lite", "milvus", "milvus_lite_server", *(["given"] if GIVEN_URI else [])])
def store(request: pytest.FixtureRequest) -> VectorStore:
    if request.param == "memory":
        return MemoryVectorStore()
    made: VectorStore = request.getfixturevalue(f"{request.param}_store")
    return made


class Stock:
    """Empty collections made ahead: a server takes almost three seconds for one, and as long for eight at once."""

    AHEAD = 8

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(self.AHEAD)
        self._coming = deque(self._pool.submit(self._make) for _ in range(self.AHEAD))

    def take(self) -> str:
        self._coming.append(self._pool.submit(self._make))
        return self._coming.popleft().result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _make(self) -> str:
        made = collection_name()
        self._store.create_collection(made, SPEC)
        return made


@pytest.fixture(scope="session")
def milvus_stock(milvus_store: VectorStore) -> Iterator[Stock]:
    stock = Stock(milvus_store)
    yield stock
    stock.close()


@pytest.fixture
def name(request: pytest.FixtureRequest, store: VectorStore) -> Iterator[str]:
    if request.node.callspec.params["store"] == "milvus":
        made: str = request.getfixturevalue("milvus_stock").take()
    else:
        made = collection_name()
        store.create_collection(made, SPEC)
    yield made
    if made not in store.aliases().values():
        store.drop_collection(made)
