"""One library and several processes: who owns the engine, who joins, and what a killed owner leaves."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

from image_search.errors import CollectionExists, CollectionNotFound, ConfigError, VectorStoreError
from image_search.types import CollectionSpec, ImageRecord, SearchParams
from image_search.vectors.lite_engine import LiteEngine, Service, _engines_of, read_service, served_at
from image_search.vectors.milvus_schema import Capabilities, columns, to_description
from image_search.vectors.milvus_store import MilvusVectorStore

pytestmark = pytest.mark.skipif(importlib.util.find_spec("milvus_lite") is None, reason="milvus_lite is not installed")

SPEC = CollectionSpec("m@0", 8)

OTHER_PROCESS = """
import hashlib, sys
import numpy as np
from image_search.types import CollectionSpec, ImageRecord
from image_search.vectors.milvus_store import MilvusVectorStore

store = MilvusVectorStore(sys.argv[1])
if not store.list_collections():
    store.create_collection("c", CollectionSpec("m@0", 8))
first = int(sys.argv[2])
for i in range(first, first + 50):
    record = ImageRecord(hashlib.sha256(str(i).encode()).hexdigest(), "k", (1, 1))
    store.upsert("c", [record], np.eye(8, dtype=np.float32)[[i % 8]])
print("ready", store._connection.engine.owner, flush=True)
sys.stdin.readline()
store.close()
"""


def record(i: int) -> ImageRecord:
    return ImageRecord(hashlib.sha256(str(i).encode()).hexdigest(), "k", (1, 1))


def row(i: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.eye(8, dtype=np.float32)[[i % 8]]


class OtherProcess:
    """Another process that has written 50 rows from `first` on, and waits."""

    def __init__(self, db: Path, first: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, str(db), str(first)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().split()
        assert line[:1] == ["ready"], "the other process failed: its error is above"
        self.owner = line[1] == "True"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def finish(self) -> None:
        self.process.communicate("\n", timeout=20)
        assert self.process.returncode == 0


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "data" / "library.db"


@pytest.fixture
def store(db: Path) -> Iterator[MilvusVectorStore]:
    made = MilvusVectorStore(str(db))
    yield made
    made.close()
    assert _engines_of(db.resolve()) == []


def owns(store: MilvusVectorStore) -> bool:
    engine = store._connection.engine
    assert engine is not None
    return engine.owner


def test_nothing_is_started_before_the_first_use(db: Path) -> None:
    MilvusVectorStore(str(db)).close()
    assert not db.parent.exists()


def test_the_owner_says_who_it_is_and_leaves_nothing(db: Path, store: MilvusVectorStore) -> None:
    store.ping()
    service_file = db.parent / "service.json"
    service = read_service(db.parent)
    assert service is not None
    assert service.pid == os.getpid()
    assert service.http is None
    assert stat.S_IMODE(service_file.stat().st_mode) == 0o600
    socket_folder = Path(service.engine.removeprefix("unix:")).parent
    assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    store.announce("http://127.0.0.1:8000")
    assert read_service(db.parent) == Service(os.getpid(), service.engine, "http://127.0.0.1:8000")
    store.close()
    store.close()
    assert not service_file.exists()
    assert not socket_folder.exists()
    assert _engines_of(db.resolve()) == []


def test_a_store_that_was_closed_can_be_used_again(store: MilvusVectorStore) -> None:
    store.create_collection("c", SPEC)
    store.upsert("c", [record(1)], row(1))
    store.close()
    assert store.count("c") == 1


def test_a_second_process_joins(db: Path, store: MilvusVectorStore) -> None:
    store.create_collection("c", SPEC)
    other = OtherProcess(db)
    assert owns(store)
    assert not other.owner
    assert store.count("c") == 50
    store.upsert("c", [record(1000)], row(0))
    other.finish()
    assert store.count("c") == 51
    assert (db.parent / "service.json").exists(), "a joiner must not remove the owner's file"


def test_every_row_is_there_after_the_owner_was_killed(db: Path, store: MilvusVectorStore) -> None:
    other = OtherProcess(db)
    assert other.owner
    stale = read_service(db.parent)
    assert stale is not None
    other.kill()
    assert store.count("c") == 50
    assert owns(store)
    assert len(store.search("c", row(0), SearchParams(top_k=100))[0]) == 50
    service = read_service(db.parent)
    assert service is not None
    assert service.pid == os.getpid()
    assert not Path(stale.engine.removeprefix("unix:")).exists()
    assert len(_engines_of(db.resolve())) == 1


@pytest.mark.parametrize("way", ["kill", "finish"])
def test_a_joiner_takes_over_when_the_owner_is_gone(db: Path, store: MilvusVectorStore, way: str) -> None:
    other = OtherProcess(db)
    assert store.count("c") == 50
    assert not owns(store)
    getattr(other, way)()
    store.upsert("c", [record(1000)], row(0))
    assert owns(store)
    assert store.count("c") == 51


def test_the_address_is_of_the_server_that_is_alive(db: Path) -> None:
    first, second = LiteEngine(db), LiteEngine(db)
    try:
        assert served_at(db) is None
        first.uri()
        first.announce("http://127.0.0.1:5000")
        second.uri()
        second.announce("http://127.0.0.1:5001")
        assert not second.owner
        assert served_at(db) == "http://127.0.0.1:5000"
        stale = (db.parent / "service.json").read_text()
        first.close()
        (db.parent / "service.json").write_text(stale)
        assert served_at(db) is None, "a killed server leaves its file"
        second.uri()
        assert served_at(db) == "http://127.0.0.1:5001"
    finally:
        second.close()
        first.close()


def test_killed_again_and_again(db: Path) -> None:
    for k in range(4):
        other = OtherProcess(db, first=50 * k)
        assert other.owner
        other.kill()
    store = MilvusVectorStore(str(db))
    assert store.count("c") == 200
    store.close()


def test_an_engine_that_died_is_started_again(db: Path, store: MilvusVectorStore) -> None:
    store.create_collection("c", SPEC)
    store.upsert("c", [record(1)], row(1))
    store.announce("http://127.0.0.1:8000")
    [engine] = _engines_of(db.resolve())
    os.kill(engine, signal.SIGKILL)
    time.sleep(0.05)
    assert store.count("c") == 1
    service = read_service(db.parent)
    assert service is not None
    assert service.http == "http://127.0.0.1:8000"


def test_an_engine_has_a_session_of_its_own(db: Path, store: MilvusVectorStore) -> None:
    store.ping()
    [engine] = _engines_of(db.resolve())
    assert os.getsid(engine) != os.getsid(0), "Ctrl-C would end the engine before its owner is done"


def test_the_first_searches_of_several_threads_import_nothing(db: Path) -> None:
    """pymilvus would import scipy.sparse there, and some of the searches would meet half of it."""
    pytest.importorskip("scipy", reason="scipy is not installed: pymilvus imports nothing late")
    program = "import sys; from image_search.vectors.milvus_store import MilvusVectorStore as Store; "
    program += "store = Store(sys.argv[1]); store.ping(); print('scipy.sparse' in sys.modules); store.close()"
    said = subprocess.run([sys.executable, "-c", program, str(db)], capture_output=True, text=True, check=True)
    assert said.stdout == "True\n"


def test_an_engine_shares_nothing_with_those_of_other_libraries(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would take ~/.cache/milvus away from each other; here none can make it."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".cache").write_text("no folder")
    monkeypatch.setenv("HOME", str(home))
    store = MilvusVectorStore(str(db))
    try:
        store.create_collection("c", SPEC)
        assert store.count("c") == 0
    finally:
        store.close()


def test_an_orphaned_engine_is_ended(db: Path, store: MilvusVectorStore) -> None:
    """Somebody took the engine's watch lock before it could: it would wait, and write, for ever."""
    other = OtherProcess(db)
    [orphan] = _engines_of(db.resolve())
    os.kill(orphan, signal.SIGSTOP)
    other.kill()
    assert store.count("c") == 50
    assert orphan not in _engines_of(db.resolve())


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", json.dumps({"pid": 1, "engine": "unix:/nowhere/engine.sock", "http": None})],
)
def test_a_stale_service_file_is_overwritten(db: Path, store: MilvusVectorStore, content: str) -> None:
    db.parent.mkdir()
    (db.parent / "service.json").write_text(content)
    store.ping()
    service = read_service(db.parent)
    assert service is not None
    assert service.pid == os.getpid()


