"""The implementations that the contract of vector stores is run on."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import pytest

from image_search.interfaces import VectorStore
from image_search.vectors.memory_store import MemoryVectorStore
from tests.vectors import SPEC, collection_name

SERVER_URI = os.environ.get("IMAGE_SEARCH_TEST_MILVUS", "")
"""URI of a Milvus server that the suite may fill, for instance http://127.0.0.1:19530; "" = none to test."""


@pytest.fixture(scope="session")
def lite_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorStore]:
    if importlib.util.find_spec("milvus_lite") is None:
        pytest.skip("milvus_lite is not installed")
    from image_search.vectors.milvus_store import MilvusVectorStore

    store = MilvusVectorStore(str(tmp_path_factory.mktemp("lite") / "library.db"))
    yield store
    store.close()


@pytest.fixture(scope="session")
def server_store() -> Iterator[VectorStore]:
    from image_search.vectors.milvus_store import MilvusVectorStore

    store = MilvusVectorStore(SERVER_URI)
    yield store
    store.close()


@pytest.fixture(params=["memory", "lite", *(["server"] if SERVER_URI else [])])
def store(request: pytest.FixtureRequest) -> VectorStore:
    if request.param == "memory":
        return MemoryVectorStore()
    made: VectorStore = request.getfixturevalue(f"{request.param}_store")
    return made


@pytest.fixture
def name(store: VectorStore) -> Iterator[str]:
    made = collection_name()
    store.create_collection(made, SPEC)
    yield made
    if made not in store.aliases().values():
        store.drop_collection(made)
