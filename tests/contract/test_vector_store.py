"""The contract of `interfaces.VectorStore`, held by every implementation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from image_search.errors import (
    CollectionExists,
    CollectionNotFound,
    Conflict,
    InvalidParameter,
    ModelMismatch,
    VectorStoreError,
)
from image_search.interfaces import FloatArray, VectorStore
from image_search.types import ImageRecord, IndexSpec, SearchParams
from tests.vectors import DIM, SPEC, collection_name, image_id, record, unit_rows


@pytest.fixture
def fill(store: VectorStore, name: str) -> Callable[[int], FloatArray]:
    def write(n: int) -> FloatArray:
        rows = unit_rows(n)
        store.upsert(name, [record(i) for i in range(n)], rows)
        return rows

    return write


def ids(hits: list) -> list[str]:  # type: ignore[type-arg]
    return [hit.record.image_id for hit in hits]


def test_it_is_a_vector_store(store: VectorStore) -> None:
    assert isinstance(store, VectorStore)
    store.ping()


def test_create_describe_list_drop(store: VectorStore) -> None:
    made = collection_name()
    spec = replace(SPEC, index=IndexSpec("FLAT", {"any": 1}))
    store.create_collection(made, spec)
    assert store.describe_collection(made) == spec
    assert made in store.list_collections()
    assert store.list_collections() == sorted(store.list_collections())
    assert store.resolve(made) == made
    assert store.count(made) == 0
    with pytest.raises(CollectionExists):
        store.create_collection(made, SPEC)
    store.drop_collection(made)
    store.drop_collection(made)
    assert made not in store.list_collections()
    with pytest.raises(CollectionNotFound):
        store.describe_collection(made)


def test_a_collection_can_be_made_anew_with_another_dim(store: VectorStore) -> None:
    made = collection_name()
    store.create_collection(made, SPEC)
    store.upsert(made, [record(1)], unit_rows(1))
    store.drop_collection(made)
    store.create_collection(made, replace(SPEC, dim=8))
    assert store.count(made) == 0
    store.upsert(made, [record(1)], unit_rows(1, 8))
    assert len(store.search(made, unit_rows(1, 8), SearchParams())[0]) == 1
    store.drop_collection(made)


@pytest.mark.parametrize("bad", ["", "a b", 'a"; drop', "../x", "1a", "ä", "a" * 256])
def test_hostile_collection_names(store: VectorStore, bad: str) -> None:
    with pytest.raises(InvalidParameter):
        store.create_collection(bad, SPEC)
    with pytest.raises(CollectionNotFound):
        store.count(bad)
    store.drop_collection(bad)


def test_unknown_collection(store: VectorStore) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.describe_collection("nowhere"),
        lambda: store.resolve("nowhere"),
        lambda: store.point("somewhere", "nowhere"),
        lambda: store.upsert("nowhere", [record(1)], unit_rows(1)),
        lambda: store.update("nowhere", [record(1)]),
        lambda: store.search("nowhere", unit_rows(1), SearchParams()),
        lambda: store.get("nowhere", [image_id(1)]),
        lambda: store.get_embeddings("nowhere", [image_id(1)]),
        lambda: store.iterate("nowhere"),
        lambda: store.delete("nowhere", [image_id(1)]),
        lambda: store.count("nowhere"),
        lambda: store.build_index("nowhere"),
    ]
    for call in calls:
        with pytest.raises(CollectionNotFound):
            call()


def test_another_schema_version_is_refused(store: VectorStore) -> None:
    with pytest.raises(VectorStoreError, match="schema version"):
        store.create_collection(collection_name(), replace(SPEC, schema_version=99))


def test_empty_collection(store: VectorStore, name: str) -> None:
    assert store.search(name, unit_rows(2), SearchParams()) == [[], []]
    assert store.search(name, unit_rows(0), SearchParams()) == []
    assert store.upsert(name, [], unit_rows(0)) == 0
    assert store.get(name, []) == {}
    assert store.update(name, [record(1)]) == 0
    assert store.delete(name, [image_id(1)]) == 0
    assert list(store.iterate(name)) == []


def test_upsert_twice_replaces(store: VectorStore, name: str) -> None:
    rows = unit_rows(2)
    assert store.upsert(name, [record(1)], rows[:1]) == 1
    assert store.upsert(name, [record(1, title="second")], rows[1:]) == 1
    assert store.count(name) == 1
    [hit] = store.search(name, rows[1:], SearchParams())[0]
    assert hit.record.title == "second"
    assert hit.score == pytest.approx(1.0, abs=1e-5)


def test_of_one_id_twice_in_a_call_the_last_wins(store: VectorStore, name: str) -> None:
    rows = unit_rows(2)
    assert store.upsert(name, [record(1, title="first"), record(1, title="last")], rows) == 2
    assert store.count(name) == 1
    assert store.get(name, [image_id(1)])[image_id(1)].title == "last"
    np.testing.assert_allclose(store.get_embeddings(name, [image_id(1)])[image_id(1)], rows[1], atol=1e-6)


def test_reads_its_own_writes(store: VectorStore, name: str) -> None:
    rows = unit_rows(20)
    for i, row in enumerate(rows):
        store.upsert(name, [record(i)], row[None])
        assert ids(store.search(name, row[None], SearchParams(top_k=1))[0]) == [image_id(i)]
        assert store.count(name) == i + 1
    store.delete(name, [image_id(3)])
    assert image_id(3) not in ids(store.search(name, rows[3:4], SearchParams(top_k=20))[0])


def test_search_is_exact(store: VectorStore, name: str, fill: Callable[[int], FloatArray]) -> None:
    rows = fill(700)
    queries = unit_rows(5, seed=1)
    exact = rows @ queries.T
    for q, hits in enumerate(store.search(name, queries, SearchParams(top_k=50))):
        assert ids(hits) == [image_id(i) for i in np.argsort(-exact[:, q])[:50]]
        np.testing.assert_allclose([hit.score for hit in hits], np.sort(exact[:, q])[::-1][:50], atol=1e-5)
        assert all(hit.record.title.startswith("t") for hit in hits)


def test_top_k_above_the_size(store: VectorStore, name: str, fill: Callable[[int], FloatArray]) -> None:
    rows = fill(7)
    hits = store.search(name, rows[:1], SearchParams(top_k=100))[0]
    assert len(hits) == len(set(ids(hits))) == 7
    assert store.search(name, rows[:1], SearchParams(top_k=5, offset=7))[0] == []
    assert len(store.search(name, rows[:1], SearchParams(top_k=16_384))[0]) == 7


def test_pages_are_cuts_of_one_list(store: VectorStore, name: str, fill: Callable[[int], FloatArray]) -> None:
    fill(300)
    query = unit_rows(1, seed=2)
    whole = ids(store.search(name, query, SearchParams(top_k=300))[0])
    paged = [i for offset in range(0, 300, 7) for i in ids(store.search(name, query, SearchParams(7, offset))[0])]
    assert paged == whole


@pytest.mark.parametrize(
    "params", [SearchParams(0), SearchParams(10, -1), SearchParams(16_385), SearchParams(10, 16_380)]
)
def test_windows_out_of_range(store: VectorStore, name: str, params: SearchParams) -> None:
    with pytest.raises(InvalidParameter):
        store.search(name, unit_rows(1), params)


def test_min_score(store: VectorStore, name: str, fill: Callable[[int], FloatArray]) -> None:
    fill(200)
    query = unit_rows(1, seed=3)
    hits = store.search(name, query, SearchParams(200))[0]
    floor = (hits[19].score + hits[20].score) / 2
    assert ids(store.search(name, query, SearchParams(200, min_score=floor))[0]) == ids(hits)[:20]
    assert store.search(name, query, SearchParams(200, min_score=1.0))[0] == []


def test_ties_are_ordered_by_image_id(store: VectorStore, name: str) -> None:
    same = np.repeat(unit_rows(1), 60, axis=0)
    near = unit_rows(60, seed=4)
    store.upsert(name, [record(i) for i in range(120)], np.concatenate([same, near]))
    tied = sorted(image_id(i) for i in range(60))
    assert ids(store.search(name, same[:1], SearchParams(top_k=60))[0]) == tied
    assert ids(store.search(name, same[:1], SearchParams(top_k=5))[0]) == tied[:5]
    paged = [i for k in range(0, 60, 9) for i in ids(store.search(name, same[:1], SearchParams(9, k))[0])]
    assert paged[:60] == tied


def test_a_batch_equals_its_queries_one_by_one(
    store: VectorStore, name: str, fill: Callable[[int], FloatArray]
) -> None:
    fill(400)
    queries = unit_rows(33, seed=5)
    for top_k in (3, 150):
        batch = store.search(name, queries, SearchParams(top_k))
        single = [store.search(name, query[None], SearchParams(top_k))[0] for query in queries]
        assert [ids(hits) for hits in batch] == [ids(hits) for hits in single]
        for together, alone in zip(batch, single, strict=True):
            assert [h.record for h in together] == [h.record for h in alone]
            np.testing.assert_allclose([h.score for h in together], [h.score for h in alone], atol=1e-6)


def test_embeddings_of_another_length(store: VectorStore, name: str) -> None:
    with pytest.raises(ModelMismatch):
        store.upsert(name, [record(1)], unit_rows(1, DIM + 1))
    with pytest.raises(ModelMismatch):
        store.search(name, unit_rows(1, DIM + 1), SearchParams())
    assert store.count(name) == 0


def test_embeddings_that_cannot_be_meant(store: VectorStore, name: str) -> None:
    with pytest.raises(InvalidParameter):
        store.upsert(name, [record(1)], unit_rows(2))
    with pytest.raises(InvalidParameter):
        store.upsert(name, [record(1)], unit_rows(1)[0])
    with pytest.raises(InvalidParameter):
        store.upsert(name, [record(1)], np.full((1, DIM), np.nan, np.float32))
    with pytest.raises(InvalidParameter):
        store.search(name, np.full((1, DIM), np.inf, np.float32), SearchParams())
    assert store.count(name) == 0


def test_update_keeps_the_embedding(store: VectorStore, name: str, fill: Callable[[int], FloatArray]) -> None:
    rows = fill(300)
    changed = [record(i, title="new", tags=("a", "b")) for i in range(250)] + [record("absent")]
    assert store.update(name, changed) == 250
    assert store.count(name) == 300
    kept = store.get_embeddings(name, [image_id(i) for i in range(300)])
    assert len(kept) == 300
    np.testing.assert_allclose(np.stack([kept[image_id(i)] for i in range(300)]), rows, atol=1e-6)
    found = store.get(name, [image_id(0), image_id(299), image_id("absent")])
    assert found == {image_id(0): changed[0], image_id(299): record(299)}


def test_delete(store: VectorStore, name: str, fill: Callable[[int], FloatArray]) -> None:
    fill(300)
    doomed = [image_id(i) for i in range(200)]
    assert store.delete(name, [*doomed, image_id("absent"), doomed[0]]) == 200
    assert store.delete(name, doomed) == 0
    assert store.count(name) == 100
    assert store.get(name, doomed) == {}
    store.upsert(name, [record(0)], unit_rows(1))
    assert store.count(name) == 101


def test_iterate_sees_every_row_once(store: VectorStore, name: str, fill: Callable[[int], FloatArray]) -> None:
    rows = fill(530)
    batches = list(store.iterate(name, batch_size=100))
    assert [len(records) for records, _ in batches] == [100, 100, 100, 100, 100, 30]
    seen = {r.image_id: e for records, embeddings in batches for r, e in zip(records, embeddings, strict=True)}
    assert len(seen) == 530
    for i in range(530):
        np.testing.assert_allclose(seen[image_id(i)], rows[i], atol=1e-6)
    assert batches[0][1].dtype == np.float32
    assert sum(len(records) for records, _ in store.iterate(name)) == 530


def test_iterate_while_others_write(store: VectorStore, name: str, fill: Callable[[int], FloatArray]) -> None:
    fill(400)
    seen: list[str] = []
    for k, (records, _) in enumerate(store.iterate(name, batch_size=50)):
        seen += [r.image_id for r in records]
        store.upsert(name, [record(f"late {k}"), record(k)], unit_rows(2, seed=k))
        store.delete(name, [image_id(399)])
    assert len(seen) == len(set(seen))
    assert {image_id(i) for i in range(399)} <= set(seen)


def test_iterate_since(store: VectorStore, name: str, fill: Callable[[int], FloatArray]) -> None:
    fill(50)
    time.sleep(0.01)
    since_ms = time.time_ns() // 1_000_000
    store.upsert(name, [record(1), record("new")], unit_rows(2, seed=7))
    store.update(name, [record(2, title="changed")])
    found = {r.image_id for records, _ in store.iterate(name, updated_since_ms=since_ms) for r in records}
    assert found == {image_id(1), image_id("new"), image_id(2)}
    assert list(store.iterate(name, updated_since_ms=since_ms + 60_000)) == []
    assert sum(len(records) for records, _ in store.iterate(name, updated_since_ms=0)) == 51


def test_aliases(store: VectorStore, name: str) -> None:
    other = collection_name()
    alias = f"alias_{other}"
    store.create_collection(other, replace(SPEC, dim=8))
    store.upsert(name, [record(1)], unit_rows(1))
    store.point(alias, name)
    assert store.aliases()[alias] == name
    assert store.resolve(alias) == name
    assert store.describe_collection(alias) == SPEC
    assert alias not in store.list_collections()
    assert store.count(alias) == 1
    store.upsert(alias, [record(2)], unit_rows(1, seed=1))
    assert store.count(name) == 2

    with pytest.raises(Conflict):
        store.drop_collection(name)
    with pytest.raises(CollectionExists):
        store.create_collection(alias, SPEC)
    with pytest.raises(CollectionExists):
        store.point(other, name)
    with pytest.raises(CollectionNotFound):
        store.point("another_alias", alias)
    store.drop_collection(alias)
    assert store.resolve(alias) == name

    with pytest.raises(CollectionExists):
        store.point(alias, other, new=True)
    store.point(alias, name, new=True)
    assert store.resolve(alias) == name

    store.point(alias, other)
    assert store.resolve(alias) == other
    assert store.count(alias) == 0
    store.upsert(alias, [record(3)], unit_rows(1, 8))
    assert len(store.search(alias, unit_rows(1, 8), SearchParams())[0]) == 1
    store.drop_collection(name)
    assert name not in store.list_collections()


def test_every_field_comes_back(store: VectorStore, name: str) -> None:
    whole = record(
        1,
        size_px=(1, 100_000),
        sources=('n01/"x".JPEG', "ünï/码 🐶.png", "a'b\\c\n\t"),
        title='Ein "Hund" \\ 犬 🐕‍🦺 \' OR 1=1 -- \x00 end',
        tags=("", "猫", 'q"uote', "{json}", "emoji 🎉"),
        text="日本語のテキスト\r\n" * 500,
        fields={"year": 2010, "ok": True, "none": None, 'k"ey 🔑': "v'al\\ue", "f": 0.1, "big": 2**62, "": ""},
        phash=0xFFFF_0000_8000_0001,
        low_detail=True,
        created_at_s=1_700_000_000,
        source_url="https://example.org/?q=%22&x='",
    )
    bare = ImageRecord(image_id(2), "k", (0, 0))
    store.upsert(name, [whole, bare], unit_rows(2))
    assert store.get(name, [image_id(1), image_id(2)]) == {image_id(1): whole, image_id(2): bare}
    assert store.search(name, unit_rows(2)[:1], SearchParams(1))[0][0].record == whole
    [(records, _)] = store.iterate(name)
    assert {r.image_id: r for r in records} == {image_id(1): whole, image_id(2): bare}


@pytest.mark.parametrize("phash", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_perceptual_hashes(store: VectorStore, name: str, phash: int) -> None:
    store.upsert(name, [record(1, phash=phash)], unit_rows(1))
    assert store.get(name, [image_id(1)])[image_id(1)].phash == phash


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "ä" * 3000),
        ("title", "half \ud83d"),
        ("text", "x" * 65_536),
        ("object_key", "k" * 513),
        ("source_url", "u" * 9000),
        ("tags", ("t" * 257,)),
        ("tags", ("t",) * 600),
        ("sources", ("ü" * 2100,)),
        ("fields", {"x": "y" * 70_000}),
        ("fields", {"x": float("nan")}),
        ("fields", {"x": 2**63}),
        ("fields", {"x": [1]}),
        ("fields", {1: "x"}),
        ("phash", -1),
        ("phash", 2**64),
        ("created_at_s", 2**63),
        ("size_px", (2**63, 1)),
    ],
)
def test_what_no_column_takes_is_refused_before_anything_is_written(
    store: VectorStore, name: str, field: str, value: object
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        store.upsert(name, [record("good"), record("bad", **{field: value})], unit_rows(2))
    assert caught.value.field == field
    assert store.count(name) == 0


def test_the_longest_values_are_kept(store: VectorStore, name: str) -> None:
    long = record(
        1,
        title="ü" * 2048,
        text="猫" * 21_845,
        tags=("t" * 256,) * 512,
        sources=tuple(f"{i:0>4096}" for i in range(4096)),
        fields={"x": "y" * 65_000},
    )
    store.upsert(name, [long], unit_rows(1))
    assert store.get(name, [image_id(1)]) == {image_id(1): long}


@pytest.mark.parametrize("bad", ["", "x", "A" * 64, "0" * 63, "0" * 65, '" or image_id != "', "0" * 64 + "\n"])
def test_hostile_ids(store: VectorStore, name: str, bad: str) -> None:
    store.upsert(name, [record(1)], unit_rows(1))
    calls: list[Callable[[], object]] = [
        lambda: store.get(name, [bad]),
        lambda: store.get_embeddings(name, [bad]),
        lambda: store.delete(name, [image_id(1), bad]),
        lambda: store.upsert(name, [replace(record(1), image_id=bad)], unit_rows(1)),
        lambda: store.update(name, [replace(record(1), image_id=bad)]),
    ]
    for call in calls:
        with pytest.raises(InvalidParameter) as caught:
            call()
        assert caught.value.field == "image_id"
    assert store.count(name) == 1


def test_the_stores_arrays_are_its_own(store: VectorStore, name: str) -> None:
    rows = unit_rows(1)
    given = rows.copy()
    store.upsert(name, [record(1)], given)
    given[:] = 0
    store.get_embeddings(name, [image_id(1)])[image_id(1)][:] = 0
    np.testing.assert_allclose(store.get_embeddings(name, [image_id(1)])[image_id(1)], rows[0], atol=1e-6)


def test_build_index_keeps_everything_searchable(
    store: VectorStore, name: str, fill: Callable[[int], FloatArray]
) -> None:
    rows = fill(100)
    store.build_index(name)
    assert ids(store.search(name, rows[:1], SearchParams(1))[0]) == [image_id(0)]


def test_eight_threads_write_and_search(store: VectorStore, name: str) -> None:
    rows = unit_rows(8 * 60, seed=9)
    errors: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for i in range(thread * 60, thread * 60 + 60, 5):
                store.upsert(name, [record(k) for k in range(i, i + 5)], rows[i : i + 5])
                hits = store.search(name, rows[i : i + 2], SearchParams(top_k=1))
                assert [ids(one) for one in hits] == [[image_id(i)], [image_id(i + 1)]]
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            errors.append(error)

    threads = [threading.Thread(target=work, args=(t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store.count(name) == len(rows)


def test_one_id_written_by_eight_threads_is_one_row(store: VectorStore, name: str) -> None:
    rows = unit_rows(40)
    barrier = threading.Barrier(8)
    written: list[int] = []

    def work() -> None:
        barrier.wait()
        written.append(store.upsert(name, [record(i) for i in range(40)], rows))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == [40] * 8
    assert store.count(name) == 40
    assert len(store.search(name, rows[:1], SearchParams(top_k=100))[0]) == 40


def test_an_embedded_library_has_flat_only(lite_store: VectorStore) -> None:
    with pytest.raises(InvalidParameter, match="FLAT"):
        lite_store.create_collection(collection_name(), replace(SPEC, index=IndexSpec("IVF_FLAT")))


def test_an_alias_moved_by_another_process_is_seen(lite_store: VectorStore, tmp_path: Path) -> None:
    """Another store object stands for the other process: it has nothing in common but the files."""
    from image_search.vectors.milvus_store import MilvusVectorStore

    first, second, alias = collection_name(), collection_name(), f"alias_{collection_name()}"
    for made in (first, second):
        lite_store.create_collection(made, SPEC)
    lite_store.upsert(second, [record(1)], unit_rows(1))
    lite_store.point(alias, first)
    assert isinstance(lite_store, MilvusVectorStore)
    engine = lite_store._connection.engine
    assert engine is not None
    other = MilvusVectorStore(str(engine._db_path))
    assert other.count(alias) == 0
    lite_store.point(alias, second)
    assert other.count(alias) == 1
    other.point(alias, first)
    assert lite_store.count(alias) == 0
    other.close()
    assert lite_store.count(alias) == 0
