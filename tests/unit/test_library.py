"""Pictures listed, drawn by lot, looked up by their hash, edited; files that only shown pictures have."""

from __future__ import annotations

import math
import multiprocessing
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from image_search.errors import (
    CollectionNotFound,
    ImageNotFound,
    ImageStoreError,
    InvalidImage,
    InvalidParameter,
    UnsupportedFormat,
)
from image_search.filters import parse_filter
from image_search.metadata.words import (
    MAX_FIELDS_BYTES,
    MAX_TAG_BYTES,
    MAX_TAGS,
    MAX_TEXT_BYTES,
    MAX_TITLE_BYTES,
    Words,
)
from image_search.services.gate import PictureLocks, SwitchGate
from image_search.services.library.changes import Changes
from image_search.services.scanning import Source
from image_search.types import ImageRecord, SearchParams
from image_search.wiring import Services
from tests.support import draw, jpeg

PICTURE = jpeg(draw((200, 90, 20), mark=3))


@pytest.fixture
def stocked(services: Services, gallery: Path) -> Services:
    services.ingest.run(Source(gallery), "default")
    return services


def ids_of(services: Services) -> list[str]:
    return sorted(record.image_id for records, _ in services.store.iterate("default") for record in records)


def test_every_picture_is_listed_once(stocked: Services) -> None:
    ids = ids_of(stocked)
    seen: list[str] = []
    after, sizes = None, []
    while True:
        page = stocked.library.list_images("default", after=after, limit=5)
        seen += [record.image_id for record in page.records]
        sizes.append(len(page.records))
        if page.next is None:
            break
        assert page.next == page.records[-1].image_id
        after = page.next
    assert (seen, sizes) == (ids, [5, 5, 5]), "and no empty page at the end"
    whole = stocked.library.list_images("default")
    assert ([record.image_id for record in whole.records], whole.next) == (ids, None)


def test_a_list_goes_on_after_a_picture_that_was_deleted(stocked: Services) -> None:
    ids = ids_of(stocked)
    page = stocked.library.list_images("default", limit=4)
    stocked.library.delete("default", [ids[3], ids[4]])
    following = stocked.library.list_images("default", after=page.next)
    assert [record.image_id for record in following.records] == ids[5:]


