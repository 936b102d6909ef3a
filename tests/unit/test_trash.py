"""Deleted pictures: nothing is lost and no hit is without its picture, wherever it ends and whoever else is at work."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from image_search.config import load_settings
from image_search.errors import Conflict, ImageNotFound, ImageSearchError, ImageStoreError
from image_search.interfaces import ImageStore
from image_search.metadata.words import Words
from image_search.services.library.changes import Changes
from image_search.services.library.trash import DeletedImage
from image_search.services.scanning import Source
from image_search.storage.keys import TRASH, original_key, thumbnail_key, trash_key, vector_key
from image_search.storage.local_store import LocalImageStore
from image_search.types import ImageRecord
from image_search.vectors.memory_store import MemoryVectorStore
from image_search.wiring import Services
from tests.support import MEAN_COLOUR_MODEL, draw, jpeg

DAY_S = 86_400.0
PICTURE = jpeg(draw((200, 90, 20), mark=3))
WORDS = Words("Fox", ("red", "fast"), "a fox", "https://example.org/fox", {"camera": "X"}, 1_000_000_000)


def put(services: Services, collection: str = "default", data: bytes = PICTURE, words: Words = WORDS) -> ImageRecord:
    return services.library.insert(collection, data, source_name="fox.jpg", words=words).record


def vector_of(services: Services, image_id: str) -> np.ndarray[Any, Any]:
    return services.store.get_embeddings("default", [image_id])[image_id]


def deleted(services: Services, collection: str = "default") -> tuple[DeletedImage, ...]:
    return services.library.list_deleted(collection).entries


def keys_of(images: ImageStore, image_id: str) -> list[str]:
    return sorted({key.split("/")[0] for key in images.iter_keys() if image_id in key})


def old(services: Services, *, days: float, collection: str = "default") -> None:
    """Let what lies in the trash have been deleted so many days ago."""
    for entry in deleted(services, collection):
        found = services.library._trash._find(collection, entry.record.image_id)
        assert found
        aged = replace(found, deleted_at_s=time.time() - days * DAY_S)
        services.images.put(trash_key(collection, entry.record.image_id), aged.to_bytes(), "application/json")


# There and back


def test_a_deleted_picture_is_gone_for_everybody_and_comes_back_as_it_was(services: Services) -> None:
    record = put(services)
    before = vector_of(services, record.image_id)
    began_s = time.time()
    assert services.library.delete("default", [record.image_id]) == 1
    for ask in (
        lambda: services.library.get("default", record.image_id),
        lambda: services.library.original(record.image_id),
        lambda: services.library.thumbnail(record.image_id),
    ):
        with pytest.raises(ImageNotFound):
            ask()
    (entry,) = deleted(services)
    assert entry.record == record
    assert began_s <= entry.deleted_at_s <= time.time()
    assert keys_of(services.images, record.image_id) == ["originals", "thumbnails", "trash", "vectors"]
    assert services.library.restore("default", record.image_id) == record
    assert services.library.get("default", record.image_id) == record
    assert services.library.original(record.image_id)[0] == PICTURE
    np.testing.assert_array_equal(vector_of(services, record.image_id), before)
    assert deleted(services) == ()
    assert keys_of(services.images, record.image_id) == ["originals", "thumbnails", "vectors"]


def test_what_is_absent_is_neither_deleted_nor_restored(services: Services) -> None:
    record = put(services)
    assert services.library.delete("default", ["0" * 64, record.image_id]) == 1
    assert services.library.delete("default", [record.image_id]) == 0
    assert len(deleted(services)) == 1
    with pytest.raises(ImageNotFound, match="trash"):
        services.library.restore("default", "0" * 64)
    for use in (services.library.restore, lambda name, i: services.library.delete(name, [i])):
        with pytest.raises(ImageNotFound):
            use("default", "../../etc/passwd")


def test_what_is_there_is_returned_as_it_is(services: Services) -> None:
    record = put(services)
    assert services.library.restore("default", record.image_id) == record


def test_the_trash_is_listed_page_by_page(services: Services) -> None:
    ids = sorted(put(services, data=jpeg(draw((mark * 9, 40, 90), mark=mark))).image_id for mark in range(8))
    put(services, "other")
    services.library.delete("default", ids)
    services.library.delete("other", [put(services, "other").image_id])
    services.library.restore("default", ids[3])
    left = [image_id for image_id in ids if image_id != ids[3]]
    pages, after = [], None
    while True:
        page = services.library.list_deleted("default", after=after, limit=3)
        pages.append([entry.record.image_id for entry in page.entries])
        after = page.next
        if after is None:
            break
    assert pages == [left[:3], left[3:6], left[6:]]
    whole = services.library.list_deleted("default", limit=7)
    assert (len(whole.entries), whole.next) == (7, None)


def test_a_later_page_reads_nothing_of_those_before(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = sorted(put(services, data=jpeg(draw((mark * 9, 40, 90), mark=mark))).image_id for mark in range(8))
    services.library.delete("default", ids)
    seen: list[str] = []
    iter_keys = services.images.iter_keys

    def noting(*arguments: Any, **named: Any) -> Iterator[str]:
        for key in iter_keys(*arguments, **named):
            seen.append(key)
            yield key

    monkeypatch.setattr(services.images, "iter_keys", noting)
    page = services.library.list_deleted("default", after=ids[5], limit=10)
    assert [entry.record.image_id for entry in page.entries] == ids[6:]
    assert seen == [trash_key("default", image_id) for image_id in ids[6:]]


@pytest.mark.parametrize("projection", ["random:8", "none"])
def test_the_trash_survives_a_rebuild(services: Services, gallery: Path, projection: str) -> None:
    """Restored pictures, inserted alone or by a bulk run, get the vectors that the new projection makes of them."""
    services.indexing._grace_s = 0
    services.ingest.run(Source(gallery), "default")
    record = put(services)
    twin = put(services, data=jpeg(draw((201, 91, 21), mark=4)))
    bulk = next(r for r in services.library.list_images("default").records if r.source_name == "red/red_1.jpg")
    if projection == "none":
        services.indexing.rebuild("default", projection="random:6")
    services.library.delete("default", [record.image_id, bulk.image_id])
    services.indexing.rebuild("default", projection=projection)
    assert len(deleted(services)) == 2
    assert services.store.count("default") == 15
    for gone in (record, bulk):
        assert services.library.restore("default", gone.image_id) == gone
    embedder = services.provider.get(services.collections.spec("default").projection_id)
    for image_id in (record.image_id, bulk.image_id, twin.image_id):
        decoded = services.preparer.decode(services.images.get(original_key(image_id)), embedder.shortest_px)
        expected = embedder.embed([decoded.image])[0]
        found = vector_of(services, image_id)
        assert float(found @ expected / np.linalg.norm(found)) == pytest.approx(1, abs=1e-4)


def test_a_bulk_picture_is_restored_from_the_shards_where_its_original_is_broken(
    services: Services, gallery: Path
) -> None:
    services.indexing._grace_s = 0
    services.ingest.run(Source(gallery), "default")
    services.indexing.rebuild("default", projection="random:6")
    image_id = services.library.list_images("default").records[0].image_id
    services.library.delete("default", [image_id])
    services.indexing.rebuild("default", projection="none")
    services.images.put(original_key(image_id), b"no picture", "image/jpeg")
    services.library.restore("default", image_id)
    assert services.store.count("default") == 15


def test_what_can_no_longer_be_made_into_a_vector_stays_in_the_trash(services: Services) -> None:
    services.indexing._grace_s = 0
    record = put(services)
    services.indexing.rebuild("default", projection="random:6")
    services.library.delete("default", [record.image_id])
    services.indexing.rebuild("default", projection="random:5")
    services.images.delete(vector_key(record.image_id, MEAN_COLOUR_MODEL))
    services.images.put(original_key(record.image_id), b"no picture", "image/jpeg")
    with pytest.raises(Conflict, match="cannot be restored"):
        services.library.restore("default", record.image_id)
    assert len(deleted(services)) == 1
    services.images.put(original_key(record.image_id), PICTURE, "image/jpeg")
    assert services.library.restore("default", record.image_id) == record


def test_a_row_without_a_picture_comes_back_without_one(services: Services) -> None:
    put(services)
    stranger = ImageRecord("f" * 64, original_key("f" * 64), (9, 9), title="imported")
    services.store.upsert("default", [stranger], np.ones((1, 48), np.float32))
    services.library.delete("default", [stranger.image_id])
    assert services.library.restore("default", stranger.image_id) == stranger


def test_a_picture_whose_original_has_gone_is_no_hit_again(services: Services) -> None:
    record = put(services)
    services.library.delete("default", [record.image_id])
    services.images.delete(original_key(record.image_id))
    with pytest.raises(ImageNotFound, match="original"):
        services.library.restore("default", record.image_id)
    assert services.store.count("default") == 0
    services.images.put(original_key(record.image_id), PICTURE, "image/jpeg")
    assert services.library.restore("default", record.image_id) == record


# The same bytes again


def test_a_deleted_picture_may_be_inserted_again(services: Services) -> None:
    """It is new and has the words of the insert; its old ones wait in the trash and come with a restore."""
    record = put(services)
    services.library.delete("default", [record.image_id])
    again = services.library.insert(
        "default", PICTURE, source_name="again.jpg", words=Words("New", ("fast", "new"), fields={"camera": "Y"})
    )
    assert (again.status, again.record.title, again.record.text) == ("created", "New", "")
    assert deleted(services) == (), "it is not deleted any more"
    restored = services.library.restore("default", record.image_id)
    assert (restored.title, restored.text, restored.source_url) == ("New", "a fox", WORDS.source_url)
    assert restored.tags == ("fast", "new", "red")
    assert restored.sources == ("again.jpg", "fox.jpg")
    assert restored.fields == {"camera": "Y"}
    assert restored.created_at_s == WORDS.created_at_s
    assert services.library.get("default", record.image_id) == restored
    assert services.library.restore("default", record.image_id) == restored
    assert keys_of(services.images, record.image_id) == ["originals", "thumbnails", "vectors"]


def test_fields_that_do_not_fit_together_do_not_keep_a_picture_in_the_trash(services: Services) -> None:
    big = {f"k{n}": "x" * 900 for n in range(60)}
    record = put(services, words=Words(fields=dict(big)))
    services.library.delete("default", [record.image_id])
    put(services, words=Words(fields={f"new{n}": "y" * 900 for n in range(60)}))
    restored = services.library.restore("default", record.image_id)
    assert {f"new{n}" for n in range(60)} <= restored.fields.keys()
    assert len(restored.fields) > 60


def test_a_purge_takes_no_picture_that_came_back(services: Services, gallery: Path) -> None:
    services.ingest.run(Source(gallery), "default")
    ids = [record.image_id for record in services.library.list_images("default").records]
    services.library.delete("default", ids)
    services.ingest.run(Source(gallery), "default")
    assert services.library.purge(older_than_s=0) == 15
    assert list(services.images.iter_keys(TRASH)) == []
    for image_id in ids:
        assert services.library.original(image_id)


# Files that go


def test_a_purge_takes_what_is_old_enough(services: Services) -> None:
    first, second = put(services), put(services, data=jpeg(draw((9, 200, 9), mark=1)))
    services.library.delete("default", [first.image_id])
    old(services, days=31)
    services.library.delete("default", [second.image_id])
    assert services.library.purge(older_than_s=30 * DAY_S) == 1
    assert keys_of(services.images, first.image_id) == []
    assert [entry.record.image_id for entry in deleted(services)] == [second.image_id]
    with pytest.raises(ImageNotFound):
        services.library.restore("default", first.image_id)
    assert services.library.purge(older_than_s=30 * DAY_S) == 0
    assert services.library.purge(older_than_s=0) == 1
    assert list(services.images.iter_keys()) == []


def test_a_purge_goes_through_more_than_one_batch(services: Services) -> None:
    ids = [put(services, data=jpeg(draw((mark, 40, 90), mark=mark))).image_id for mark in range(70)]
    services.library.delete("default", ids)
    stop = threading.Event()
    stop.set()
    assert services.library.purge(older_than_s=0, stop=stop) == 0
    assert services.library.purge(older_than_s=0) == 70
    assert list(services.images.iter_keys()) == []


def test_files_stay_while_another_collection_or_its_trash_has_the_picture(services: Services) -> None:
    record = put(services)
    put(services, "other")
    services.library.delete("default", [record.image_id])
    assert services.library.purge(older_than_s=0) == 1
    assert services.library.original(record.image_id)[0] == PICTURE, "the other one shows it"
    put(services)
    services.library.delete("other", [record.image_id])
    services.library.delete("default", [record.image_id])
    old(services, days=31)
    assert services.library.purge(older_than_s=DAY_S) == 1
    assert services.library.restore("other", record.image_id).image_id == record.image_id
    assert services.library.original(record.image_id)[0] == PICTURE
    services.library.delete("other", [record.image_id])
    services.library.purge(older_than_s=0)
    assert list(services.images.iter_keys()) == []


def test_permanently_takes_the_files_at_once(services: Services) -> None:
    record = put(services)
    assert services.library.delete("default", [record.image_id], permanently=True) == 1
    assert list(services.images.iter_keys()) == []
    assert services.library.delete("default", [record.image_id], permanently=True) == 0


def test_permanently_also_empties_the_trash(services: Services) -> None:
    record = put(services)
    services.library.delete("default", [record.image_id])
    assert services.library.delete("default", [record.image_id], permanently=True) == 1
    assert list(services.images.iter_keys()) == []


@pytest.mark.parametrize("other_is", ["shown", "in the trash"])
def test_permanently_leaves_what_another_collection_has(services: Services, other_is: str) -> None:
    record = put(services)
    put(services, "other")
    if other_is == "in the trash":
        services.library.delete("other", [record.image_id])
    services.library.delete("default", [record.image_id], permanently=True)
    services.library.restore("other", record.image_id)
    assert services.library.original(record.image_id)[0] == PICTURE
    assert services.library.thumbnail(record.image_id)


def test_without_a_trash_a_deletion_is_permanent(tmp_path: Path, services: Services) -> None:
    settings = load_settings(
        environ={}, overrides={"library.data_dir": str(services.settings.data_dir), "library.trash_days": "0"}
    )
    strict = replace(services, settings=settings)
    record = put(strict)
    assert strict.library.delete("default", [record.image_id]) == 1
    assert list(strict.images.iter_keys()) == []


def test_a_running_service_purges_at_its_start(services: Services) -> None:
    first, second = put(services), put(services, data=jpeg(draw((9, 200, 9), mark=1)))
    services.library.delete("default", [first.image_id])
    old(services, days=30.5)
    services.library.delete("default", [second.image_id])
    services.runner.start()
    deadline_s = time.monotonic() + 10
    while keys_of(services.images, first.image_id):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    assert [entry.record.image_id for entry in deleted(services)] == [second.image_id]


# Damage and strangers


@pytest.mark.parametrize(
    "damage", [b"", b"{}\n{}\n", b"\xff\xfe", b"[]\n[]\n", b'{"deleted_at_s": 1}\n', b"null\nnull\n", b"[" * 100_000]
)
def test_a_damaged_entry_keeps_no_other(services: Services, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    first, second = put(services), put(services, data=jpeg(draw((9, 200, 9), mark=1)))
    services.library.delete("default", [first.image_id, second.image_id])
    services.images.put(trash_key("default", first.image_id), damage, "application/json")
    assert [entry.record.image_id for entry in deleted(services)] == [second.image_id]
    assert first.image_id in caplog.text
    with pytest.raises(ImageStoreError, match="damaged"):
        services.library.restore("default", first.image_id)
    assert services.library.purge(older_than_s=0) == 1
    assert keys_of(services.images, first.image_id) == ["originals", "thumbnails", "trash", "vectors"]
    assert services.library.delete("default", [first.image_id], permanently=True) == 1
    assert list(services.images.iter_keys()) == []


# A crash between any two steps


class _CrashError(Exception):
    pass


@dataclass
class Fuse:
    """Counts the calls of both stores and ends the process, so to speak, before the n-th."""

    left: int

    def wrap(self, target: Any) -> Any:
        return _Fused(target, self)


class _Fused:
    def __init__(self, target: Any, fuse: Fuse) -> None:
        self._target, self._fuse = target, fuse

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return value

        @functools.wraps(value)
        def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.left -= 1
            if self._fuse.left < 0:
                raise _CrashError
            return value(*arguments, **named)

        return call


def fresh(services: Services, place: Path) -> Services:
    settings = replace(services.settings, library=replace(services.settings.library, data_dir=str(place)))
    place.mkdir()
    made = replace(services, settings=settings, store=MemoryVectorStore(), images=LocalImageStore(place / "images"))
    made.indexing._grace_s = 0
    return made


def crashes(
    services: Services, place: Path, prepare: Callable[[Services], ImageRecord], act: Callable[[Services, str], object]
) -> Iterator[tuple[Services, ImageRecord]]:
    """Libraries in which `act` ended before its first call of a store, its second, and so on; the last one whole."""
    for calls in range(1000):
        whole = fresh(services, place / str(calls))
        record = prepare(whole)
        fuse = Fuse(calls)
        fused = replace(whole, store=fuse.wrap(whole.store), images=fuse.wrap(whole.images))
        try:
            act(fused, record.image_id)
        except _CrashError:
            yield whole, record
        else:
            assert calls > 1, "the fuse is in the way of what is done"
            yield whole, record
            return
    raise AssertionError("no end")


def in_trash_of_default(services: Services) -> ImageRecord:
    record = put(services)
    services.library.delete("default", [record.image_id])
    return record


def in_trash_before_a_rebuild(services: Services) -> ImageRecord:
    services.collections.open_or_create("default")
    services.indexing.rebuild("default", projection="random:9")
    record = in_trash_of_default(services)
    services.indexing.rebuild("default", projection="random:6")
    return record


def in_trash_and_back(services: Services) -> ImageRecord:
    in_trash_of_default(services)
    return put(services, words=Words())


ACTIONS: dict[str, tuple[Callable[[Services], ImageRecord], Callable[[Services, str], object]]] = {
    "delete": (put, lambda s, i: s.library.delete("default", [i])),
    "delete again": (in_trash_and_back, lambda s, i: s.library.delete("default", [i])),
    "restore": (in_trash_of_default, lambda s, i: s.library.restore("default", i)),
    "restore after a rebuild": (in_trash_before_a_rebuild, lambda s, i: s.library.restore("default", i)),
    "restore what came back": (in_trash_and_back, lambda s, i: s.library.restore("default", i)),
    "insert again": (in_trash_of_default, lambda s, i: put(s, words=Words())),
    "purge of the young": (in_trash_of_default, lambda s, i: s.library.purge(older_than_s=DAY_S)),
    "purge of what came back": (in_trash_and_back, lambda s, i: s.library.purge(older_than_s=0)),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_a_crash_loses_nothing(services: Services, tmp_path: Path, name: str) -> None:
    prepare, act = ACTIONS[name]
    for whole, record in crashes(services, tmp_path, prepare, act):
        image_id = record.image_id
        shown = image_id in whole.library.known("default", [image_id])
        assert shown or [entry.record for entry in deleted(whole)] == [record]
        if shown:
            assert whole.library.original(image_id)[0] == PICTURE, "a hit without its picture"
            assert whole.library.thumbnail(image_id)
        act(whole, image_id)
        expected = {"delete": False, "delete again": False, "purge of the young": False}.get(name, True)
        assert (image_id in whole.library.known("default", [image_id])) is expected
        restored = whole.library.restore("default", image_id)
        # What a picture had before it came back is kept until it is deleted anew, or purged.
        forgotten = name in ("delete again", "purge of what came back")
        assert (restored.title, restored.tags) == (("", ()) if forgotten else (WORDS.title, WORDS.tags))
        assert whole.library.original(image_id)[0] == PICTURE
        assert np.linalg.norm(vector_of(whole, image_id)) == pytest.approx(1, abs=1e-3)


ENDS: dict[str, tuple[Callable[[Services], ImageRecord], Callable[[Services, str], object]]] = {
    "purge": (in_trash_of_default, lambda s, i: s.library.purge(older_than_s=0)),
    "delete permanently": (put, lambda s, i: s.library.delete("default", [i], permanently=True)),
    "delete permanently from the trash": (
        in_trash_of_default,
        lambda s, i: s.library.delete("default", [i], permanently=True),
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_crash_while_files_go_leaves_no_half_picture(services: Services, tmp_path: Path, name: str) -> None:
    prepare, act = ENDS[name]
    for number, (whole, record) in enumerate(crashes(services, tmp_path, prepare, act)):
        image_id = record.image_id
        if number % 2:
            try:
                whole.library.restore("default", image_id)
            except ImageNotFound:
                assert image_id not in whole.library.known("default", [image_id])
            else:
                assert whole.library.original(image_id)[0] == PICTURE
                assert whole.library.thumbnail(image_id)
                continue
        act(whole, image_id)
        assert list(whole.images.iter_keys()) == []
        assert whole.store.count("default") == 0


def test_a_picture_that_was_half_purged_may_come_in_again(services: Services, tmp_path: Path) -> None:
    for whole, record in crashes(services, tmp_path, *ENDS["purge"]):
        put(whole)
        whole.library.purge(older_than_s=0)
        assert whole.library.original(record.image_id)[0] == PICTURE
        assert whole.images.exists(thumbnail_key(record.image_id))


# Many at once


def slowly(monkeypatch: pytest.MonkeyPatch, target: object, *names: str) -> None:
    """Make calls last so long that whoever is not kept out comes in between."""
    for name in names:
        real = getattr(target, name)

        def slow(*arguments: Any, _real: Any = real, **named: Any) -> Any:
            result = _real(*arguments, **named)
            time.sleep(0.002)
            return result

        monkeypatch.setattr(target, name, slow)


def at_once(*actions: Callable[[], object]) -> list[BaseException]:
    errors: list[BaseException] = []

    def run(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_deleting_restoring_editing_inserting_and_purging_at_once(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = put(services)
    image_id = record.image_id
    slowly(monkeypatch, services.store, "get", "get_embeddings", "upsert", "delete")
    slowly(monkeypatch, services.images, "put", "delete", "exists")
    # A second process on the same machine: it shares nothing but the stores and the folder.
    other = replace(services)
    unexpected: list[BaseException] = []

    def again(count: int, action: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            for _ in range(count):
                try:
                    action()
                except ImageNotFound:
                    continue
                except ImageSearchError as error:
                    unexpected.append(error)

        return run

    errors = at_once(
        again(12, lambda: services.library.delete("default", [image_id])),
        again(12, lambda: other.library.restore("default", image_id)),
        again(12, lambda: services.library.update("default", image_id, Changes(fields={"a": 1}))),
        again(6, lambda: put(other)),
        again(6, lambda: services.library.purge(older_than_s=0)),
        again(4, lambda: other.library.delete("default", [image_id], permanently=True)),
    )
    assert (errors, unexpected) == ([], [])
    shown = image_id in services.library.known("default", [image_id])
    if not shown:
        try:
            services.library.restore("default", image_id)
        except ImageNotFound:
            assert services.library.purge(older_than_s=0) == 0
            assert list(services.images.iter_keys()) == []
            return
    assert services.library.original(image_id)[0] == PICTURE
    assert services.library.thumbnail(image_id)


def test_only_one_of_many_deletes_counts(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    record = put(services)
    slowly(monkeypatch, services.store, "get", "delete")
    counts: list[int] = []
    delete = services.library.delete
    assert at_once(*[lambda: counts.append(delete("default", [record.image_id])) for _ in range(6)]) == []
    assert sorted(counts) == [0, 0, 0, 0, 0, 1]
    assert len(deleted(services)) == 1


def test_a_purge_and_an_ingest_of_the_same_pictures_at_once(
    services: Services, gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The purge comes when the ingest has put the files and not yet the rows."""
    services.ingest.run(Source(gallery), "default")
    ids = [record.image_id for record in services.library.list_images("default").records]
    services.library.delete("default", ids)
    purges: list[threading.Thread] = []
    real = services.images.put

    def put_then_purge(key: str, data: bytes, content_type: str) -> None:
        real(key, data, content_type)
        if key.startswith("thumbnails/") and len(purges) < 1:
            purge = threading.Thread(target=services.library.purge, kwargs={"older_than_s": 0})
            purges.append(purge)
            purge.start()
            purge.join(0.3)

    monkeypatch.setattr(services.images, "put", put_then_purge)
    assert services.ingest.run(Source(gallery), "default").added == 15
    for purge in purges:
        purge.join()
    assert len(purges) == 1
    for image_id in ids:
        assert services.library.original(image_id)
        assert services.library.thumbnail(image_id)


def test_a_rebuild_and_the_trash_at_once(services: Services, gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted and restored while the collection is made anew: what was said last holds in the new one."""
    services.indexing._grace_s = 0
    services.ingest.run(Source(gallery), "default")
    ids = [record.image_id for record in services.library.list_images("default").records]
    services.library.delete("default", ids[:3])
    real = services.store.build_index

    def build_index(name: str) -> None:
        services.library.restore("default", ids[0])
        services.library.delete("default", [ids[5], ids[6]])
        services.library.restore("default", ids[6])
        real(name)

    monkeypatch.setattr(services.store, "build_index", build_index)
    services.indexing.rebuild("default", projection="random:8")
    there = set(services.library.known("default", ids))
    assert set(ids) - there == {ids[1], ids[2], ids[5]}
    assert {entry.record.image_id for entry in deleted(services)} == {ids[1], ids[2], ids[5]}
