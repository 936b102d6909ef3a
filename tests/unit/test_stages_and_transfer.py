"""The three stages, export and import: what is done twice, what is refused, what is brought back."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import image_search.datasets.hdf5 as hdf5
from image_search.errors import DatasetFormatError, InvalidInput, ModelMismatch
from image_search.fingerprint import content_hash
from image_search.metadata.words import Words
from image_search.services.ingesting.stages import StageReport, shard_files
from image_search.services.scanning import Source
from image_search.services.searching.query import Query
from image_search.storage.local_store import LocalImageStore
from image_search.types import ImageRecord, SearchParams, ShardInfo
from image_search.vectors.memory_store import MemoryVectorStore
from image_search.wiring import Services
from tests.support import MEAN_COLOUR_MODEL, draw, interrupt, jpeg


def stage(services: Services, folder: Path) -> tuple[StageReport, StageReport, int]:
    """Reports of preprocess and embed, and how many rows index added."""
    pictures = services.stages.preprocess(Source(folder), services.staged_pictures)
    vectors = services.stages.embed(
        services.staged_pictures,
        services.staged_vectors(services.provider.model_id),
        services.provider.get("none"),
        services.archive_for(MEAN_COLOUR_MODEL),
        batch_size=4,
    )
    shards = shard_files(services.staged_vectors(services.provider.model_id))
    return pictures, vectors, services.indexing.add_shards("default", shards).added if shards else 0


def ids_of(services: Services) -> set[str]:
    return {record.image_id for records, _ in services.store.iterate("default") for record in records}


def elsewhere(services: Services, tmp_path: Path) -> Services:
    """Another library on the same machine."""
    library = replace(services.settings.library, data_dir=str(tmp_path / "other"))
    settings = replace(services.settings, library=library)
    settings.data_dir.mkdir()
    images = LocalImageStore(settings.data_dir / "images")
    return replace(services, settings=settings, store=MemoryVectorStore(), images=images)


def test_stages_equal_a_direct_ingest(services: Services, gallery: Path, tmp_path: Path) -> None:
    pictures, vectors, added = stage(services, gallery)
    assert (pictures.added, vectors.added, added) == (15, 15, 15)
    direct = elsewhere(services, tmp_path)
    direct.ingest.run(Source(gallery), "default")
    query = jpeg(draw((215, 35, 35), mark=2))
    found = [s.search.search("default", Query(image=query), SearchParams(top_k=3)).hits for s in (services, direct)]
    assert [hit.hit.record.image_id for hit in found[0]] == [hit.hit.record.image_id for hit in found[1]]


def test_repeated_stages_do_nothing_twice_and_bring_nothing_deleted_back(services: Services, gallery: Path) -> None:
    stage(services, gallery)
    gone = min(ids_of(services))
    services.library.delete("default", [gone])
    for mark in range(3):
        (gallery / f"new_{mark}.jpg").write_bytes(jpeg(draw((5, 5, 5 + mark), mark=mark)))
    calls = services.provider.plain.calls
    pictures, vectors, added = stage(services, gallery)
    assert (pictures.added, pictures.unchanged) == (3, 15)
    assert (vectors.added, vectors.unchanged, added) == (3, 15, 3)
    assert services.provider.plain.calls == calls + 1
    assert gone not in ids_of(services)


def test_shards_that_come_again_leave_words_alone(services: Services, gallery: Path) -> None:
    stage(services, gallery)
    record = next(iter(services.store.get("default", [min(ids_of(services))]).values()))
    services.store.update("default", [replace(record, title="Edited", sources=(*record.sources, "second name"))])
    (shard,) = services.archive_for(MEAN_COLOUR_MODEL).folder.glob("adopted-*.h5")
    report = services.indexing.add_shards("default", [shard])
    assert report.added == 0
    after = services.store.get("default", [record.image_id])[record.image_id]
    assert (after.title, after.sources[-1]) == ("Edited", "second name")


def test_an_export_makes_the_same_library_elsewhere(services: Services, gallery: Path, tmp_path: Path) -> None:
    services.ingest.run(Source(gallery), "default")
    services.indexing._grace_s = 0
    services.indexing.rebuild("default", projection="random:8")
    assert services.transfer.export("default", tmp_path / "out.h5").images == 15
    other = elsewhere(services, tmp_path)
    report = other.transfer.import_shards("default", tmp_path / "out.h5")
    assert (report.added, report.unchanged, report.without_picture) == (15, 0, 15)
    assert other.collections.spec("default") == services.collections.spec("default")
    again = other.transfer.import_shards("default", tmp_path / "out.h5")
    assert (again.added, again.unchanged) == (0, 15)


@pytest.mark.parametrize("way", ["ingest", "insert"])
def test_pictures_imported_without_files_get_them(services: Services, gallery: Path, tmp_path: Path, way: str) -> None:
    services.ingest.run(Source(gallery), "default")
    services.transfer.export("default", tmp_path / "out.h5")
    other = elsewhere(services, tmp_path)
    other.transfer.import_shards("default", tmp_path / "out.h5")
    if way == "ingest":
        assert other.ingest.run(Source(gallery), "default").unchanged == 15
    else:
        for path in gallery.rglob("*.jpg"):
            assert other.library.insert("default", path.read_bytes()).status == "duplicate"
    for image_id in ids_of(services):
        assert other.library.original(image_id) == services.library.original(image_id)
        assert other.library.thumbnail(image_id)


def test_a_shard_that_is_not_there_makes_no_collection(services: Services, tmp_path: Path) -> None:
    with pytest.raises(DatasetFormatError, match=r"none\.h5: no such file"):
        services.indexing.add_shards("new", [tmp_path / "none.h5"])
    assert not services.collections.exists("new")


def test_vectors_of_another_length_are_refused_before_anything_is_kept(services: Services, tmp_path: Path) -> None:
    record = ImageRecord("0" * 64, "originals/00/" + "0" * 64, (9, 9))
    info = ShardInfo(MEAN_COLOUR_MODEL, "none", 10, 1)
    hdf5.write_vector_shard(tmp_path / "bad.h5", info, [([record], np.ones((1, 10), np.float32))])
    with pytest.raises(ModelMismatch, match="10 numbers"):
        services.transfer.import_shards("default", tmp_path / "bad.h5")
    assert services.collections.names() == []
    with pytest.raises(ModelMismatch, match="10 numbers"):
        services.indexing.add_shards("default", [tmp_path / "bad.h5"])
    assert services.archive_for(MEAN_COLOUR_MODEL).folder.exists() is False


def test_vectors_of_another_model_are_refused(services: Services, tmp_path: Path) -> None:
    hdf5.write_vector_shard(tmp_path / "bad.h5", ShardInfo("other@123", "none", 48, 0), [])
    with pytest.raises(ModelMismatch, match="other@123"):
        services.transfer.import_shards("default", tmp_path / "bad.h5")


def test_a_matrix_with_its_files(services: Services, gallery: Path, tmp_path: Path) -> None:
    files = sorted(gallery.rglob("*.jpg"))
    embedder = services.provider.plain
    matrix = np.stack([embedder.embed_raw(embedder.preprocess([draw((220, 30, 30))]))[0] for _ in files])
    matrix[3] = 0
    np.save(tmp_path / "m.npy", matrix)
    (tmp_path / "list.txt").write_text("\n".join(map(str, files)))
    report = services.transfer.import_matrix("default", tmp_path / "m.npy", Source(Path(), tmp_path / "list.txt"))
    assert (report.added, report.without_picture) == (14, 0)
    assert "zero" in report.failed[0].reason
    np.save(tmp_path / "short.npy", matrix[:4])
    with pytest.raises(DatasetFormatError, match="15 files are listed"):
        services.transfer.import_matrix("default", tmp_path / "short.npy", Source(Path(), tmp_path / "list.txt"))


def test_an_export_replaces_no_device(services: Services, gallery: Path, tmp_path: Path) -> None:
    services.ingest.run(Source(gallery), "default")
    with pytest.raises(InvalidInput, match="no regular file"):
        services.transfer.export("default", tmp_path)


@pytest.mark.parametrize("way", ["shards", "export"])
def test_what_others_write_meanwhile_is_kept(
    services: Services, gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    stage(services, gallery)
    (shard,) = services.archive_for(MEAN_COLOUR_MODEL).folder.glob("adopted-*.h5")
    services.transfer.export("default", tmp_path / "out.h5")
    data = (gallery / "red/red_0.jpg").read_bytes()
    other = elsewhere(services, tmp_path)
    other.collections.open_or_create("default")
    insert = threading.Thread(
        target=other.library.insert, args=("default", data), kwargs={"words": Words(title="mine")}
    )
    interrupt(monkeypatch, other.store, "upsert", insert)
    if way == "export":
        other.transfer.import_shards("default", tmp_path / "out.h5")
    else:
        other.indexing.add_shards("default", [shard])
    insert.join()
    assert other.library.get("default", content_hash(data)).title == "mine"


def test_an_export_replaces_an_export_and_nothing_else(services: Services, gallery: Path, tmp_path: Path) -> None:
    services.ingest.run(Source(gallery), "default")
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"precious")
    with pytest.raises(InvalidInput, match="is no export"):
        services.transfer.export("default", path)
    assert path.read_bytes() == b"precious"
    services.transfer.export("default", tmp_path / "a.h5")
    assert services.transfer.export("default", tmp_path / "a.h5").images == 15
