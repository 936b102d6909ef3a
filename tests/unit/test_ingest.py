"""Bulk ingest over stand-ins: what is counted, what is kept, what a second run does."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from image_search.errors import ImageStoreError, InvalidInput
from image_search.fingerprint import content_hash
from image_search.metadata.jsonl import read_jsonl
from image_search.metadata.words import Words
from image_search.services.gate import PictureLocks
from image_search.services.library.changes import Changes
from image_search.services.progress import Progress
from image_search.services.scanning import Source
from image_search.services.searching.query import Query
from image_search.types import SearchParams
from image_search.wiring import Services
from tests.support import draw, interrupt, jpeg, write_gallery


def test_red_finds_red(services: Services, gallery: Path) -> None:
    report = services.ingest.run(Source(gallery), "default")
    assert (report.added, report.unchanged, report.duplicates, report.failed) == (15, 0, 0, ())
    answer = services.search.search("default", Query(image=jpeg(draw((210, 40, 35), mark=3))), SearchParams(top_k=5))
    assert [hit.hit.record.source_name.split("/")[0] for hit in answer.hits] == ["red"] * 5
    assert [hit.rank for hit in answer.hits] == [1, 2, 3, 4, 5]
    assert answer.has_more


def test_a_second_run_reads_nothing_and_does_nothing_twice(services: Services, gallery: Path) -> None:
    services.ingest.run(Source(gallery), "default")
    embedded = services.provider.plain.calls
    again = services.ingest.run(Source(gallery), "default")
    assert (again.added, again.unchanged) == (0, 15)
    assert services.provider.plain.calls == embedded


def test_the_scan_cache_may_be_lost(services: Services, gallery: Path) -> None:
    services.ingest.run(Source(gallery), "default")
    for file in services.settings.data_dir.glob("scan.sqlite*"):
        file.unlink()
    again = services.ingest.run(Source(gallery), "default")
    assert (again.added, again.unchanged, again.duplicates) == (0, 15, 0)


def test_a_changed_file_is_a_new_picture(services: Services, gallery: Path) -> None:
    services.ingest.run(Source(gallery), "default")
    (gallery / "red/red_0.jpg").write_bytes(jpeg(draw((0, 0, 0), mark=1)))
    again = services.ingest.run(Source(gallery), "default")
    assert (again.added, again.unchanged) == (1, 14)


def test_a_deleted_picture_comes_back_only_when_it_is_ingested_again(services: Services, gallery: Path) -> None:
    services.ingest.run(Source(gallery), "default")
    (image_id,) = (r.image_id for rs, _ in services.store.iterate("default") for r in rs if "red_0" in r.source_name)
    assert services.library.delete("default", [image_id]) == 1
    again = services.ingest.run(Source(gallery), "default")
    assert (again.added, again.unchanged) == (1, 14)


def test_duplicates_grow_the_sources(services: Services, gallery: Path) -> None:
    copy = gallery / "copies" / "another name.jpg"
    copy.parent.mkdir()
    copy.write_bytes((gallery / "red/red_0.jpg").read_bytes())
    report = services.ingest.run(Source(gallery), "default")
    assert (report.added, report.duplicates) == (15, 1)
    sources = {r.sources for rs, _ in services.store.iterate("default") for r in rs}
    assert ("copies/another name.jpg", "red/red_0.jpg") in sources
    again = services.ingest.run(Source(gallery), "default")
    assert (again.unchanged, again.duplicates) == (16, 0)


def test_what_is_no_picture_is_listed_and_ends_nothing(services: Services, gallery: Path) -> None:
    whole = (gallery / "red/red_0.jpg").read_bytes()
    (gallery / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (gallery / "text.jpg").write_text("no picture")
    (gallery / "empty.jpg").write_bytes(b"")
    (gallery / "notes.txt").write_text("words")
    (gallery / "gone.jpg").symlink_to(gallery / "nowhere.jpg")
    (gallery / "写真 📷.jpg").write_bytes(jpeg(draw((9, 9, 9), mark=2)))
    report = services.ingest.run(Source(gallery), "default")
    assert report.added == 16
    reasons = {failure.path: failure.reason for failure in report.failed}
    assert set(reasons) == {"cut.jpg", "text.jpg", "empty.jpg", "notes.txt", "gone.jpg"}
    assert all(reasons.values())
    assert "cut short" in reasons["cut.jpg"]
    assert str(gallery) not in str(reasons)


def test_the_same_broken_bytes_twice_are_two_failures(services: Services, gallery: Path) -> None:
    whole = (gallery / "red/red_0.jpg").read_bytes()
    for name in ("cut_1.jpg", "cut_2.jpg"):
        (gallery / name).write_bytes(whole[: len(whole) // 2])
    report = services.ingest.run(Source(gallery), "default")
    assert (report.added, report.duplicates) == (15, 0)
    assert [failure.path for failure in report.failed] == ["cut_1.jpg", "cut_2.jpg"]


def test_a_list_of_files(services: Services, gallery: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("gallery/red/red_0.jpg\n\ngallery/nowhere.jpg\n" + str(gallery / "blue/blue_1.jpg") + "\n")
    report = services.ingest.run(Source(Path(), listed), "default")
    assert report.added == 2
    assert [failure.path for failure in report.failed] == ["gallery/nowhere.jpg"]


def test_no_folder_is_refused(services: Services, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        services.ingest.run(Source(tmp_path / "nowhere"), "default")


def test_words_come_from_metadata(services: Services, gallery: Path) -> None:
    (gallery / "metadata.jsonl").write_text(
        '{"filename": "red/red_0.jpg", "title": "A red <b>thing</b>", "tags": ["red", "disc"], "year": 2020}\n'
        '{"filename": "blue_1.jpg", "title": "By its name alone"}\n'
    )
    table = read_jsonl(gallery / "metadata.jsonl")
    report = services.ingest.run(Source(gallery), "default", metadata=table)
    assert report.failed == ()
    records = {r.source_name: r for rs, _ in services.store.iterate("default") for r in rs}
    assert records["red/red_0.jpg"].title == "A red thing"
    assert records["red/red_0.jpg"].tags == ("red", "disc")
    assert records["red/red_0.jpg"].fields == {"year": 2020}
    assert records["blue/blue_1.jpg"].title == "By its name alone"
    assert records["green/green_0.jpg"].title == ""


def test_metadata_that_comes_later_reaches_pictures_that_are_there(services: Services, gallery: Path) -> None:
    services.ingest.run(Source(gallery), "default")
    (gallery / "metadata.jsonl").write_text('{"filename": "red/red_0.jpg", "title": "Late"}\n')
    services.ingest.run(Source(gallery), "default", metadata=read_jsonl(gallery / "metadata.jsonl"))
    records = {r.source_name: r for rs, _ in services.store.iterate("default") for r in rs}
    assert records["red/red_0.jpg"].title == "Late"


@pytest.mark.parametrize("mode", ["copy", "hardlink", "reference"])
def test_originals_are_kept_as_asked(services: Services, gallery: Path, mode: str) -> None:
    services.ingest.run(Source(gallery), "default", originals=mode)
    for records, _ in services.store.iterate("default"):
        for record in records:
            data, content_type = services.library.original(record.image_id)
            assert data == (gallery / record.source_name).read_bytes()
            assert content_type == "image/jpeg"
    stored = [p for p in (services.settings.data_dir / "images" / "originals").rglob("*") if not p.is_dir()]
    assert {p.is_symlink() for p in stored} == {mode == "reference"}
    assert {p.stat().st_nlink for p in stored} == {2 if mode == "hardlink" else 1}


# What others write meanwhile


def test_a_run_over_a_known_folder_keeps_nobody_waiting(
    services: Services, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.ingest.run(Source(gallery), "default")
    held: list[object] = []
    holding = PictureLocks.holding

    def noting(self: PictureLocks, image_ids: Sequence[str]) -> Any:
        held.append(image_ids)
        return holding(self, image_ids)

    monkeypatch.setattr(PictureLocks, "holding", noting)
    assert services.ingest.run(Source(gallery), "default").unchanged == 15
    assert held == []
    (gallery / "new.jpg").write_bytes(jpeg(draw((0, 0, 0), mark=1)))
    services.ingest.run(Source(gallery), "default")
    assert held == [[content_hash((gallery / "new.jpg").read_bytes())]]


def test_an_edit_meanwhile_is_kept(services: Services, gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services.ingest.run(Source(gallery), "default")
    (image_id,) = (r.image_id for rs, _ in services.store.iterate("default") for r in rs if "red_0" in r.source_name)
    (gallery / "metadata.jsonl").write_text('{"filename": "red/red_0.jpg", "text": "told late"}\n')
    edit = threading.Thread(target=services.library.update, args=("default", image_id, Changes(title="mine")))
    interrupt(monkeypatch, services.store, "update", edit)
    services.ingest.run(Source(gallery), "default", metadata=read_jsonl(gallery / "metadata.jsonl"))
    edit.join()
    record = services.library.get("default", image_id)
    assert (record.title, record.text) == ("mine", "told late")


@pytest.mark.parametrize("when", ["before it is embedded", "while it is written"])
def test_an_insert_of_the_same_picture_meanwhile_is_kept(
    services: Services, gallery: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    services.collections.open_or_create("default")
    data = (gallery / "red/red_0.jpg").read_bytes()
    words = Words(title="mine", tags=("t",), fields={"a": 1})
    insert = threading.Thread(target=services.library.insert, args=("default", data), kwargs={"words": words})
    if when == "before it is embedded":
        interrupt(monkeypatch, services.provider.plain, "project", insert)
    else:
        interrupt(monkeypatch, services.store, "upsert", insert)
    report = services.ingest.run(Source(gallery), "default", originals="reference")
    insert.join()
    record = services.library.get("default", content_hash(data))
    assert (record.title, record.tags, record.fields) == ("mine", ("t",), {"a": 1})
    assert record.sources == ("red/red_0.jpg",)
    assert services.store.count("default") == 15
    first = when == "before it is embedded"
    assert (report.added, report.duplicates, report.failed) == ((14, 1, ()) if first else (15, 0, ()))
    # What was sent in by its bytes stays a copy.
    assert (services.settings.data_dir / "images" / record.object_key).is_symlink() != first
    assert services.ingest.run(Source(gallery), "default").unchanged == 15


def test_a_stop_keeps_what_is_written_and_a_later_run_goes_on(services: Services, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    write_gallery(folder, per_colour=60)
    small = _with_chunks_of(services, 16)
    stop = threading.Event()
    seen: list[Progress] = []

    def stop_early(progress: Progress) -> None:
        seen.append(progress)
        if progress.done >= 32:
            stop.set()

    first = small.ingest.run(Source(folder), "default", on_progress=stop_early, stop=stop)
    assert first.interrupted
    assert 32 <= first.added < 180
    assert services.store.count("default") == first.added
    second = small.ingest.run(Source(folder), "default")
    assert (second.added, second.unchanged) == (180 - first.added, first.added)
    assert services.store.count("default") == 180
    assert seen[-1].total == 180


def test_a_store_that_fails_ends_the_run_with_its_error_and_a_later_run_goes_on(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    write_gallery(folder, per_colour=40)
    small = _with_chunks_of(services, 16)
    real_put, puts = services.images.put, []

    def full_disk(key: str, data: bytes, content_type: str) -> None:
        puts.append(key)
        if len(puts) > 70:
            raise ImageStoreError("the disk of the image store is full", retryable=True)
        real_put(key, data, content_type)

    monkeypatch.setattr(services.images, "put", full_disk)
    with pytest.raises(ImageStoreError, match="full"):
        small.ingest.run(Source(folder), "default")
    assert services.store.count("default") == 32
    monkeypatch.setattr(services.images, "put", real_put)
    second = small.ingest.run(Source(folder), "default")
    assert (second.added, second.unchanged) == (88, 32)


def _with_chunks_of(services: Services, size: int) -> Services:
    from dataclasses import replace

    ingest = replace(services.settings.ingest, chunk_size=size)
    return replace(services, settings=replace(services.settings, ingest=ingest))
