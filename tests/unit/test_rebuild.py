"""A collection made anew beside the old one: nothing that happens meanwhile is lost or undone."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from image_search.errors import Conflict, EmbedderError, InvalidParameter
from image_search.services.jobs import JobRunner, JobStopped
from image_search.services.progress import Progress, no_progress
from image_search.services.scanning import Source
from image_search.services.searching.query import Query
from image_search.storage.keys import original_key, vector_key
from image_search.types import ImageRecord, Job, SearchParams
from image_search.wiring import Services
from tests.support import draw, jpeg


@pytest.fixture
def library(services: Services, gallery: Path) -> Services:
    """Fifteen pictures without a projection, and rebuilds that do not wait after the switch."""
    services.ingest.run(Source(gallery), "default")
    services.indexing._grace_s = 0
    return services


def ids_of(services: Services) -> set[str]:
    return {record.image_id for records, _ in services.store.iterate("default") for record in records}


def test_a_projection_changes_and_goes_back(library: Services) -> None:
    before = ids_of(library)
    report = library.indexing.rebuild("default", projection="random:8")
    assert (report.dim, report.images) == (8, 15)
    assert report.projection_id.startswith("random:8@")
    answer = library.search.search("default", Query(image=jpeg(draw((220, 30, 30), mark=2))), SearchParams(top_k=1))
    assert answer.hits[0].match == "identical"
    assert answer.hits[0].hit.score == pytest.approx(1, abs=1e-3)
    again = library.indexing.rebuild("default", projection="none")
    assert (again.dim, again.projection_id) == (48, "none")
    assert ids_of(library) == before
    assert library.store.list_collections() == ["default__3"]


def test_a_fitted_pca_keeps_the_neighbours(library: Services, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    for mark in range(60):
        (folder / f"{mark}.jpg").write_bytes(jpeg(draw((mark * 4, 255 - mark * 4, 90), mark=mark)))
    library.ingest.run(Source(folder), "default")
    query = jpeg(draw((100, 150, 90), mark=7))
    plain = library.search.search("default", Query(image=query), SearchParams(top_k=3))
    library.indexing.rebuild("default", projection="pca:4")
    projected = library.search.search("default", Query(image=query), SearchParams(top_k=10))
    assert plain.hits[0].hit.record.image_id in {hit.hit.record.image_id for hit in projected.hits}


def test_too_few_pictures_for_a_pca(library: Services) -> None:
    with pytest.raises(InvalidParameter, match="wants at least 80 pictures, the library has 15"):
        library.indexing.rebuild("default", projection="pca:8")
    assert library.collections.spec("default").projection_id == "none"


@pytest.mark.parametrize("projection", ["pca:1", "random:0", "umap:3", "random:1"])
def test_a_projection_that_is_none(library: Services, projection: str) -> None:
    with pytest.raises(InvalidParameter, match="must be none, pca:N or random:N"):
        library.indexing.rebuild("default", projection=projection)


def test_what_was_deleted_stays_deleted(library: Services) -> None:
    gone = min(ids_of(library))
    library.library.delete("default", [gone])
    library.indexing.rebuild("default", projection="random:8")
    library.indexing.rebuild("default", projection="random:4")
    assert gone not in ids_of(library)
    assert len(ids_of(library)) == 14


@pytest.mark.parametrize("start", ["none", "random:8"])
def test_writes_in_the_moment_of_the_switch(library: Services, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    """An insert and a delete that arrive while the switch is made wait for it and are in the new collection."""
    if start != "none":
        library.indexing.rebuild("default", projection=start)
    gone = min(ids_of(library))
    fresh = jpeg(draw((1, 2, 3), mark=9))
    writers = [
        threading.Thread(target=lambda: library.library.delete("default", [gone])),
        threading.Thread(target=lambda: library.library.insert("default", fresh, source_name="new")),
    ]
    _when_pointing(library, monkeypatch, lambda: [writer.start() for writer in writers])
    library.indexing.rebuild("default", projection="random:6")
    for writer in writers:
        writer.join()
    names = {record.source_name for records, _ in library.store.iterate("default") for record in records}
    assert gone not in ids_of(library)
    assert "new" in names
    assert len(ids_of(library)) == 15
    assert library.collections.spec("default").dim == 6


def test_a_picture_inserted_alone_is_rebuilt_from_its_kept_vector(library: Services) -> None:
    outcome = library.library.insert("default", jpeg(draw((9, 99, 199), mark=4)))
    library.indexing.rebuild("default", projection="random:8")
    calls = library.provider.plain.calls
    library.indexing.rebuild("default", projection="random:7")
    assert library.provider.plain.calls == calls, "nothing was embedded again"
    (vector,) = library.store.get_embeddings("default", [outcome.record.image_id]).values()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)


def test_a_stopped_rebuild_leaves_the_old_collection(library: Services) -> None:
    stop = threading.Event()
    stop.set()
    report = library.indexing.rebuild("default", projection="random:8", stop=stop)
    assert report.cancelled
    assert library.collections.spec("default").projection_id == "none"
    assert library.store.list_collections() == ["default__1"]


def test_a_job_says_that_it_was_stopped(library: Services) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(JobStopped):
        library.indexing.run_job({"collection": "default", "projection": "random:8"}, no_progress, stop)


def test_a_job_that_is_stopped_after_the_switch_has_done_its_work(
    library: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, point = threading.Event(), library.store.point

    def point_and_stop(alias: str, name: str) -> None:
        point(alias, name)
        stop.set()

    monkeypatch.setattr(library.store, "point", point_and_stop)
    library.indexing.run_job({"collection": "default", "projection": "random:8"}, no_progress, stop)
    assert library.collections.spec("default").dim == 8


def test_what_a_killed_rebuild_left_is_removed(library: Services) -> None:
    left = library.collections.create_beside("default", library.collections.new_spec("none"))
    library.store.upsert(left, *next(library.store.iterate("default")))
    library.indexing.rebuild("default", projection="random:8")
    assert library.store.list_collections() == ["default__3"]
    assert library.collections.spec("default").dim == 8


def test_a_bulk_run_follows_a_rebuild(library: Services, tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    for mark in range(200):
        (folder / f"{mark:03d}.jpg").write_bytes(jpeg(draw((mark, 255 - mark, 90), mark=mark)))
    rebuilt = threading.Event()

    def rebuild_once(_progress: object) -> None:
        if not rebuilt.is_set():
            rebuilt.set()
            library.indexing.rebuild("default", projection="random:8")

    report = library.ingest.run(Source(folder), "default", on_progress=rebuild_once)
    assert report.added == 200
    assert library.collections.spec("default").dim == 8
    assert len(ids_of(library)) == 215


def test_two_rebuilds_at_once_are_refused(library: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[BaseException] = []

    def another() -> None:
        with pytest.raises(Conflict, match="is being rebuilt") as caught:
            library.indexing.rebuild("default", projection="random:4")
        refused.append(caught.value)

    _when_pointing(library, monkeypatch, another)
    library.indexing.rebuild("default", projection="random:6")
    assert len(refused) == 1
    assert library.collections.spec("default").dim == 6


def test_a_lost_projection_is_mended_by_a_rebuild(library: Services) -> None:
    library.indexing.rebuild("default", projection="random:6")
    library.provider._projections.clear()
    with pytest.raises(EmbedderError, match="is missing"):
        library.search.search("default", Query(image=jpeg(draw((220, 30, 30), mark=2))), SearchParams())
    library.indexing.rebuild("default", projection="none")
    answer = library.search.search("default", Query(image=jpeg(draw((220, 30, 30), mark=2))), SearchParams())
    assert answer.hits[0].match == "identical"


def test_a_rebuild_gives_the_same_vectors_again(library: Services) -> None:
    before = {r.image_id: v for rs, vs in library.store.iterate("default") for r, v in zip(rs, vs, strict=True)}
    library.indexing.rebuild("default", projection="random:8")
    library.indexing.rebuild("default", projection="none")
    for records, vectors in library.store.iterate("default"):
        for record, vector in zip(records, vectors, strict=True):
            np.testing.assert_allclose(vector, before[record.image_id], atol=1e-6)


def test_rows_that_a_rebuild_has_just_written_are_not_embedded_again(library: Services) -> None:
    """The archive's shards are older than the rows: as after an edit, or a rebuild right after another."""
    for shard in library.archive_for(library.provider.model_id).shards():
        os.utime(shard, (0, 0))
    library.indexing.rebuild("default", projection="random:8")
    calls = library.provider.plain.calls
    library.indexing.rebuild("default", projection="random:6")
    assert library.provider.plain.calls == calls


