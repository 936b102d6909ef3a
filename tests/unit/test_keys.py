"""image_id -> key, and nothing else passes for a key."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_search.errors import ImageNotFound, InvalidParameter
from image_search.storage.keys import (
    check_image_id,
    check_key,
    in_trash,
    is_key,
    model_slug,
    original_key,
    projection_key,
    query_key,
    thumbnail_key,
    trash_key,
    vector_key,
)

ID = "0123456789abcdef" * 4


def test_keys_are_fanned_out() -> None:
    assert original_key(ID) == f"originals/01/{ID}"
    assert thumbnail_key(ID) == f"thumbnails/01/{ID}"
    assert vector_key(ID, "mobilenet_v2@c326eb280967") == f"vectors/mobilenet-v2-c326eb280967/01/{ID}"
    assert trash_key("cats_2", ID) == f"trash/cats_2/01/{ID}"
    assert query_key(date(2026, 1, 31), ID) == f"queries/2026-01-31/01/{ID}"


def test_a_key_of_the_trash_says_where_it_was_deleted() -> None:
    assert in_trash(trash_key("cats_2", ID)) == ("cats_2", ID)


@pytest.mark.parametrize("collection", ["", "..", "a/b", "a__1", "1a", "a" * 64, "ä"])
def test_what_is_no_collection_has_no_trash(collection: str) -> None:
    with pytest.raises(InvalidParameter, match="must begin with a letter"):
        trash_key(collection, ID)


@pytest.mark.parametrize(
    "make",
    [
        original_key,
        thumbnail_key,
        lambda i: vector_key(i, "m@1"),
        lambda i: trash_key("c", i),
        lambda i: query_key(date.today(), i),
        lambda i: projection_key(f"pca:256@{i[:12]}"),
    ],
)
def test_every_key_that_is_made_passes(make: object) -> None:
    key = make(ID)  # type: ignore[operator]
    assert check_key(key) == key


HOSTILE_IDS = [
    "",
    "../../etc/passwd",
    ID.upper(),
    ID[:-1],
    ID + "0",
    ID + "\n",
    "\n" + ID,
    ID[:-1] + "g",
    ID[:-1] + "０",
    ID[:-1] + "\0",
    ID[:62] + "/a",
    "%2e%2e%2f" + ID[9:],
    " " + ID[1:],
]


@pytest.mark.parametrize("image_id", HOSTILE_IDS, ids=repr)
def test_hostile_ids_are_no_picture(image_id: str) -> None:
    for use in (check_image_id, original_key, thumbnail_key, lambda i: trash_key("c", i)):
        with pytest.raises(ImageNotFound):
            use(image_id)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        ".",
        "..",
        "/etc/passwd",
        f"/originals/01/{ID}",
        f"originals/01/{ID}/",
        f"originals//{ID}",
        f"originals/../{ID}",
        f"originals/01/../01/{ID}",
        f"originals\\01\\{ID}",
        f"originals/01/{ID}\n",
        f"originals/01/{ID}\0",
        f"originals/01/{ID}.part",
        f"Originals/01/{ID}",
        f"originals/01/{ID.upper()}",
        f"secrets/01/{ID}",
        f"originals/01/{ID[:-1]}",
        f"vectors/01/{ID}",
        f"vectors//01/{ID}",
        f"vectors/../01/{ID}",
        f"vectors/a/b/01/{ID}",
        f"vectors/{'a' * 81}/01/{ID}",
        f"vectors/Model@1/01/{ID}",
        f"originals/０１/{ID}",
        f"trash/01/{ID}",
        f"trash//01/{ID}",
        f"trash/../01/{ID}",
        f"trash/a__1/01/{ID}",
        f"trash/{'a' * 64}/01/{ID}",
        f"trash/ä/01/{ID}",
        f"trash/a/01/{ID}.json",
        f"queries/01/{ID}",
        f"queries/../01/{ID}",
        f"queries/2026-1-31/01/{ID}",
        "https://example.org/x",
        "jobs.sqlite",
    ],
    ids=repr,
)
def test_hostile_keys_are_refused(key: str) -> None:
    assert not is_key(key)
    with pytest.raises(InvalidParameter, match="is not an object key"):
        check_key(key)


def test_a_refusal_does_not_echo_a_novel() -> None:
    with pytest.raises(InvalidParameter) as caught:
        check_key("x" * 100_000)
    assert len(str(caught.value)) < 200


@given(st.text(min_size=1, max_size=200))
def test_any_model_id_that_ends_in_its_checksum_makes_a_key(name: str) -> None:
    assert is_key(vector_key(ID, f"{name}@c326eb280967"))


def test_long_model_names_keep_the_end_that_tells_them_apart() -> None:
    assert model_slug("x" * 200 + "@aaaaaaaaaaaa") != model_slug("x" * 200 + "@bbbbbbbbbbbb")
    assert len(model_slug("x" * 200 + "@aaaaaaaaaaaa")) == 80
