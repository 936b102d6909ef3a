"""What can be asked, and how it is put into a request. Pure, but for pictures that are read from files."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict
from urllib.parse import quote

from image_search.client.errors import InvalidRequest
from image_search.client.http import Form, json_text
from image_search.client.pictures import Picture, picture_bytes, picture_name
from image_search.types import JsonScalar

MAX_WINDOW = 16_384
"""offset + top_k of a search is at most this (API.md, section 2)."""


class Crop(TypedDict, total=False):
    """A region of the upright picture, as fractions of its width and height; 0, 0, 1, 1 where one is not given."""

    left: float
    top: float
    right: float
    bottom: float


class Weights(TypedDict, total=False):
    """How much the two normalised scores count; 1 where one is not given."""

    image: float
    text: float


class SearchOptions(TypedDict, total=False):
    """A search, beside its picture; None is the same as not given."""

    image_url: str | None
    """In place of a picture: its address, which the service fetches."""
    image_id: str | None
    """In place of a picture: the id of a stored one."""
    query_id: str | None
    """In place of a picture: `result.query.id` of an earlier search, good for an hour."""
    text: str | None
    """Words that are searched for in title, tags and text; with a picture or alone."""
    text_of: str | None
    """The id of a stored picture whose own words are searched for."""
    weights: Weights | None
    negative_ids: Sequence[str] | None
    """Stored pictures that hits should be unlike."""
    crop: Crop | None
    """Needs the picture itself, or image_url."""
    filter: Mapping[str, Any] | None
    """Which pictures: {"tags": {"any": ["cat"]}, "width": {"gte": 800}, "fields.year": 2020}."""
    top_k: int | None
    """Hits on a page; 10."""
    offset: int | None
    """Hits before this page."""
    min_score: float | None
    """Least `scores.image` of a hit."""
    collapse: Literal["none", "identical", "near_duplicate"] | None
    """Which doubles stand behind one hit; none."""
    ef: int | None
    nprobe: int | None
    collection: str | None


class Search(SearchOptions, total=False):
    """One search of several, with its picture."""

    image: Picture | None


class InsertOptions(TypedDict, total=False):
    """The words of a new picture; None is the same as not given."""

    image_url: str | None
    """In place of a picture: its address, which the service fetches."""
    source_name: str | None
    """What its owner calls it; the name of its file where it comes from a Path."""
    title: str | None
    tags: Sequence[str] | None
    text: str | None
    source_url: str | None
    created_at: datetime | str | None
    """With its time zone."""
    fields: Mapping[str, JsonScalar] | None
    on_duplicate: Literal["merge", "skip", "replace"] | None
    """What becomes of the words of a picture that is there already; merge."""
    collection: str | None


class NewImage(InsertOptions, total=False):
    """One picture of several, with its words."""

    image: Picture | None


class Changes(TypedDict, total=False):
    """What is changed of a picture's words: what is not given stays, None empties."""

    title: str | None
    tags: Sequence[str] | None
    text: str | None
    source_url: str | None
    created_at: datetime | str
    fields: Mapping[str, JsonScalar] | None
    """Merged into those that are there; a None in it removes that one."""


def body_with(image: Picture | None, options: Mapping[str, Any]) -> dict[str, Any] | Form:
    """A request's body: a form where there is a picture, so that it travels as it is."""
    params = given(options)
    return params if image is None else Form([picture_bytes(image)], params)


def insert_body(image: Picture | None, options: Mapping[str, Any]) -> dict[str, Any] | Form:
    """The body that inserts a picture."""
    return body_with(image, _named(image, options))


def batch_body(items: Sequence[NewImage]) -> dict[str, Any] | Form:
    """The body that inserts several: all with a picture, or all with an address. Raises InvalidRequest."""
    pictures = [image for item in items if (image := item.get("image")) is not None]
    if pictures and len(pictures) != len(items):
        raise InvalidRequest("items: either each has its image or none has: send those with image_url as another batch")
    for item in items:
        check_names(item, NewImage)
    params = {"items": [given(_named(item.get("image"), item), without="image") for item in items]}
    return Form([picture_bytes(one) for one in pictures], params) if pictures else params


def query_document(search: Search) -> dict[str, Any]:
    """One of several searches: in JSON, the only form that several have, so its picture in base64."""
    check_names(search, Search)
    document = given(search, without="image")
    image = search.get("image")
    if image is not None:
        document["image"] = base64.b64encode(picture_bytes(image)).decode()
    return document


def next_page(options: Mapping[str, Any], query_id: str | None, offset: int) -> dict[str, Any]:
    """The options of a search's page from `offset` on; with `query_id` in place of the picture, where there is one."""
    page = {**options, "offset": offset}
    if query_id is not None:
        for name in ("image_url", "image_id", "crop"):
            page.pop(name, None)
        page["query_id"] = query_id
    return page


def filter_text(where: Mapping[str, Any] | None) -> str | None:
    """A filter as the query string has it."""
    return None if where is None else json_text(where)


def given(options: Mapping[str, Any], without: str = "") -> dict[str, Any]:
    """What is not None."""
    return {name: value for name, value in options.items() if value is not None and name != without}


def check_names(options: Mapping[str, Any], known: type[Any]) -> None:
    """Raises TypeError as Python does for an argument that is none: a TypedDict checks nothing itself."""
    names = known.__required_keys__ | known.__optional_keys__
    if unknown := sorted(set(options) - names):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}; known are {', '.join(sorted(names))}")


def check_sums(sums: Iterable[str]) -> list[str]:
    """SHA-256 sums as a list. Raises TypeError for a single text, whose letters would be asked for."""
    if isinstance(sums, str):
        raise TypeError("sha256: a list of sums is expected, not one text")
    return list(sums)


def path_of(*parts: str) -> str:
    """A path, with what stands in it quoted. Raises InvalidRequest where a part would be another path."""
    for part in parts:
        if not isinstance(part, str) or part in ("", ".", ".."):
            raise InvalidRequest(f"{part!r} is no id")
    try:
        return "".join(f"/{quote(part, safe='')}" for part in parts)
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{error.object[:100]!r} is no id") from error


def _named(image: Picture | None, options: Mapping[str, Any]) -> dict[str, Any]:
    named = dict(options)
    if named.get("source_name") is None and image is not None:
        named["source_name"] = picture_name(image)
    return named