def test_steady_writers_do_not_keep_a_switch_waiting(library: Services) -> None:
    gate = library.collections.gate
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            with gate.writing():
                ended.wait(0.005)

    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()

    def switch() -> None:
        with gate.switching():
            pass

    switched = threading.Thread(target=switch, daemon=True)
    switched.start()
    switched.join(20)
    got_in = not switched.is_alive()
    ended.set()
    for writer in writers:
        writer.join()
    assert got_in, "the switch was let in although writers kept coming"


@dataclass
class Half:
    """A library without shards, in which two pictures have lost their originals in different ways."""

    services: Services
    missing: str
    broken: str
    originals: dict[str, bytes]
    told: list[Progress] = field(default_factory=list)

    def mend(self) -> None:
        for image_id, data in self.originals.items():
            self.services.images.put(original_key(image_id), data, "image/jpeg")

    @property
    def failures(self) -> dict[str, str]:
        told = [failure for progress in self.told for failure in progress.failures]
        assert len({failure.path for failure in told}) == len(told), "each is told once"
        return {failure.path: failure.reason for failure in told}


@pytest.fixture
def half(library: Services) -> Half:
    library.indexing.rebuild("default", projection="random:8")
    shutil.rmtree(library.settings.data_dir / "vectors")
    missing, broken, *_ = sorted(ids_of(library))
    originals = {image_id: library.images.get(original_key(image_id)) for image_id in (missing, broken)}
    library.images.delete(original_key(missing))
    library.images.put(original_key(broken), originals[broken][:300], "image/jpeg")
    return Half(library, missing, broken, originals)


