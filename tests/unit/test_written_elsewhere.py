"""Over a server, to which another process has just written: it shows that some seconds later, unless asked for all."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import image_search.services.indexing as indexing
from image_search.errors import Conflict
from image_search.filters import Filter
from image_search.interfaces import FloatArray
from image_search.services.scanning import Source
from image_search.types import CollectionSpec, ImageRecord
from image_search.vectors.memory_store import MemoryVectorStore
from image_search.wiring import Services
from tests.support import draw, jpeg


class ServersStore(MemoryVectorStore):
    """What another process wrote is missing until somebody asks for the latest."""

    def __init__(self) -> None:
        super().__init__()
        self.older: dict[str, ImageRecord | None] = {}
        """By image_id what is shown meanwhile of what was written elsewhere; None = nothing."""

    def write_elsewhere(self, name: str, record: ImageRecord, vector: FloatArray, *, at_ms: int | None = None) -> None:
        self.older[record.image_id] = super().get(name, [record.image_id]).get(record.image_id)
        super().upsert(name, [record], vector)
        if at_ms is not None:
            self._open(name).updated_at_ms[record.image_id] = at_ms

    def get(self, name: str, image_ids: Sequence[str], *, latest: bool = False) -> dict[str, ImageRecord]:
        found = super().get(name, image_ids)
        if latest:
            self.older.clear()
        shown = {image_id: self.older.get(image_id, record) for image_id, record in found.items()}
        return {image_id: record for image_id, record in shown.items() if record is not None}

    def iterate(
        self, name: str, *, batch_size: int = 1000, updated_since_ms: int | None = None, latest: bool = False
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        if latest:
            self.older.clear()
        for records, vectors in super().iterate(name, batch_size=batch_size, updated_since_ms=updated_since_ms):
            rows = [row for row, r in enumerate(records) if self.older.get(r.image_id, r) is not None]
            if rows:
                yield [records[row] for row in rows], vectors[rows]

    def count(self, name: str, where: Filter | None = None, *, latest: bool = False) -> int:
        assert where is None
        return sum(len(records) for records, _ in self.iterate(name, latest=latest))


@pytest.fixture
def library(services: Services, gallery: Path) -> Services:
    made = replace(services, store=ServersStore())
    made.ingest.run(Source(gallery), "default")
    made.indexing._grace_s = 0
    return made


def _store(library: Services) -> ServersStore:
    assert isinstance(library.store, ServersStore)
    return library.store


def _another(library: Services) -> tuple[ImageRecord, FloatArray]:
    """A picture that the library has not, with a vector."""
    records, vectors = next(library.store.iterate("default"))
    return replace(records[0], image_id="ab" * 32, sources=("elsewhere.jpg",)), vectors[:1]


def test_a_rebuild_brings_what_others_wrote_a_moment_before_the_switch(
    library: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, (record, vector) = _store(library), _another(library)
    build_index = store.build_index

    def written_meanwhile(name: str) -> None:
        build_index(name)
        store.write_elsewhere("default", record, vector)

    monkeypatch.setattr(store, "build_index", written_meanwhile)
    library.indexing.rebuild("default")
    assert store.get("default", [record.image_id], latest=True)
    assert store.count("default", latest=True) == 16


@pytest.mark.parametrize("waited_for", [1, 2])
def test_a_rebuild_brings_what_took_long_to_write(
    library: Services, monkeypatch: pytest.MonkeyPatch, waited_for: int
) -> None:
    """A row has the time at which its writing began; it ends when the rebuild first, or next, waits for writers."""
    store, (record, vector) = _store(library), _another(library)
    monkeypatch.setattr(indexing, "CLOCK_MARGIN_MS", 0)
    gate = library.collections.gate
    switching = gate.switching
    began_ms = [time.time_ns() // 1_000_000 - 60_000]

    @contextlib.contextmanager
    def end_writing() -> Iterator[None]:
        if len(began_ms) == waited_for:
            store.write_elsewhere("default", record, vector, at_ms=began_ms[-1])
        with switching():
            yield
        began_ms.append(time.time_ns() // 1_000_000)
        time.sleep(0.005)

    monkeypatch.setattr(gate, "switching", end_writing)
    library.indexing.rebuild("default")
    assert store.get("default", [record.image_id], latest=True)


def test_a_rebuild_brings_what_came_between_its_last_look_and_the_switch(
    library: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, (record, vector) = _store(library), _another(library)
    point = store.point
    deleted, *_ = (one.image_id for records, _ in store.iterate("default") for one in records)

    def written_before(alias: str, name: str, **options: bool) -> None:
        store.write_elsewhere("default", record, vector, at_ms=time.time_ns() // 1_000_000 - 1)
        time.sleep(0.005)
        point(alias, name, **options)
        # In the new collection only: it is not brought again from the old one.
        store.delete("default", [deleted])

    monkeypatch.setattr(store, "point", written_before)
    library.indexing.rebuild("default")
    assert store.get("default", [record.image_id], latest=True)
    assert not store.get("default", [deleted], latest=True)
    assert store.count("default", latest=True) == 15


def test_a_rebuild_that_is_overtaken_after_its_switch_says_so(
    library: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = replace(library.settings.library, data_dir=str(tmp_path / "elsewhere"))
    elsewhere = replace(library, settings=replace(library.settings, library=home))
    elsewhere.indexing._grace_s = 0
    point = library.store.point

    def rebuilt_after(alias: str, name: str, **options: bool) -> None:
        monkeypatch.undo()
        point(alias, name, **options)
        elsewhere.indexing.rebuild("default", projection="random:8")

    monkeypatch.setattr(library.store, "point", rebuilt_after)
    with pytest.raises(Conflict, match="rebuilt, and then again by another machine"):
        library.indexing.rebuild("default", projection="random:6")
    assert library.collections.spec("default").dim == 8
    assert library.store.count("default", latest=True) == 15


def test_a_rebuild_whose_number_another_machine_takes_is_given_up(
    library: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = library.store.create_collection

    def taken(name: str, spec: CollectionSpec) -> None:
        create(name, spec)
        create(name, spec)

    monkeypatch.setattr(library.store, "create_collection", taken)
    with pytest.raises(Conflict, match="rebuilt on another machine meanwhile"):
        library.indexing.rebuild("default")


@pytest.mark.parametrize("is_seen", [True, False], ids=["takes our half for a leftover", "began at the same moment"])
@pytest.mark.parametrize("is_dropped", [True, False], ids=["old one dropped", "old one still there"])
def test_a_rebuild_that_another_machine_overtakes_is_given_up(
    library: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_seen: bool, is_dropped: bool
) -> None:
    store, (record, vector) = _store(library), _another(library)
    home = replace(library.settings.library, data_dir=str(tmp_path / "elsewhere"))
    elsewhere = replace(library, settings=replace(library.settings, library=home))
    elsewhere.indexing._grace_s = 0
    build_index, drop = store.build_index, store.drop_collection

    def rebuilt_meanwhile(name: str) -> None:
        build_index(name)
        with monkeypatch.context() as patched:
            patched.setattr(store, "build_index", build_index)
            if not is_seen:
                patched.setattr(elsewhere.collections, "leftovers", lambda _name: [])
            if not is_dropped:
                patched.setattr(store, "drop_collection", lambda one: None if one == "default__1" else drop(one))
            elsewhere.indexing.rebuild("default", projection="random:8")
        store.upsert("default", [record], vector[:, :8])

    monkeypatch.setattr(store, "build_index", rebuilt_meanwhile)
    with pytest.raises(Conflict, match=r"rebuilt on another machine meanwhile.*nothing is lost"):
        library.indexing.rebuild("default", projection="random:6")
    monkeypatch.undo()
    assert library.collections.spec("default").dim == 8
    assert store.count("default", latest=True) == 16
    library.indexing.rebuild("default")
    assert len(store.list_collections()) == 1


def test_a_bulk_run_keeps_what_was_said_elsewhere_of_a_new_picture(library: Services, tmp_path: Path) -> None:
    store, (_, vector) = _store(library), _another(library)
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "new.jpg").write_bytes(jpeg(draw((9, 99, 199), mark=4)))
    prepared = library.preparer.prepare((folder / "new.jpg").read_bytes(), shortest_px=32)
    store.write_elsewhere("default", replace(prepared.record, title="said elsewhere"), vector)
    library.ingest.run(Source(folder), "default")
    record = store.get("default", [prepared.record.image_id])[prepared.record.image_id]
    assert (record.title, record.sources) == ("said elsewhere", ("new.jpg",))


def test_a_bulk_run_keeps_what_was_said_elsewhere_of_a_known_picture(
    library: Services, gallery: Path, tmp_path: Path
) -> None:
    store = _store(library)
    records, vectors = next(store.iterate("default"))
    store.write_elsewhere("default", replace(records[0], title="said elsewhere"), vectors[:1])
    folder = tmp_path / "again"
    folder.mkdir()
    shutil.copy(gallery / records[0].source_name, folder / "again.jpg")
    library.ingest.run(Source(folder), "default")
    record = store.get("default", [records[0].image_id])[records[0].image_id]
    assert (record.title, record.sources[1:]) == ("said elsewhere", ("again.jpg",))
