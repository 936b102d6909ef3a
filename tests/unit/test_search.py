"""Searches by picture, by words, by both; in regions, less negatives, collapsed, paged."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from image_search.embedding.projection import normalise
from image_search.errors import FetchError, ImageNotFound, InvalidParameter
from image_search.filters import parse_filter
from image_search.fingerprint import content_hash
from image_search.interfaces import FloatArray
from image_search.metadata.words import Words
from image_search.ranking import Weights, fused_score
from image_search.services.searching.answer import SearchAnswer
from image_search.services.searching.query import Crop, Query, QueryVector
from image_search.services.searching.service import MAX_COLLAPSED, SearchService
from image_search.storage.keys import thumbnail_key
from image_search.types import ImageRecord, SearchParams
from image_search.wiring import Services
from tests.support import draw, jpeg

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 40), (40, 50, 220)


def _insert(services: Services, image: Image.Image, **words: object) -> str:
    data = jpeg(image)
    services.library.insert("default", data, words=Words(**words))  # type: ignore[arg-type]
    return content_hash(data)


@pytest.fixture
def library(services: Services) -> dict[str, str]:
    """Names -> ids of nine pictures of three colours with words."""
    ids = {}
    for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        for mark, kind in enumerate(("cat", "dog", "boat")):
            ids[f"{name} {kind}"] = _insert(services, draw(colour, mark=mark), title=f"{name} {kind}", tags=(kind,))
    return ids


def _names(answer: SearchAnswer) -> list[str]:
    return [hit.hit.record.title for hit in answer.hits]


def test_words_alone(services: Services, library: dict[str, str]) -> None:
    answer = services.search.search("default", Query(text="cats, and a boat"), SearchParams())
    assert {name.split()[1] for name in _names(answer)} == {"boat"}
    assert answer.nothing_close is False
    assert answer.query_vector is None
    hit = answer.hits[0].as_dict()
    assert hit["found_by"] == ["text"]
    assert hit["scores"]["image"] is None
    assert hit["scores"]["text"] == hit["score"] > 0
    assert hit["match"] == "similar"


def test_words_that_nothing_has(services: Services, library: dict[str, str]) -> None:
    answer = services.search.search("default", Query(text="zeppelin"), SearchParams())
    assert answer.hits == ()
    assert answer.nothing_close is True


def test_a_picture_and_words(services: Services, library: dict[str, str]) -> None:
    query = Query(image=jpeg(draw(RED, mark=7)), text="dog")
    answer = services.search.search("default", query, SearchParams(top_k=9))
    assert _names(answer)[0] == "red dog"
    first = answer.hits[0].as_dict()
    assert set(first["found_by"]) == {"image", "text"}
    assert first["scores"]["image"] > 0.9
    assert first["scores"]["text"] > 0
    assert first["score"] == pytest.approx((first["scores"]["image"] + 1) / 2, abs=1e-5)
    assert len(answer.hits) == 9
    assert {"red cat", "red boat"} < set(_names(answer)[:5])


def test_weights_move_between_picture_and_words(services: Services, library: dict[str, str]) -> None:
    def first(weights: Weights) -> list[str]:
        query = Query(image=jpeg(draw(RED, mark=7)), text="dog", weights=weights)
        return _names(services.search.search("default", query, SearchParams(top_k=3)))

    assert all(name.startswith("red") for name in first(Weights(1, 0)))
    assert all(name.endswith("dog") for name in first(Weights(0, 1)))


def test_pages_of_a_fused_search_join_without_gap_or_double(services: Services, library: dict[str, str]) -> None:
    query = Query(image=jpeg(draw(RED, mark=7)), text="dog")
    whole = _names(services.search.search("default", query, SearchParams(top_k=9)))
    paged: list[str] = []
    for offset in range(0, 12, 2):
        answer = services.search.search("default", query, SearchParams(top_k=2, offset=offset))
        paged += _names(answer)
        assert answer.has_more == (offset + 2 < 9)
        assert [hit.rank for hit in answer.hits] == list(range(offset + 1, offset + 1 + len(answer.hits)))
    assert paged == whole


@pytest.mark.parametrize("weights", [Weights(), Weights(3, 1), Weights(1, 3), Weights(0, 1), Weights(1, 0)])
@pytest.mark.parametrize("min_score", [None, 0.75])
def test_a_fused_page_is_the_one_of_all_scores(services: Services, weights: Weights, min_score: float | None) -> None:
    """Exact, however few of the hits were looked at: 400 pictures, each with some of five words."""
    rng = np.random.default_rng(3)
    kinds = ("cat", "dog", "boat", "tree", "sky")
    provider = services.provider.get("none")
    services.collections.open_or_create("default")
    records, vectors = [], normalise(rng.random((400, provider.dim), np.float32))
    for row in range(400):
        text = " ".join(rng.choice(kinds, rng.integers(0, 6)))
        image_id = content_hash(str(row).encode())
        records.append(ImageRecord(image_id, "k", (9, 9), title=text, low_detail=row % 7 == 0))
    services.store.upsert("default", records, vectors)
    query = Query(image=jpeg(_scene(4)), text="cat dog", weights=weights)
    first = services.search.search("default", query, SearchParams(top_k=1))
    assert first.query_vector is not None
    cosines = {r.image_id: float(v @ first.query_vector.vector) for r, v in zip(records, vectors, strict=True)}
    words = {h.record.image_id: h.score for h in services.store.search_text("default", "cat dog", SearchParams(400))}
    score = {
        r.image_id: fused_score(cosines[r.image_id], words.get(r.image_id, 0.0), max(words.values()), weights)
        for r in records
    }
    wanted = [
        r.image_id
        for r in sorted(records, key=lambda r: (r.low_detail, -score[r.image_id], r.image_id))
        if score[r.image_id] > 0 and (min_score is None or cosines[r.image_id] >= min_score)
    ]
    got: list[str] = []
    for offset in range(0, 420, 35):
        page = services.search.search("default", query, SearchParams(35, offset, min_score))
        got += [hit.hit.record.image_id for hit in page.hits]
        assert page.has_more == (offset + 35 < len(wanted))
    assert len(got) == len(wanted)
    assert [round(score[i], 5) for i in got] == [round(score[i], 5) for i in wanted]


def test_the_words_of_a_stored_picture(services: Services, library: dict[str, str]) -> None:
    answer = services.search.search("default", Query(text_of=library["red boat"]), SearchParams(top_k=3))
    assert _names(answer)[0] == "red boat"
    bare = _insert(services, draw((1, 2, 3)))
    with pytest.raises(InvalidParameter, match="no words"):
        services.search.search("default", Query(text_of=bare), SearchParams())


def test_filters_hold_for_words_and_pictures(services: Services, library: dict[str, str]) -> None:
    where = parse_filter({"tags": {"any": ["dog"]}})
    for query in (
        Query(text="red", where=where),
        Query(image=jpeg(draw(RED, mark=7)), where=where),
        Query(image=jpeg(draw(RED, mark=7)), text="red boat", where=where),
    ):
        answer = services.search.search("default", query, SearchParams())
        assert answer.hits
        assert all(name.endswith("dog") for name in _names(answer))


def test_negatives_push_their_kind_away_and_are_no_hits(services: Services, library: dict[str, str]) -> None:
    purple = jpeg(draw((150, 40, 150), mark=9))
    plain = _names(services.search.search("default", Query(image=purple), SearchParams(top_k=9)))
    away = [library["blue cat"], library["blue dog"]]
    query = Query(image=purple, negative_ids=tuple(away))
    answer = services.search.search("default", query, SearchParams(top_k=9))
    assert not {"blue cat", "blue dog"} & set(_names(answer))
    assert _names(answer).index("blue boat") > plain.index("blue boat")
    assert answer.cut_off is None
    with pytest.raises(InvalidParameter, match="negative_ids"):
        services.search.search("default", Query(image=purple, negative_ids=("ab" * 32,)), SearchParams())


def test_the_search_follows_the_region(services: Services, library: dict[str, str]) -> None:
    both = Image.new("RGB", (200, 100))
    both.paste(draw(RED, size=(100, 100)), (0, 0))
    both.paste(draw(BLUE, size=(100, 100)), (100, 0))
    data = jpeg(both)
    for crop, colour in ((Crop(0, 0, 0.5, 1), "red"), (Crop(0.5, 0, 1, 1), "blue")):
        answer = services.search.search("default", Query(image=data, crop=crop), SearchParams(top_k=3))
        assert {name.split()[0] for name in _names(answer)} == {colour}
        assert answer.query_vector is not None
        assert answer.query_vector.image_id == ""
        assert answer.query_size_px == (200, 100)


@pytest.mark.parametrize(
    "crop",
    [Crop(0.5, 0, 0.5, 1), Crop(-0.1, 0, 1, 1), Crop(0, 0, 1.1, 1), Crop(0.9, 0, 0.1, 1), Crop(0, float("nan"), 1, 1)],
)
def test_a_region_outside_the_picture(services: Services, library: dict[str, str], crop: Crop) -> None:
    with pytest.raises(InvalidParameter, match="crop"):
        services.search.search("default", Query(image=jpeg(draw(RED)), crop=crop), SearchParams())


def test_a_region_of_next_to_nothing(services: Services, library: dict[str, str]) -> None:
    with pytest.raises(InvalidParameter, match="smaller than"):
        services.search.search("default", Query(image=jpeg(draw(RED)), crop=Crop(0, 0, 0.01, 1)), SearchParams())


def test_an_answer_asks_again_without_the_picture(services: Services, library: dict[str, str]) -> None:
    data = jpeg(draw(RED, mark=7))
    first = services.search.search("default", Query(image=data), SearchParams(top_k=4))
    known = first.query_vector
    again = services.search.search("default", Query(known=known), SearchParams(top_k=4))
    assert [hit.as_dict() for hit in again.hits] == [hit.as_dict() for hit in first.hits]
    assert known is not None
    with pytest.raises(InvalidParameter, match="query_id"):
        services.search.search("default", Query(known=replace(known, model_id="other@1")), SearchParams())


@dataclass
class _Fetcher:
    pages: dict[str, bytes]
    asked: list[str] = field(default_factory=list)

    def fetch(self, url: str, *, within_s: float | None = None) -> bytes:
        self.asked.append(url)
        if url not in self.pages:
            raise FetchError("the address cannot be fetched")
        return self.pages[url]


def test_a_picture_behind_a_url(services: Services, library: dict[str, str]) -> None:
    fetcher = _Fetcher({"http://example.com/a.jpg": jpeg(draw(RED, mark=0))})
    search = SearchService(services.collections, services.images, services.preparer, fetcher)
    answer = search.search("default", Query(image_url="http://example.com/a.jpg"), SearchParams(top_k=1))
    assert answer.hits[0].match == "identical"
    assert answer.timing_ms["fetch"] > 0
    with pytest.raises(FetchError):
        search.search("default", Query(image_url="http://example.com/b.jpg"), SearchParams())


def _known(vector: FloatArray) -> QueryVector:
    return QueryVector(vector, "m", "none", "", (0,), False)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (Query(), "image"),
        (Query(text="  \n"), "image"),
        (Query(image=b"x", image_id="ab" * 32), "image_id"),
        (Query(image=b"x", image_url="http://a.b/c"), "image_url"),
        (Query(image_id="ab" * 32, known=_known(np.ones(1, np.float32))), "query_id"),
        (Query(image_id="../../etc/passwd"), "image_id"),
        (Query(text_of="../x"), "text_of"),
        (Query(text="a", text_of="ab" * 32), "text_of"),
        (Query(text="a" * 70_000), "text"),
        (Query(text="a", negative_ids=("ab" * 32,)), "negative_ids"),
        (Query(image=b"x", negative_ids=("ab" * 32,) * 101), "negative_ids"),
        (Query(image_id="ab" * 32, crop=Crop(0, 0, 1, 1)), "crop"),
        (Query(text="a", weights=Weights(0, 0)), "weights"),
        (Query(text="a", weights=Weights(-1, 2)), "weights"),
        (Query(text="a", weights=Weights(float("nan"), 2)), "weights"),
    ],
)
def test_what_cannot_be_asked(services: Services, library: dict[str, str], query: Query, name: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        services.search.search("default", query, SearchParams())
    assert caught.value.field == name


def test_min_score_needs_a_picture(services: Services, library: dict[str, str]) -> None:
    with pytest.raises(InvalidParameter, match="min_score"):
        services.search.search("default", Query(text="cat"), SearchParams(min_score=0.5))
    query = Query(image=jpeg(draw(RED, mark=7)), text="blue")
    answer = services.search.search("default", query, SearchParams(min_score=0.9))
    assert {name.split()[0] for name in _names(answer)} == {"red"}


def test_a_stored_picture_that_is_gone(services: Services, library: dict[str, str]) -> None:
    for query in (Query(image_id="ab" * 32), Query(text_of="ab" * 32)):
        with pytest.raises(ImageNotFound):
            services.search.search("default", query, SearchParams())


def _shade(grey: int) -> Image.Image:
    """Nearly uniform."""
    return Image.new("RGB", (96, 64), (grey, grey, grey))


@pytest.fixture
def foggy(services: Services) -> tuple[list[str], list[str]]:
    """Ids of 30 detailed grey pictures and of 40 nearly uniform ones that are nearer to every grey query."""
    detailed, uniform = [], []
    for mark in range(30):
        image = draw((128, 128, 128), mark=mark)
        ImageDraw.Draw(image).rectangle((0, 0, 30, 10 + mark), fill=(200, 60, 60))
        detailed.append(_insert(services, image))
    for grey in range(100, 140):
        uniform.append(_insert(services, _shade(grey)))
    records = services.store.get("default", [*detailed, *uniform])
    assert [records[i].low_detail for i in detailed] == [False] * 30
    assert [records[i].low_detail for i in uniform] == [True] * 40
    return detailed, uniform


@pytest.mark.parametrize("top_k", [1, 7, 10, 30, 100])
def test_nearly_uniform_pictures_rank_last_on_every_page(
    services: Services, foggy: tuple[list[str], list[str]], top_k: int
) -> None:
    detailed, uniform = foggy
    query = Query(image=jpeg(draw((128, 128, 128), mark=50)))
    ids: list[str] = []
    for offset in range(0, 80, top_k):
        answer = services.search.search("default", query, SearchParams(top_k=top_k, offset=offset))
        ids += [hit.hit.record.image_id for hit in answer.hits]
        assert answer.has_more == (offset + top_k < 70)
    assert len(ids) == len(set(ids)) == 70
    assert set(ids[:30]) == set(detailed)
    assert set(ids[30:]) == set(uniform)


def test_a_nearly_uniform_query_finds_its_like_first(services: Services, foggy: tuple[list[str], list[str]]) -> None:
    answer = services.search.search("default", Query(image=jpeg(_shade(120))), SearchParams(top_k=20))
    assert {hit.hit.record.image_id for hit in answer.hits} <= set(foggy[1])


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Shapes enough for a perceptual hash."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, tuple(int(v) for v in rng.integers(0, 255, 3)))
    pencil = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = (int(v) for v in rng.integers(0, size[0], 2))
        w, h = (int(v) for v in rng.integers(10, 60, 2))
        pencil.rectangle((x, y % size[1], x + w, y % size[1] + h), fill=tuple(int(v) for v in rng.integers(0, 255, 3)))
    return image


@pytest.fixture
def doubles(services: Services) -> dict[str, str]:
    """A scene in three files, and ten others: what they are -> id."""
    scene = _scene(1)
    ids = {}
    for name, data in (
        ("scene png", _png(scene)),
        ("scene jpeg", jpeg(scene, 92)),
        ("scene poor", jpeg(scene, 40)),
        *((f"other {seed}", _png(_scene(seed))) for seed in range(2, 12)),
    ):
        services.library.insert("default", data, words=Words(title=name))
        ids[name] = content_hash(data)
    return ids


def test_the_same_picture_in_other_bytes_is_a_near_duplicate(services: Services, doubles: dict[str, str]) -> None:
    answer = services.search.search("default", Query(image=_png(_scene(1))), SearchParams(top_k=13))
    kinds = {hit.hit.record.title: hit.match for hit in answer.hits}
    assert kinds["scene png"] == "identical"
    assert kinds["scene jpeg"] == kinds["scene poor"] == "near_duplicate"
    assert {kinds[f"other {seed}"] for seed in range(2, 12)} == {"similar"}


def test_collapsed_pages_show_each_picture_once(services: Services, doubles: dict[str, str]) -> None:
    query = Query(image=_png(_scene(1)), collapse="near_duplicate")
    names: list[str] = []
    for offset in range(0, 14, 2):
        answer = services.search.search("default", query, SearchParams(top_k=2, offset=offset))
        names += _names(answer)
        assert answer.has_more == (offset + 2 < 11)
    assert len(names) == len(set(names)) == 11
    assert sum(name.startswith("scene") for name in names) == 1
    first = services.search.search("default", query, SearchParams(top_k=2)).hits[0].as_dict()
    assert {first["id"], *first["collapsed"]} == {i for name, i in doubles.items() if name.startswith("scene")}


def test_a_picture_is_judged_the_same_however_it_is_asked_for(services: Services, doubles: dict[str, str]) -> None:
    """By its bytes, by its id, and the other way round: a twentieth cut off."""
    whole = _scene(1)
    cut = _png(whole.crop((4, 3, 156, 117)))
    services.library.insert("default", cut, words=Words(title="scene cut"))
    ids = {"whole": doubles["scene png"], "cut": content_hash(cut)}
    queries = {
        "whole": (Query(image=_png(whole)), Query(image_id=ids["whole"])),
        "cut": (Query(image=cut), Query(image_id=ids["cut"])),
    }
    for asked, other in (("whole", "cut"), ("cut", "whole")):
        for query in queries[asked]:
            hits = services.search.search("default", query, SearchParams(top_k=14)).hits
            kinds = {hit.hit.record.image_id: hit.match for hit in hits}
            assert kinds[ids[other]] == "near_duplicate", (asked, query.image_id)


def test_a_picture_whose_thumbnail_is_gone_is_still_asked_for(services: Services, doubles: dict[str, str]) -> None:
    services.images.delete(thumbnail_key(doubles["scene png"]))
    hits = services.search.search("default", Query(image_id=doubles["scene png"]), SearchParams(top_k=3)).hits
    assert [hit.match for hit in hits] == ["identical", "near_duplicate", "near_duplicate"]


def test_collapsing_compares_not_everything_with_everything(services: Services, doubles: dict[str, str]) -> None:
    query = Query(image=_png(_scene(1)), collapse="near_duplicate")
    with pytest.raises(InvalidParameter, match="with collapse"):
        services.search.search("default", query, SearchParams(top_k=1, offset=MAX_COLLAPSED))


def test_pages_of_doubles_join_across_the_window(services: Services) -> None:
    """Scores that differ in the last digits, by who computed them, are ties: 90 pictures of one vector, and words."""
    provider = services.provider.get("none")
    services.collections.open_or_create("default")
    rng = np.random.default_rng(5)
    vector = rng.random((1, provider.dim), np.float32)
    noise = rng.normal(0, 3e-8, (90, provider.dim)).astype(np.float32)
    records = [
        ImageRecord(content_hash(b"%d" % row), "k", (9, 9), title="cat" if row % 2 else "", phash=row)
        for row in range(90)
    ]
    services.store.upsert("default", records, normalise(vector + noise))
    ids: list[str] = []
    for offset in range(0, 90, 10):
        query = Query(image=jpeg(_scene(4)), text="cat")
        page = services.search.search("default", query, SearchParams(10, offset))
        ids += [hit.hit.record.image_id for hit in page.hits]
    assert len(ids) == len(set(ids)) == 90


def test_words_that_say_nothing_bring_no_pictures_where_only_words_count(
    services: Services, library: dict[str, str]
) -> None:
    query = Query(image=jpeg(draw(RED, mark=7)), text="zeppelin", weights=Weights(0, 1))
    assert services.search.search("default", query, SearchParams()).hits == ()


def test_words_collapse_too(services: Services, doubles: dict[str, str]) -> None:
    answer = services.search.search("default", Query(text="scene", collapse="near_duplicate"), SearchParams())
    assert len(answer.hits) == 1
    assert len(answer.hits[0].hit.hidden) == 2


def test_check_tells_identical_from_nearly_and_from_new(services: Services, doubles: dict[str, str]) -> None:
    outcome = services.search.check("default", _png(_scene(1)))
    assert outcome.identical is not None
    assert outcome.identical.title == "scene png"
    assert {hit.hit.record.title for hit in outcome.near_duplicates} == {"scene jpeg", "scene poor"}
    outcome = services.search.check("default", jpeg(_scene(1), 70))
    assert outcome.identical is None
    assert len(outcome.near_duplicates) == 3
    outcome = services.search.check("default", _png(_scene(99)))
    assert (outcome.identical, outcome.near_duplicates) == (None, ())


def test_a_hit_that_is_deleted_meanwhile_breaks_nothing(services: Services, doubles: dict[str, str]) -> None:
    real = services.store.get_embeddings

    def deleting(name: str, ids: list[str]) -> dict[str, FloatArray]:
        found = real(name, ids)
        found.pop(doubles["scene jpeg"], None)
        return found

    services.store.get_embeddings = deleting  # type: ignore[method-assign, assignment]
    query = Query(image=_png(_scene(1)), collapse="near_duplicate")
    names = _names(services.search.search("default", query, SearchParams(top_k=13)))
    assert "scene jpeg" in names


def test_records_know_their_fingerprint(services: Services) -> None:
    record: ImageRecord = services.library.insert("default", _png(_scene(3))).record
    picture = services.search.search("default", Query(image=jpeg(_scene(3), 60)), SearchParams()).query_vector
    assert picture is not None
    assert (picture.phashes[0] ^ record.phash).bit_count() <= 4
    assert picture.low_detail is False