@pytest.mark.parametrize("projection", ["random:6", "none", "pca:2"])
def test_a_rebuild_goes_through_everything_and_names_what_is_lost(
    half: Half, projection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if projection.startswith("pca"):
        # As many as a PCA wants: it is fitted on what there is.
        monkeypatch.setattr(half.services.store, "count", lambda *_: 20)
    before = half.services.store.get("default", sorted(ids_of(half.services)))
    folder = half.services.store.list_collections()
    with pytest.raises(Conflict, match=r"2 of (15|20) pictures .* nothing was changed"):
        half.services.indexing.rebuild("default", projection=projection, on_progress=half.told.append)
    assert half.failures.keys() == {half.missing, half.broken}
    name = before[half.missing].source_name
    assert (
        half.failures[half.missing] == f"{name}: no raw vector of it is kept, and there is no stored file for that id"
    )
    assert "no raw vector of it is kept" in half.failures[half.broken]
    assert (half.told[-1].done, half.told[-1].failed) == (15, 2)
    assert half.services.store.list_collections() == folder
    assert half.services.collections.spec("default").dim == 8
    assert half.services.store.get("default", list(before)) == before


def test_with_the_originals_back_the_rebuild_comes_to_its_end(half: Half) -> None:
    with pytest.raises(Conflict):
        half.services.indexing.rebuild("default", projection="random:6")
    half.mend()
    report = half.services.indexing.rebuild("default", projection="random:6", on_progress=half.told.append)
    assert (report.images, report.dim, half.failures) == (15, 6, {})


def test_without_the_lost_pictures_the_rebuild_comes_to_its_end(half: Half) -> None:
    half.services.library.delete("default", [half.missing, half.broken])
    assert half.services.indexing.rebuild("default", projection="random:6").images == 13


def test_another_index_needs_no_raw_vectors(half: Half) -> None:
    assert half.services.indexing.rebuild("default").images == 15


def test_a_job_that_failed_for_lost_pictures_is_tried_again(half: Half) -> None:
    services = half.services
    runner = JobRunner(services.jobs, {"rebuild": services.indexing.run_job}, poll_s=0.01)
    runner.start()

    def ended(job_id: str) -> Job:
        deadline_s = time.monotonic() + 20
        while (job := services.jobs.get(job_id)).state in ("queued", "running"):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        return job

    try:
        first = ended(services.jobs.create("rebuild", {"collection": "default", "projection": "random:6"}).job_id)
        assert (first.state, first.done, first.failed) == ("failed", 15, 2)
        assert "2 of 15 pictures" in first.error
        assert {f.item for f in services.jobs.failures(first.job_id)} == {half.missing, half.broken}
        half.mend()
        second = ended(services.jobs.retry(first.job_id).job_id)
        assert (second.state, second.done, second.failed) == ("done", 15, 0)
        assert services.jobs.failures(second.job_id) == []
    finally:
        runner.close()
    assert services.collections.spec("default").dim == 6


def test_what_is_deleted_while_it_is_looked_for_is_not_lost(half: Half, monkeypatch: pytest.MonkeyPatch) -> None:
    half.services.images.put(original_key(half.broken), half.originals[half.broken], "image/jpeg")
    real = half.services.images.get

    def get(key: str) -> bytes:
        if key == original_key(half.missing):
            half.services.library.delete("default", [half.missing], permanently=True)
        return real(key)

    monkeypatch.setattr(half.services.images, "get", get)
    report = half.services.indexing.rebuild("default", projection="random:6", on_progress=half.told.append)
    assert (report.images, half.failures) == (14, {})


def test_a_lost_picture_that_comes_in_meanwhile_is_named_too(
    library: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import of projected vectors without pictures, while the collection is rebuilt from another projection."""
    library.indexing.rebuild("default", projection="random:8")
    real = library.store.build_index
    stranger = ImageRecord("f" * 64, original_key("f" * 64), (9, 9))

    def build_index(name: str) -> None:
        library.store.upsert("default", [stranger], np.ones((1, 8), np.float32))
        real(name)

    monkeypatch.setattr(library.store, "build_index", build_index)
    told: list[Progress] = []
    with pytest.raises(Conflict, match="1 of 15 pictures"):
        library.indexing.rebuild("default", projection="random:6", on_progress=told.append)
    assert [failure.path for progress in told for failure in progress.failures] == [stranger.image_id]
    assert library.collections.spec("default").dim == 8
    assert stranger.image_id in ids_of(library)


def test_a_kept_vector_that_is_damaged_is_made_again(library: Services) -> None:
    library.indexing.rebuild("default", projection="random:8")
    outcome = library.library.insert("default", jpeg(draw((9, 99, 199), mark=4)))
    (before,) = library.store.get_embeddings("default", [outcome.record.image_id]).values()
    library.images.put(vector_key(outcome.record.image_id, library.provider.model_id), b"half", "x")
    library.indexing.rebuild("default", projection="none")
    library.indexing.rebuild("default", projection="random:8")
    (after,) = library.store.get_embeddings("default", [outcome.record.image_id]).values()
    assert np.linalg.norm(after) == pytest.approx(np.linalg.norm(before), abs=1e-3)
    assert len(ids_of(library)) == 16


def _when_pointing(services: Services, monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    real = services.store.point

    def point(alias: str, name: str) -> None:
        action()
        real(alias, name)

    monkeypatch.setattr(services.store, "point", point)
