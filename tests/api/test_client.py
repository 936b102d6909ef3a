"""The Python client over the real application: every method, and that it knows all that the service has."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import httpx
import pytest
from flask import Flask
from PIL import Image

import image_search.client.client as client_module
from image_search.api.schemas import collections, images, insert, jobs, search, status
from image_search.client import (
    ApiError,
    Changes,
    Client,
    Conflict,
    Inserted,
    InsertOptions,
    InvalidRequest,
    Job,
    JobFailed,
    JobStillRunning,
    NotFound,
    Rejected,
    SearchOptions,
    SearchResult,
    answers,
)
from image_search.client.errors import FieldError
from image_search.fingerprint import content_hash
from image_search.types import Failure
from image_search.wiring import Services
from tests.api.helpers import ADMIN_KEY, NEW, RED
from tests.support import draw, jpeg


class Recorded(httpx.WSGITransport):
    """The application, and what was sent to it."""

    def __init__(self, app: Flask) -> None:
        super().__init__(app=app)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return super().handle_request(request)


@pytest.fixture
def wire(app: Flask) -> Recorded:
    return Recorded(app)


@pytest.fixture
def admin_client(wire: Recorded) -> Iterator[Client]:
    with Client("http://localhost", key=ADMIN_KEY + "\n", transport=wire, retries=0) as made:
        yield made


@pytest.fixture
def red(gallery: Path) -> Path:
    return gallery / "red" / "red_0.jpg"


@pytest.fixture
def red_id(red: Path) -> str:
    return content_hash(red.read_bytes())


def test_every_form_of_a_picture_finds_the_same(admin_client: Client, red: Path, red_id: str) -> None:
    results = [
        admin_client.search(red.read_bytes()),
        admin_client.search(red),
        admin_client.search(Image.open(red)),
        admin_client.search(image_id=red_id),
    ]
    results.append(admin_client.search(query_id=results[0].query.id))
    assert [one.results[0].id for one in results] == [red_id] * 5
    assert [hit.id for hit in results[4].results] == [hit.id for hit in results[0].results]
    first = results[0].results[0]
    assert (first.rank, first.match, first.source_name) == (1, "identical", "red/red_0.jpg")
    assert first.score == pytest.approx(1)
    assert first.created_at.tzinfo is not None
    assert results[0].query.image_id == red_id
    assert (results[0].query.width, results[0].query.height) == (96, 64)
    assert results[0].raw["query"]["id"] == results[0].query.id


def test_a_large_picture_travels_as_it_is(admin_client: Client, wire: Recorded) -> None:
    admin_client.search(NEW, top_k=1)
    (sent,) = wire.requests
    assert sent.headers["Content-Type"].startswith("multipart/form-data")
    assert NEW in sent.content


def test_the_orientation_that_exif_tells_is_in_what_is_sent_of_a_pillow_image(admin_client: Client) -> None:
    lying = Image.new("RGB", (96, 64), (200, 30, 30))
    lying.paste((30, 30, 200), (0, 0, 48, 64))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    lying.save(buffer, "JPEG", exif=exif)
    of_bytes = admin_client.search(buffer.getvalue())
    of_pillow = admin_client.search(Image.open(buffer))
    assert (of_pillow.query.width, of_pillow.query.height) == (64, 96)
    assert of_pillow.results[0].id == of_bytes.results[0].id
    assert of_pillow.results[0].score == pytest.approx(of_bytes.results[0].score, abs=1e-3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "F"])
def test_every_mode_of_pillow_can_be_sent(admin_client: Client, mode: str) -> None:
    picture = Image.new("F", (96, 64)) if mode == "F" else draw((220, 30, 30)).convert("L" if mode == "I;16" else mode)
    assert admin_client.search(picture.convert(mode), top_k=1).results


def test_what_is_no_picture(admin_client: Client, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Path"):
        admin_client.search("photo.jpg")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="int"):
        admin_client.search(3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        admin_client.search(tmp_path / "none.jpg")
    with pytest.raises(TypeError, match="top_kk"):
        admin_client.search(NEW, top_kk=3)  # type: ignore[call-arg]


def test_options_reach_the_search(admin_client: Client, gallery: Path, red_id: str) -> None:
    assert [hit.rank for hit in admin_client.search(RED, top_k=2, offset=3).results] == [4, 5]
    only = admin_client.search(RED, filter={"source_name": {"starts_with": "blue/"}}, top_k=20).results
    assert {hit.source_name.split("/")[0] for hit in only} == {"blue"}
    assert len(only) == 5
    assert all(
        hit.scores.image is not None and hit.scores.image >= 0.9
        for hit in admin_client.search(RED, min_score=0.9).results
    )
    region = admin_client.search(
        RED, crop={"right": 0.5}, weights={"image": 1.0}, negative_ids=[red_id], collapse="identical"
    )
    assert region.query.image_id is None
    assert region.query.id
    with pytest.raises(Rejected) as caught:
        admin_client.search(RED, top_k=0)
    assert caught.value.errors == (FieldError("top_k", "must be at least 1, not 0"),)


def test_words_find_what_they_were_given_to(admin_client: Client) -> None:
    stored = admin_client.insert(NEW, title="A yellow submarine")
    found = admin_client.search(text="submarine")
    assert [hit.id for hit in found.results] == [stored.id]
    assert found.results[0].found_by == ("text",)
    assert found.results[0].scores.image is None
    assert found.query.id is None
    assert [hit.id for hit in admin_client.search_all(text="submarine", top_k=1)] == [stored.id]


def test_all_pages_of_a_search_send_the_picture_once(admin_client: Client, wire: Recorded, red: Path) -> None:
    hits = list(admin_client.search_all(red, top_k=4))
    assert [hit.rank for hit in hits] == list(range(1, 16))
    assert len({hit.id for hit in hits}) == 15
    assert len(wire.requests) == 4
    bodies = [request.content for request in wire.requests]
    assert red.read_bytes() in bodies[0]
    assert [sorted(json.loads(body)) for body in bodies[1:]] == [["offset", "query_id", "top_k"]] * 3
    assert hits == list(admin_client.search_all(red))


def test_all_pages_of_a_region_and_from_an_offset_on(admin_client: Client) -> None:
    whole = admin_client.search(RED, crop={"left": 0.25}, top_k=15).results
    assert list(admin_client.search_all(RED, crop={"left": 0.25}, top_k=6, offset=2)) == list(whole[2:])


def test_all_pages_of_words_and_of_a_stored_picture(admin_client: Client, wire: Recorded, red_id: str) -> None:
    for image in admin_client.images(filter={"source_name": {"starts_with": "red/"}}):
        admin_client.update(image.id, title="a red one")
    assert len({hit.id for hit in admin_client.search_all(text="red", top_k=2)}) == 5
    wire.requests.clear()
    assert len(list(admin_client.search_all(image_id=red_id, top_k=8))) == 15
    assert [sorted(json.loads(request.content)) for request in wire.requests] == [
        ["image_id", "top_k"],
        ["offset", "query_id", "top_k"],
    ]


def test_all_pages_end_where_the_service_ranks_no_more(
    admin_client: Client, wire: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_WINDOW", 10)
    assert [hit.rank for hit in admin_client.search_all(RED, top_k=4)] == list(range(1, 11))
    assert len(wire.requests) == 3


def test_a_batch_of_searches_has_answers_and_problems_in_order(admin_client: Client, red: Path, red_id: str) -> None:
    found = admin_client.search_batch(
        [{"image": red, "top_k": 1}, {"image": NEW[:300]}, {"image_id": "0" * 64}, {"image_id": red_id, "top_k": 2}]
    )
    kinds = [one.code if isinstance(one, ApiError) else one.results[0].id for one in found]
    assert kinds == [red_id, "invalid_image", "image_not_found", red_id]
    assert isinstance(found[1], Rejected)
    assert isinstance(found[2], NotFound)
    assert isinstance(found[3], SearchResult)
    assert len(found[3].results) == 2
    with pytest.raises(TypeError, match="top"):
        admin_client.search_batch([{"top": 3}])  # type: ignore[typeddict-unknown-key]


def test_insert_and_what_is_stored(admin_client: Client, tmp_path: Path) -> None:
    path = tmp_path / "yellow.jpg"
    path.write_bytes(NEW)
    when = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    stored = admin_client.insert(
        path,
        title="Yellow",
        tags=("a", "b"),
        text="words",
        fields={"year": 2020},
        created_at=when,
        source_url="https://example.org/y",
    )
    assert isinstance(stored, Inserted)
    assert (stored.status, stored.id, stored.source_name) == ("created", content_hash(NEW), "yellow.jpg")
    assert (stored.title, stored.tags, stored.text, stored.fields) == ("Yellow", ("a", "b"), "words", {"year": 2020})
    assert stored.created_at == when
    assert admin_client.insert(NEW, title="Other", on_duplicate="skip").status == "duplicate"
    info = admin_client.image(stored.id)
    assert (info.title, info.width, info.height) == ("Yellow", 96, 64)
    assert admin_client.file(stored.id) == NEW
    assert Image.open(io.BytesIO(admin_client.thumbnail(stored.id))).format == "JPEG"
    with pytest.raises(InvalidRequest, match="time zone"):
        admin_client.insert(NEW, created_at=datetime(2020, 1, 1))
    with pytest.raises(TypeError, match="bytes"):
        admin_client.insert(NEW, fields={"x": b"y"})  # type: ignore[dict-item]
    assert admin_client.update(stored.id, fields=MappingProxyType({"a": 1})).fields == {"year": 2020, "a": 1}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b'a"b\r\nX-Evil: 1.jpg', 'a"b\r\nX-Evil: 1.jpg'),
        ("写真 📷;filename=x.jpg".encode(), "写真 📷;filename=x.jpg"),
        (b"caf\xe9.jpg", "caf�.jpg"),
        (b"..jpg", "..jpg"),
        (b"back\\slash%00.jpg", "back\\slash%00.jpg"),
    ],
)
def test_hostile_names_of_files_arrive_as_they_are(
    admin_client: Client, tmp_path: Path, name: bytes, kept: str
) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(NEW)
    assert admin_client.insert(path).source_name == kept


def test_bytes_have_no_name_but_a_given_one(admin_client: Client) -> None:
    assert admin_client.insert(NEW).source_name == ""
    admin_client.delete(content_hash(NEW), permanently=True)
    assert admin_client.insert(NEW, source_name="../../etc/passwd").source_name == "../../etc/passwd"
    with pytest.raises(Rejected) as caught:
        admin_client.insert(NEW, title="half \ud800")
    assert caught.value.errors[0].field == "title"


def test_a_batch_of_inserts_tells_each_outcome(admin_client: Client, red: Path) -> None:
    outcome = admin_client.insert_batch(
        [
            {"image": NEW, "title": "New", "tags": ["n"]},
            {"image": red},
            {"image": NEW[:300], "source_name": "broken.jpg"},
            {"image": RED, "title": 7},  # type: ignore[typeddict-item]
        ]
    )
    assert (outcome.counts.created, outcome.counts.duplicate, outcome.counts.failed) == (1, 1, 2)
    created, duplicate, broken, mistyped = outcome.results
    assert isinstance(created, Inserted)
    assert (created.status, created.title, created.source_name) == ("created", "New", "")
    assert isinstance(duplicate, Inserted)
    assert (duplicate.status, duplicate.sources) == ("duplicate", ("red/red_0.jpg", "red_0.jpg"))
    assert isinstance(broken, Rejected)
    assert (broken.status, broken.code) == (422, "invalid_image")
    assert isinstance(mistyped, Rejected)
    assert mistyped.errors[0].field == "title"
    assert outcome.raw["ok"] is False


def test_a_batch_is_of_pictures_or_of_addresses(admin_client: Client, wire: Recorded) -> None:
    with pytest.raises(InvalidRequest, match="another batch"):
        admin_client.insert_batch([{"image": NEW}, {"image_url": "https://example.org/x.jpg"}])
    assert not wire.requests
    outcome = admin_client.insert_batch([{"image_url": "http://127.0.0.1/x.jpg"}])
    assert [one.code for one in outcome.results if isinstance(one, ApiError)] == ["url_fetch_failed"]


def test_check(admin_client: Client, wire: Recorded, red: Path, red_id: str) -> None:
    (held,) = admin_client.check(red)
    assert (held.id, held.held) == (red_id, "identical")
    assert held.identical is not None
    assert held.identical.source_name == "red/red_0.jpg"
    (other,) = admin_client.check(jpeg(Image.open(red), quality=60))
    assert (other.held, other.identical) == ("near_duplicate", None)
    assert other.near_duplicates is not None
    assert red_id in [near.id for near in other.near_duplicates]
    wire.requests.clear()
    sums = [*(f"{number:064x}" for number in range(1500)), red_id]
    checked = admin_client.check(sha256=iter(sums))
    assert [one.id for one in checked] == sums
    assert [one.id for one in checked if one.held == "identical"] == [red_id]
    assert checked[-1].near_duplicates is None
    assert len(wire.requests) == 2
    assert admin_client.check(sha256=[]) == []
    with pytest.raises(TypeError):
        admin_client.check(sha256=red_id)
    with pytest.raises(InvalidRequest):
        admin_client.check(NEW, sha256=[red_id])


def test_all_pictures_page_by_page(admin_client: Client, wire: Recorded) -> None:
    everything = list(admin_client.images(page_size=4))
    assert len(wire.requests) == 4
    ids = [image.id for image in everything]
    assert ids == sorted(set(ids))
    assert len(ids) == 15
    some = list(admin_client.images(filter={"source_name": {"starts_with": "red/"}}))
    assert sorted(image.source_name for image in some) == [f"red/red_{number}.jpg" for number in range(5)]
    assert list(admin_client.images(filter={"created_at": {"lt": datetime(2000, 1, 1, tzinfo=UTC)}})) == []
    assert {image.id for image in admin_client.random(20)} == set(ids)
    assert len(admin_client.random()) == 1


def test_update_leaves_changes_and_empties(admin_client: Client) -> None:
    stored = admin_client.insert(NEW, title="One", text="kept", tags=["a"], fields={"year": 2020, "camera": "X"})
    changed = admin_client.update(stored.id, title=None, tags=["b"], fields={"year": None, "place": "here"})
    assert (changed.title, changed.text, changed.tags) == ("", "kept", ("b",))
    assert changed.fields == {"camera": "X", "place": "here"}
    assert admin_client.image(stored.id) == changed
    with pytest.raises(TypeError, match="titel"):
        admin_client.update(stored.id, titel="x")  # type: ignore[call-arg]


def test_delete_trash_and_restore(admin_client: Client, red_id: str) -> None:
    before = admin_client.image(red_id)
    admin_client.delete(red_id)
    with pytest.raises(NotFound):
        admin_client.image(red_id)
    (trashed,) = admin_client.deleted(page_size=1)
    assert (trashed.id, trashed.source_name) == (red_id, "red/red_0.jpg")
    assert abs((datetime.now(UTC) - trashed.deleted_at).total_seconds()) < 60
    assert admin_client.restore(red_id).id == before.id
    assert admin_client.restore(red_id).id == before.id
    assert admin_client.search(image_id=red_id, top_k=1).results[0].id == red_id
    assert list(admin_client.deleted()) == []
    admin_client.delete(red_id, permanently=True)
    with pytest.raises(NotFound):
        admin_client.restore(red_id)
    with pytest.raises(NotFound):
        admin_client.delete(red_id)


@pytest.mark.parametrize("bad", ["", ".", "..", "\ud800", None])
def test_what_is_no_id_never_becomes_another_path(admin_client: Client, wire: Recorded, bad: Any) -> None:
    for ask in (admin_client.image, admin_client.delete, admin_client.file, admin_client.restore, admin_client.job):
        with pytest.raises(InvalidRequest, match="is no id"):
            ask(bad)
    assert not wire.requests


@pytest.mark.parametrize("bad", ["../status", "x?collection=y", "a/b", "é%2F", "a b\r\n", "0" * 64])
def test_an_id_that_is_none_is_not_found(admin_client: Client, bad: str) -> None:
    for ask in (admin_client.image, admin_client.delete, admin_client.thumbnail):
        with pytest.raises(NotFound):
            ask(bad)


def test_a_collection_goes_into_a_file_and_comes_back(admin_client: Client, running: Services, tmp_path: Path) -> None:
    target = tmp_path / "library.h5"
    assert admin_client.export_to(target) == target.stat().st_size > 1000
    with pytest.raises(NotFound):
        admin_client.export_to(target, collection="nowhere")
    assert [path.name for path in tmp_path.glob("library*")] == ["library.h5"]
    assert h5py.File(target)["vectors"].shape == (15, 48)
    job = admin_client.import_from(target, collection="copy")
    done = admin_client.wait_for_job(job.id, poll_s=0.02)
    assert (done.kind, done.collection, done.can_retry) == ("import", "copy", False)
    assert done.result == {"collection": "copy", "added": 15, "unchanged": 0, "without_picture": 0, "failed": 0}
    assert {one.name: one.images for one in admin_client.collections()} == {"copy": 15, "default": 15}
    target.write_bytes(b"no dataset")
    with pytest.raises(Rejected, match=r"library\.h5: is damaged or no HDF5 file"):
        admin_client.import_from(target)


def test_newest_first(admin_client: Client) -> None:
    newest = admin_client.insert(NEW, created_at=datetime(2090, 1, 1, tzinfo=UTC)).id
    oldest = admin_client.insert(RED, created_at=datetime(1990, 1, 1, tzinfo=UTC)).id
    listed = [image.id for image in admin_client.images(order="newest", page_size=4)]
    assert (listed[0], listed[-1], len(set(listed))) == (newest, oldest, 17)


def test_a_job_is_waited_for(admin_client: Client, running: Services) -> None:
    seen: list[Job] = []
    started = admin_client.start_indexing(collection="default")
    done = admin_client.wait_for_job(started.id, on_progress=seen.append, poll_s=0.02, timeout_s=15)
    assert (done.state, done.total, done.done, done.failed, done.is_over) == ("done", 15, 15, 0, True)
    assert done.finished_at is not None
    assert seen[-1] == done
    assert [job.id for job in admin_client.jobs()] == [started.id]
    assert list(admin_client.job_failures(started.id)) == []
    with pytest.raises(Conflict):
        admin_client.retry_job(started.id)


def test_a_job_that_nobody_works_on_is_cancelled(admin_client: Client) -> None:
    started = admin_client.start_indexing(index={"kind": "HNSW", "params": {"M": 16, "efConstruction": 64}})
    assert (started.state, started.is_over, started.eta_s) == ("queued", False, None)
    begun_s = time.monotonic()
    with pytest.raises(JobStillRunning, match="still queued") as waiting:
        admin_client.wait_for_job(started.id, poll_s=0.02, timeout_s=0.1)
    assert isinstance(waiting.value, TimeoutError)
    assert time.monotonic() - begun_s < 5
    assert admin_client.cancel_job(started.id).state == "cancelled"
    with pytest.raises(JobFailed, match="cancelled") as caught:
        admin_client.wait_for_job(started.id)
    assert caught.value.job.id == started.id


def test_what_a_job_could_not_do_is_told_and_tried_again(admin_client: Client, stocked: Services) -> None:
    job = admin_client.start_indexing()
    stocked.jobs.add_failures(job.id, [Failure(f"写真/{number}.jpg", "is broken") for number in range(5)])
    stocked.jobs.finish(job.id, "failed", "too much was broken")
    with pytest.raises(JobFailed, match="too much was broken"):
        admin_client.wait_for_job(job.id)
    found = list(admin_client.job_failures(job.id, page_size=2))
    assert [(one.number, one.item) for one in found] == [(n, f"写真/{n - 1}.jpg") for n in range(1, 6)]
    again = admin_client.retry_job(job.id)
    assert (again.state, again.kind, again.id != job.id) == ("queued", job.kind, True)


def test_jobs_page_by_page(admin_client: Client, stocked: Services) -> None:
    made = []
    for _ in range(5):
        made.append(admin_client.start_indexing().id)
        admin_client.cancel_job(made[-1])
    assert [job.id for job in admin_client.jobs(page_size=2)] == made[::-1]


def test_status_and_readiness(admin_client: Client) -> None:
    found = admin_client.status()
    assert (found.images, found.collection, found.features.keys["user"]) == (15, "default", False)
    assert found.model is not None
    assert found.model.dim == 48
    assert found.limits.max_items >= 100
    assert found.raw["entities_num"] == "15"
    assert admin_client.is_ready()


def test_what_a_newer_service_adds_is_kept_raw(admin_client: Client, red_id: str) -> None:
    document = {**admin_client.image(red_id).raw, "mood": "bright"}
    read = client_module.read(answers.ImageInfo, document)
    assert read.raw["mood"] == "bright"
    assert read == admin_client.image(red_id)


KNOWN = [
    (answers.Words, images.Words, ()),
    (answers.ImageInfo, images.Described, ()),
    (answers.DeletedImage, images.DeletedImage, ()),
    (answers.NearDuplicate, images.NearDuplicate, ()),
    (answers.Checked, images.Checked, ()),
    (answers.Inserted, insert.Inserted, ("ok",)),
    (answers.Counts, insert.Counts, ()),
    (answers.Scores, search.Scores, ()),
    (answers.Hit, search.Hit, ()),
    (answers.Query, search.QueryShown, ()),
    (answers.Model, search.Model, ()),
    (answers.CollectionInfo, collections.CollectionShown, ()),
    (answers.Page, search.Page, ()),
    (answers.Timing, search.Timing, ()),
    (
        answers.SearchResult,
        search.SearchAnswer,
        ("ok", "image1", "image2", "image3", "image4", "image5", "embedding_time", "search_time"),
    ),
    (answers.Job, jobs.JobShown, ("url",)),
    (answers.JobFailure, jobs.FailureShown, ()),
    (answers.Index, status.IndexShown, ()),
    (answers.ModelChoice, status.ModelChoice, ()),
    (answers.Limits, status.Limits, ()),
    (answers.Features, status.Features, ()),
    (answers.Status, status.StatusAnswer, ("ok", "entities_num", "cpu", "memory", "gpu", "device", "stores")),
]


@pytest.mark.parametrize(("ours", "theirs", "left_out"), KNOWN, ids=lambda one: getattr(one, "__name__", ""))
def test_the_client_reads_all_that_the_service_answers(ours: Any, theirs: Any, left_out: tuple[str, ...]) -> None:
    assert {one.name for one in fields(ours)} - {"raw"} == set(theirs.model_fields) - set(left_out)


@pytest.mark.parametrize(
    ("ours", "theirs", "left_out"),
    [
        (SearchOptions, search.SearchParams, ()),
        (InsertOptions, insert.InsertParams, ("location",)),
        (Changes, images.Patch, ()),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_the_client_can_ask_all_that_the_service_takes(ours: Any, theirs: Any, left_out: tuple[str, ...]) -> None:
    assert set(ours.__optional_keys__) == set(theirs.model_fields) - set(left_out)