def test_a_list_within_a_filter(stocked: Services) -> None:
    some = ids_of(stocked)[2:9]
    for image_id in some:
        stocked.library.update("default", image_id, Changes(tags=("chosen",)))
    where = parse_filter({"tags": {"any": ["chosen"]}})
    first = stocked.library.list_images("default", where=where, limit=4)
    second = stocked.library.list_images("default", where=where, limit=4, after=first.next)
    assert [r.image_id for r in (*first.records, *second.records)] == some
    assert second.next is None
    drawn = stocked.library.random_images("default", 100, where)
    assert sorted(record.image_id for record in drawn) == some


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": -5}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"after": "x"}, "after"),
        ({"after": ""}, "after"),
        ({"after": "../" * 20}, "after"),
    ],
)
@pytest.mark.parametrize("what", ["list_images", "list_deleted"])
def test_a_page_that_cannot_be(stocked: Services, what: str, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        getattr(stocked.library, what)("default", **asked)
    assert caught.value.field == field


def test_pictures_by_lot(stocked: Services) -> None:
    ids = set(ids_of(stocked))
    drawn = [record.image_id for record in stocked.library.random_images("default", 6)]
    assert len(set(drawn)) == 6
    assert set(drawn) <= ids
    assert {record.image_id for record in stocked.library.random_images("default", 100)} == ids
    firsts = {stocked.library.random_images("default")[0].image_id for _ in range(40)}
    assert len(firsts) > 3


@pytest.mark.parametrize("n", [0, -1, 101])
def test_so_many_are_not_drawn(stocked: Services, n: int) -> None:
    with pytest.raises(InvalidParameter) as caught:
        stocked.library.random_images("default", n)
    assert caught.value.field == "n"


def test_pictures_that_are_known_by_their_hash(stocked: Services) -> None:
    ids = ids_of(stocked)
    # More than a page of hashes that nobody has.
    asked = [f"{number:064x}" for number in range(2500)] + ids[:3] + ids[:1]
    found = stocked.library.known("default", asked)
    assert sorted(found) == ids[:3]
    assert found[ids[0]].image_id == ids[0]
    assert stocked.library.known("default", []) == {}
    with pytest.raises(InvalidParameter, match="64 lowercase hex digits"):
        stocked.library.known("default", [ids[0].upper()])


def test_a_collection_that_is_not_there(services: Services) -> None:
    library = services.library
    for ask in (
        lambda: library.list_images("default"),
        lambda: library.list_deleted("default"),
        lambda: library.random_images("default"),
        lambda: library.known("default", ["0" * 64]),
        lambda: library.update("default", "0" * 64, Changes()),
        lambda: library.delete("default", ["0" * 64]),
        lambda: library.restore("default", "0" * 64),
    ):
        with pytest.raises(CollectionNotFound):
            ask()


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"no picture", UnsupportedFormat), (PICTURE[: len(PICTURE) // 2], InvalidImage), (b"", InvalidImage)],
)
def test_an_insert_that_is_refused_leaves_no_empty_collection(
    services: Services, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        services.library.insert("fresh", data)
    assert services.collections.names() == []
    assert services.store.list_collections() == []
    assert services.library.insert("fresh", PICTURE).status == "created"


# Files


def test_a_file_is_shown_as_long_as_one_collection_shows_its_picture(services: Services) -> None:
    library = services.library
    image_id = library.insert("one", PICTURE).record.image_id
    library.insert("two", PICTURE)
    library.insert("three", jpeg(draw((1, 2, 3))))
    library.delete("one", [image_id])
    for hint in (None, "one", "two", "three", "nowhere"):
        assert library.original(image_id, hint)[0] == PICTURE
        assert library.thumbnail(image_id, hint)[1] == "image/jpeg"
    library.delete("two", [image_id])
    for hint in (None, "one", "two", "nowhere"):
        for ask in (library.original, library.thumbnail):
            with pytest.raises(ImageNotFound):
                ask(image_id, hint)


def test_a_hint_saves_looking_through_the_other_collections(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        image_id = services.library.insert(f"c{number}", PICTURE).record.image_id
    calls: list[str] = []
    real = services.store.get
    monkeypatch.setattr(services.store, "get", lambda name, ids, **more: calls.append(name) or real(name, ids, **more))
    services.library.original(image_id, "c3")
    assert calls == ["c3__1"]


def test_a_file_without_a_row_is_nobody_s(services: Services) -> None:
    """What `preprocess` or a killed run left is not shown before a collection shows it."""
    image_id = services.library.insert("default", PICTURE).record.image_id
    services.store.delete("default", [image_id])
    with pytest.raises(ImageNotFound):
        services.library.original(image_id)


# Edits


@pytest.fixture
def fox(services: Services) -> ImageRecord:
    words = Words("Fox", ("red", "fast"), "a fox", "https://example.org", {"a": 1, "b": "two", "c": True}, 1_000_000)
    return services.library.insert("default", PICTURE, source_name="fox.jpg", words=words).record


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (Changes(), {}),
        (Changes(title="Wolf"), {"title": "Wolf"}),
        (Changes(title="", text="", tags=(), source_url=""), {"title": "", "text": "", "tags": (), "source_url": ""}),
        (Changes(tags=("x", "y", "x", "")), {"tags": ("x", "y")}),
        (Changes(created_at_s=0), {"created_at_s": 0}),
        (Changes(created_at_s=-(10**9)), {"created_at_s": -(10**9)}),
        (Changes(fields={}), {}),
        (Changes(fields={"a": None, "nowhere": None}), {"fields": {"b": "two", "c": True}}),
        (
            Changes(fields={"a": 2.5, "d": "猫 🐈", "c": False}),
            {"fields": {"a": 2.5, "b": "two", "c": False, "d": "猫 🐈"}},
        ),
        (Changes(add_tags=("new", "red"), remove_tags=("fast", "nowhere")), {"tags": ("red", "new")}),
        (Changes(tags=("x", "y"), add_tags=("z",), remove_tags=("y",)), {"tags": ("x", "z")}),
        (Changes(clear_fields=True), {"fields": {}}),
        (Changes(clear_fields=True, fields={"a": 2, "b": None}), {"fields": {"a": 2}}),
        (Changes(title="größe\n猫", text="x" * MAX_TEXT_BYTES), {"title": "größe\n猫", "text": "x" * MAX_TEXT_BYTES}),
    ],
)
def test_what_is_changed_and_nothing_else(
    services: Services, fox: ImageRecord, changes: Changes, expected: dict[str, Any]
) -> None:
    (before,) = services.store.get_embeddings("default", [fox.image_id]).values()
    updated = services.library.update("default", fox.image_id, changes)
    for name in ImageRecord.__dataclass_fields__:
        assert getattr(updated, name) == expected.get(name, getattr(fox, name)), name
    assert services.library.get("default", fox.image_id) == updated
    (after,) = services.store.get_embeddings("default", [fox.image_id]).values()
    assert (before == after).all()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (Changes(title="ä" * (MAX_TITLE_BYTES // 2) + "x"), "title"),
        (Changes(title="half \ud800"), "title"),
        (Changes(text="x" * (MAX_TEXT_BYTES + 1)), "text"),
        (Changes(source_url="x" * 8193), "source_url"),
        (Changes(tags=tuple(f"t{n}" for n in range(MAX_TAGS + 1))), "tags"),
        (Changes(tags=("ok", "x" * (MAX_TAG_BYTES + 1))), "tags"),
        (Changes(tags=("\udfff",)), "tags"),
        (Changes(add_tags=tuple(f"t{n}" for n in range(MAX_TAGS - 1))), "tags"),
        (Changes(created_at_s=10**12), "created_at"),
        (Changes(created_at_s=-(10**12)), "created_at"),
        (Changes(fields={"n": 2**63}), "fields"),
        (Changes(fields={"n": math.inf}), "fields"),
        (Changes(fields={"n": math.nan}), "fields"),
        (Changes(fields={"big": "x" * MAX_FIELDS_BYTES}), "fields"),
        (Changes(fields={"\ud800": 1}), "fields"),
        (Changes(title="fine", fields={"k" * MAX_FIELDS_BYTES: 1}), "fields"),
    ],
)
def test_what_no_record_can_hold_is_refused_and_nothing_is_stored(
    services: Services, fox: ImageRecord, changes: Changes, field: str
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        services.library.update("default", fox.image_id, changes)
    assert caught.value.field == field
    assert len(str(caught.value)) < 300
    assert services.library.get("default", fox.image_id) == fox


def test_fields_are_measured_together_with_those_that_are_there(services: Services, fox: ImageRecord) -> None:
    half = "x" * (MAX_FIELDS_BYTES // 2)
    services.library.update("default", fox.image_id, Changes(fields={"one": half}))
    with pytest.raises(InvalidParameter, match="fields"):
        services.library.update("default", fox.image_id, Changes(fields={"two": half}))
    updated = services.library.update("default", fox.image_id, Changes(fields={"two": half, "one": None}))
    assert "one" not in updated.fields


def test_an_edit_is_found_by_the_next_search(services: Services, fox: ImageRecord) -> None:
    services.library.update("default", fox.image_id, Changes(title="Walross"))
    (hit,) = services.store.search_text("default", "walross", SearchParams())
    assert hit.record.image_id == fox.image_id


@pytest.mark.parametrize("image_id", ["0" * 64, "x", "../../etc"])
def test_an_edit_of_what_is_not_there(services: Services, fox: ImageRecord, image_id: str) -> None:
    with pytest.raises(ImageNotFound):
        services.library.update("default", image_id, Changes(title="x"))


def test_two_edits_at_once_do_not_undo_each_other(
    services: Services, fox: ImageRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = services.store.get

    def slow(name: str, ids: Any, **more: Any) -> Any:
        found = real(name, ids, **more)
        time.sleep(0.005)
        return found

    monkeypatch.setattr(services.store, "get", slow)

    def edit(worker: int) -> None:
        for number in range(5):
            services.library.update("default", fox.image_id, Changes(fields={f"{worker}.{number}": number}))

    threads = [threading.Thread(target=edit, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(services.library.get("default", fox.image_id).fields) == 3 + 30


def test_an_edit_in_the_moment_of_a_switch_is_in_the_new_collection(
    services: Services, fox: ImageRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.indexing._grace_s = 0
    real = services.store.point
    edits: list[threading.Thread] = []

    def point(alias: str, name: str) -> None:
        changes = Changes(title="in between")
        edits.append(threading.Thread(target=services.library.update, args=("default", fox.image_id, changes)))
        edits[-1].start()
        edits[-1].join(0.2)
        assert edits[-1].is_alive(), "it waits for the switch"
        real(alias, name)

    monkeypatch.setattr(services.store, "point", point)
    services.indexing.rebuild("default", projection="random:8")
    edits[0].join()
    assert services.library.get("default", fox.image_id).title == "in between"


def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    for name in ("switch.lock", "switch.rebuild", "locks/16"):
        (tmp_path / name).mkdir(parents=True)
    gate = SwitchGate(tmp_path / "switch.lock")
    for hold in (
        gate.writing,
        gate.switching,
        gate.rebuilding,
        lambda: PictureLocks(tmp_path / "locks").holding(["10"]),
    ):
        with pytest.raises(ImageStoreError, match="in the data folder cannot be opened"), hold():
            pass


def _hold(folder: Path, image_id: str, held: Any, let_go: Any) -> None:
    with PictureLocks(folder).holding([image_id]):
        held.set()
        let_go.wait(20)


def test_another_process_is_kept_from_a_picture(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, let_go = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "locks", "0a" + "0" * 62, held, let_go))
    process.start()
    assert held.wait(30)
    locks = PictureLocks(tmp_path / "locks")
    got: list[str] = []

    def take(image_id: str) -> None:
        with locks.holding([image_id]):
            got.append(image_id[:2])

    with locks.holding(["0b" + "0" * 62]):
        pass  # another picture is free
    waiting = threading.Thread(target=take, args=("0a" + "f" * 62,))
    waiting.start()
    waiting.join(0.3)
    assert got == []
    process.kill()
    process.join()
    waiting.join(10)
    assert got == ["0a"], "the kernel frees what a killed process held"
