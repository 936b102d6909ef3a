"""Features taken away and brought in elsewhere: what is there so far, and pictures found again by name and content."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import image_search.datasets.hdf5 as hdf5
from image_search.embedding.projection import normalise
from image_search.errors import CollectionNotFound, InvalidInput
from image_search.fingerprint import content_hash
from image_search.interfaces import FloatArray
from image_search.services.exchanging.finding import PictureFinder
from image_search.services.scanning import Candidate, Source
from image_search.storage.keys import original_key, thumbnail_key, vector_key
from image_search.types import ImageRecord, ShardInfo
from image_search.wiring import Services
from tests.support import MEAN_COLOUR_MODEL, draw, jpeg
from tests.unit.test_stages_and_transfer import elsewhere, ids_of


@pytest.fixture
def projected(services: Services, gallery: Path) -> Services:
    """A library of 15 pictures of a bulk run and one that was inserted alone, with a projection."""
    services.indexing._grace_s = 0
    services.ingest.run(Source(gallery), "default")
    services.indexing.rebuild("default", projection="random:8")
    services.library.insert("default", jpeg(draw((200, 200, 20), mark=4)), source_name="alone.jpg")
    return services


def features_in(path: Path) -> dict[str, FloatArray]:
    return {r.image_id: v for records, rows in hdf5.read_vector_shard(path) for r, v in zip(records, rows, strict=True)}


def test_features_are_the_raw_vectors_of_bulk_runs_and_single_inserts(projected: Services, tmp_path: Path) -> None:
    report = projected.transfer.export_features("default", tmp_path / "so-far.h5")
    assert (report.images, report.dim, report.projection_id, report.lost) == (16, 48, "none", ())
    found = features_in(tmp_path / "so-far.h5")
    assert found.keys() == ids_of(projected)
    plain = projected.provider.plain
    for image_id, raw in found.items():
        image = projected.preparer.decode(projected.images.get(original_key(image_id)), plain.shortest_px).image
        again = plain.embed_raw(plain.preprocess([image]))
        assert normalise(raw[None]) == pytest.approx(normalise(again), abs=2e-3)


def test_features_need_no_network(projected: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> object:
        raise AssertionError("the network is used")

    monkeypatch.setattr(projected.provider, "get", fails)
    assert projected.transfer.export_features("default", tmp_path / "so-far.h5").images == 16


def test_what_was_deleted_stays_away_and_what_was_edited_is_as_it_is_now(projected: Services, tmp_path: Path) -> None:
    gone, edited = sorted(ids_of(projected))[:2]
    projected.library.delete("default", [gone])
    record = projected.store.get("default", [edited])[edited]
    projected.store.update("default", [replace(record, title="Edited")])
    projected.transfer.export_features("default", tmp_path / "so-far.h5")
    records = {r.image_id: r for rs, _ in hdf5.read_vector_shard(tmp_path / "so-far.h5") for r in rs}
    assert gone not in records
    assert records[edited].title == "Edited"


@pytest.mark.parametrize("damage", [None, b"", b"odd", b"four"])
def test_a_vector_that_is_gone_or_damaged_is_told(projected: Services, tmp_path: Path, damage: bytes | None) -> None:
    (alone,) = (r.image_id for rs, _ in projected.store.iterate("default") for r in rs if r.source_name == "alone.jpg")
    key = vector_key(alone, MEAN_COLOUR_MODEL)
    if damage is None:
        projected.images.delete(key)
    else:
        projected.images.put(key, damage, "application/octet-stream")
    report = projected.transfer.export_features("default", tmp_path / "so-far.h5")
    assert report.images == 15
    assert [(f.path, f.reason) for f in report.lost] == [("alone.jpg", "no raw vector of it is kept")]


def test_what_a_bulk_run_commits_while_features_are_read_is_whole(
    projected: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    for mark in range(4):
        (more / f"late_{mark}.jpg").write_bytes(jpeg(draw((9, 9, 99), mark=mark)))
    iterate = projected.store.iterate

    def first_another_ingest(*arguments: object, **named: object) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        monkeypatch.undo()
        projected.ingest.run(Source(more), "default")
        yield from iterate(*arguments, **named)  # type: ignore[arg-type]

    # After the archive was read, before the collection is.
    monkeypatch.setattr(projected.store, "iterate", first_another_ingest)
    report = projected.transfer.export_features("default", tmp_path / "so-far.h5")
    assert (report.images, report.lost) == (20, ())
    assert features_in(tmp_path / "so-far.h5").keys() == ids_of(projected)


def test_what_waits_for_index_is_among_them(services: Services, gallery: Path, tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound, match="ingest some pictures first"):
        services.transfer.export_features("default", tmp_path / "so-far.h5")
    services.stages.preprocess(Source(gallery), services.staged_pictures)
    staged = services.staged_vectors(MEAN_COLOUR_MODEL)
    archive = services.archive_for(MEAN_COLOUR_MODEL)
    services.stages.embed(services.staged_pictures, staged, services.provider.get("none"), archive, batch_size=4)
    assert services.transfer.export_features("default", tmp_path / "so-far.h5").images == 15
    # Some of them are in the collection already: each comes once.
    services.ingest.run(Source(gallery / "red"), "default")
    assert services.transfer.export_features("default", tmp_path / "so-far.h5").images == 15


def test_where_nothing_is_there_yet_an_older_file_stays(services: Services, tmp_path: Path) -> None:
    services.collections.open_or_create("default")
    older = tmp_path / "so-far.h5"
    services.transfer.export("default", older)
    before = older.read_bytes()
    with pytest.raises(InvalidInput, match="no raw vectors yet"):
        services.transfer.export_features("default", older)
    assert older.read_bytes() == before
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(InvalidInput, match="is no export"):
        services.transfer.export_features("default", tmp_path / "photo.jpg")
    with pytest.raises(InvalidInput, match="no regular file"):
        services.transfer.export_features("default", tmp_path)


@pytest.fixture
def taken_away(projected: Services, gallery: Path, tmp_path: Path) -> Path:
    """The features' file; the pictures lie under another folder now, one level deeper."""
    projected.transfer.export_features("default", tmp_path / "so-far.h5")
    (tmp_path / "new/base").mkdir(parents=True)
    shutil.move(gallery, tmp_path / "new/base/pictures")
    return tmp_path / "so-far.h5"