def test_a_library_whose_holder_does_not_answer(db: Path) -> None:
    db.parent.mkdir()
    (db.parent / "service.json").write_text(json.dumps({"pid": 4321, "engine": "unix:/nowhere/s", "http": None}))
    with (db.parent / "library.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(VectorStoreError, match="4321") as caught:
            LiteEngine(db, join_timeout_s=0.2).uri()
    assert caught.value.retryable
    assert str(db.parent) not in str(caught.value)


def test_a_file_that_is_no_database(db: Path) -> None:
    db.parent.mkdir()
    db.write_bytes(b"this is no SQLite file, and long enough to be told from one" * 100)
    with pytest.raises(VectorStoreError):
        MilvusVectorStore(str(db)).ping()
    assert _engines_of(db.resolve()) == []
    assert not (db.parent / "service.json").exists()


def make_bare(store: MilvusVectorStore, name: str, description: str) -> None:
    """A collection as another program, another version, or a maker that was killed half-way leaves it."""
    schema = MilvusClient.create_schema(auto_id=False, description=description)
    for column in columns(SPEC.dim, Capabilities(False, False)):
        element = {"element_type": DataType.VARCHAR} if column.kind == "ARRAY" else {}
        schema.add_field(column.name, DataType[column.kind], **element, **column.params)
    store._connection.call("create_collection", name, schema=schema)


def test_a_collection_whose_maker_was_killed_is_finished(store: MilvusVectorStore) -> None:
    make_bare(store, "half", to_description(SPEC))
    store.upsert("half", [record(1)], row(1))
    assert len(store.search("half", row(1), SearchParams())[0]) == 1


def test_another_programs_collection_is_left_alone(store: MilvusVectorStore) -> None:
    make_bare(store, "theirs", "made by hand")
    assert store.list_collections() == []
    with pytest.raises(CollectionNotFound, match="theirs"):
        store.count("theirs")
    with pytest.raises(CollectionExists):
        store.create_collection("theirs", SPEC)
    store.drop_collection("theirs")
    assert store._connection.call("has_collection", "theirs")


def test_another_schema_version_is_listed_and_never_misread(store: MilvusVectorStore) -> None:
    make_bare(store, "old", to_description(replace(SPEC, schema_version=0)))
    assert store.list_collections() == ["old"]
    with pytest.raises(VectorStoreError, match="schema version 0"):
        store.describe_collection("old")
    store.drop_collection("old")
    assert store.list_collections() == []


@pytest.mark.parametrize("bad", ["library", "a b.db", "ä.db", "x" * 40 + ".db"])
def test_names_that_the_engine_cannot_take(tmp_path: Path, bad: str) -> None:
    with pytest.raises(ConfigError):
        LiteEngine(tmp_path / bad)