def test_pictures_are_found_under_a_new_base(projected: Services, taken_away: Path, tmp_path: Path) -> None:
    other = elsewhere(projected, tmp_path)
    base = Source(tmp_path / "new")
    report = other.transfer.import_shards("default", taken_away, pictures=base)
    assert (report.added, report.pictures, report.without_picture) == (16, 15, 1)
    assert [f.path for f in report.not_found] == ["alone.jpg"]
    assert "no file of this name" in report.not_found[0].reason
    for image_id in ids_of(projected):
        record = other.library.get("default", image_id)
        if record.source_name != "alone.jpg":
            assert other.library.original(image_id) == projected.library.original(image_id)
            assert other.images.exists(thumbnail_key(image_id))
    # Again, with the picture that was missing: it is found, and nothing is done twice.
    (tmp_path / "new/alone.jpg").write_bytes(jpeg(draw((200, 200, 20), mark=4)))
    report = other.transfer.import_shards("default", taken_away, pictures=base)
    assert (report.added, report.unchanged, report.pictures, report.not_found) == (0, 16, 1, ())


def test_two_imports_at_once_bring_each_picture_once(projected: Services, taken_away: Path, tmp_path: Path) -> None:
    other = elsewhere(projected, tmp_path)
    other.collections.open_or_create("default")
    base = Source(tmp_path / "new")
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(other.transfer.import_shards, "default", taken_away, pictures=base) for _ in range(2)]
        reports = [run.result() for run in runs]
    assert sum(report.added for report in reports) == 16
    assert {len(report.not_found) for report in reports} == {1}
    assert ids_of(other) == ids_of(projected)
    assert sum(other.images.exists(original_key(image_id)) for image_id in ids_of(other)) == 15


def test_a_name_alone_is_no_picture(projected: Services, taken_away: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new/base/pictures"
    (folder / "red/red_0.jpg").write_bytes(jpeg(draw((1, 2, 3))))
    (folder / "red/red_1.jpg").write_bytes(b"")
    (folder / "red/red_2.jpg").rename(folder / "red/renamed.jpg")
    # The same content under a folder of another name, beside a file of that name with other content.
    (folder / "aside").mkdir()
    shutil.copy(folder / "red/red_3.jpg", folder / "aside/red_3.jpg")
    (folder / "red/red_3.jpg").write_bytes(jpeg(draw((3, 2, 1))))
    other = elsewhere(projected, tmp_path)
    report = other.transfer.import_shards("default", taken_away, pictures=Source(folder))
    assert (report.added, report.pictures) == (16, 12)
    reasons = {failure.path: failure.reason for failure in report.not_found}
    assert reasons.keys() == {"red/red_0.jpg", "red/red_1.jpg", "red/red_2.jpg", "alone.jpg"}
    assert "other bytes" in reasons["red/red_0.jpg"]
    assert reasons["red/red_1.jpg"] == "the file is empty"
    assert "no file of this name" in reasons["red/red_2.jpg"]


def test_names_in_a_file_of_somebody_else_s_lead_out_of_no_folder(services: Services, tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(jpeg(draw((250, 0, 0))))
    from image_search.fingerprint import content_hash

    image_id = content_hash(secret.read_bytes())
    names = ("../secret.jpg", str(secret), "sub/../../secret.jpg", "", "/", "..")
    record = ImageRecord(image_id, f"originals/{image_id[:2]}/{image_id}", (9, 9), names)
    info = ShardInfo(MEAN_COLOUR_MODEL, "none", 48, 1)
    hdf5.write_vector_shard(tmp_path / "hostile.h5", info, [([record], np.ones((1, 48), np.float32))])
    (tmp_path / "empty").mkdir()
    report = services.transfer.import_shards("default", tmp_path / "hostile.h5", pictures=Source(tmp_path / "empty"))
    assert (report.added, report.pictures, len(report.not_found)) == (1, 0, 1)
    assert not services.images.exists(record.object_key)


def test_a_folder_that_is_none_is_refused_before_anything_is_made(services: Services, tmp_path: Path) -> None:
    info = ShardInfo(MEAN_COLOUR_MODEL, "none", 48, 0)
    hdf5.write_vector_shard(tmp_path / "empty.h5", info, [])
    with pytest.raises(InvalidInput, match="does not exist"):
        services.transfer.import_shards("default", tmp_path / "empty.h5", pictures=Source(tmp_path / "nowhere"))
    assert services.collections.names() == []


def test_files_of_one_name_are_read_once_each(
    projected: Services, taken_away: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thousand files called image_0001.jpg must not be hashed two thousand times each."""
    from image_search.services.exchanging import finding

    folder = tmp_path / "flat"
    records = []
    for number in range(12):
        data = jpeg(draw((number * 20, 10, 10), mark=number))
        (folder / f"class_{number}").mkdir(parents=True)
        (folder / f"class_{number}/image.jpg").write_bytes(data)
        image_id = finding.content_hash(data)
        records.append(ImageRecord(image_id, f"originals/{image_id[:2]}/{image_id}", (96, 64), ("image.jpg",)))
    calls = []
    monkeypatch.setattr(finding, "content_hash", lambda data, real=finding.content_hash: calls.append(1) or real(data))
    finder = finding.PictureFinder(Source(folder), projected.preparer)
    assert all(not isinstance(finder.find(record), str) for record in reversed(records))
    # Each is read once to be looked at, and once more when it is taken.
    assert len(calls) <= 2 * 12


def test_threads_that_look_at_once_find_what_one_finds(projected: Services, tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    records = []
    for number in range(30):
        data = jpeg(draw((number * 8, 10, 10), mark=number))
        (folder / f"class_{number}").mkdir(parents=True)
        (folder / f"class_{number}/image.jpg").write_bytes(data)
        image_id = content_hash(data)
        records.append(ImageRecord(image_id, f"originals/{image_id[:2]}/{image_id}", (96, 64), ("image.jpg",)))
    all_look = threading.Barrier(8, timeout=60)

    class Slow:
        """The preparer, held until eight threads read at once."""

        def __init__(self) -> None:
            self.reads = itertools.count()

        def read(self, candidate: Candidate) -> bytes:
            if next(self.reads) < 8:
                all_look.wait()
            return projected.preparer.read(candidate)

        def __getattr__(self, name: str) -> object:
            return getattr(projected.preparer, name)

    finder = PictureFinder(Source(folder), Slow())
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(finder.find, records))
    assert [one for one in found if isinstance(one, str)] == []
