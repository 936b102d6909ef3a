"""What a notebook shows: grids, tables, plots, widgets, over a library that is opened or served."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from image_search.client import ClientError
from image_search.errors import CollectionNotFound, InvalidParameter
from image_search.fingerprint import content_hash
from image_search.metadata.words import Words
from image_search.notebook.library import OwnLibrary, ServedLibrary, open_library
from image_search.notebook.plots import index_plot, projection_plot
from image_search.notebook.show import Shown, grid, table
from image_search.notebook.widgets import upload_box, words_box
from image_search.services.scanning import Source
from image_search.wiring import Services
from tests.live import environment, run_command, serving, write_tiny_model
from tests.support import draw, jpeg, write_gallery

HOSTILE = '<script>alert(1)</script>" onerror="x'


@pytest.fixture
def library(services: Services, gallery: Path) -> OwnLibrary:
    services.ingest.run(Source(gallery), "default")
    return OwnLibrary(services, "default")


def upload(box: Any, name: str, content: bytes) -> str:
    """What stands below the button after a file was chosen."""
    file = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    box.children[0].value = ({**file, "last_modified": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)},)
    return str(box.children[1].value)


def test_titles_are_text_and_never_markup() -> None:
    page = grid([Shown("0" * 64, HOSTILE, b"\xff\xd8", 0.5, HOSTILE)], HOSTILE)._repr_html_()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 5
    assert '" onerror' not in page
    assert "<script" not in table([{HOSTILE: HOSTILE}])._repr_html_()


def test_grids_and_tables_of_nothing_and_of_pictures_without_files() -> None:
    assert "No pictures" in grid([]).html
    assert "no file" in grid([Shown("0" * 64, "a title", b"")]).html
    assert "<td" not in table([])._repr_html_()


def test_an_upload_shows_what_is_similar(library: OwnLibrary, gallery: Path) -> None:
    box = upload_box(library, top_k=3)
    shown = upload(box, "mine <b>.jpg", (gallery / "red/red_2.jpg").read_bytes())
    assert shown.count("<img") == 3
    assert "mine &lt;b&gt;.jpg" in shown
    assert shown.index("red/red_2.jpg") < shown.index("red/red_", shown.index("</figure>"))
    # The next one takes its place; what is no picture says so, and the box goes on.
    assert "blue/" not in shown
    assert "blue/blue_1.jpg" in upload(box, "other.jpg", (gallery / "blue/blue_1.jpg").read_bytes())
    assert "<img" not in upload(box, "no.jpg", b"no picture")
    assert "not a picture" in upload(box, "again.jpg", b"no picture either").lower()
    assert upload(box, "empty.jpg", b"").startswith("<p>")
    assert "<img" in upload(box, "other.jpg", (gallery / "blue/blue_1.jpg").read_bytes())


def test_words_are_asked_for(library: OwnLibrary) -> None:
    library.services.library.insert("default", jpeg(draw((1, 9, 1))), words=Words(title="A boat at night"))
    box = words_box(library)
    box.children[0].value = " boat "
    assert (box.children[1].value.count("<img"), "A boat at night" in box.children[1].value) == (1, True)
    box.children[0].value = "submarine"
    assert "No pictures" in box.children[1].value
    box.children[0].value = "  "
    assert box.children[1].value == ""


def test_a_library_that_lost_a_file_is_shown_all_the_same(library: OwnLibrary) -> None:
    from image_search.storage.keys import thumbnail_key

    one = library.random(1)[0]
    library.services.images.delete(thumbnail_key(one.image_id))
    shown = {picture.image_id: picture.thumbnail for picture in library.random(15)}
    assert shown.pop(one.image_id) == b""
    assert all(shown.values())


def test_projections_are_compared_and_the_library_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gallery"
    write_gallery(folder, per_colour=30)
    (folder / "alone.jpg").write_bytes(jpeg(draw((99, 99, 99))))
    env = environment(write_tiny_model(tmp_path), tmp_path / "data")
    assert run_command(env, "ingest", str(folder)).returncode == 0
    before = sorted(p.relative_to(tmp_path) for p in (tmp_path / "data").rglob("*"))
    monkeypatch.setenv("IMAGE_SEARCH_EMBEDDING__MODEL", env["IMAGE_SEARCH_EMBEDDING__MODEL"])
    library = open_library(tmp_path / "data")
    assert isinstance(library, OwnLibrary)
    try:
        found = library.compare_projections()
        with pytest.raises(InvalidParameter, match="at most pca:9"):
            library.compare_projections(["pca:16"])
        labels, raw = library.features()
    finally:
        library.close()
    assert [row.projection for row in found] == ["none", "pca:8", "random:8", "random:16", "random:32"]
    assert [row.dim for row in found] == [48, 8, 8, 16, 32]
    # Three colours are told apart, and full vectors are the measure of recall.
    assert (found[0].map, found[0].recall_at_10) == (pytest.approx(1, abs=0.01), 1.0)
    assert all(0.3 < row.map <= 1 and 0 < row.recall_at_10 <= 1 and row.search_ms > 0 for row in found)
    assert raw.shape == (91, 48)
    assert sorted(set(labels)) == ["", "blue", "green", "red"]
    after = sorted(p.relative_to(tmp_path) for p in (tmp_path / "data").rglob("*"))
    # The database's own files may come and go.
    assert [p for p in after if "projections" in p.parts] == [p for p in before if "projections" in p.parts] == []
    plot = projection_plot([asdict(row) for row in found])
    assert plot.svg == projection_plot([asdict(row) for row in found]).svg
    assert ElementTree.fromstring(plot.svg).tag.endswith("svg")


def test_a_plot_of_indexes_beside_projections() -> None:
    rows = [
        {"projection": "none", "dim": 512, "map": 0.6, "recall_at_10": 1.0},
        {"projection": "pca:64", "dim": 64, "map": 0.7, "recall_at_10": 0.8},
    ]
    indexes = [{"index": "k-d tree", "projection": "pca:64", "dim": 64, "query_ms": 2.5, "recall_at_10": 0.8}]
    alone, beside = projection_plot(rows).svg, projection_plot(rows, indexes).svg
    # Each panel is a group of its own.
    assert (alone.count('id="axes_'), beside.count('id="axes_')) == (2, 3)


def test_a_plot_of_what_a_server_s_indexes_find_in_their_time() -> None:
    rows = [
        {"index": "exact", "asked with": "", "recall@10": 1.0, "p50 ms": 9.0},
        *({"index": "HNSW", "asked with": f"ef = {ef}", "recall@10": 1 - 1 / ef, "p50 ms": ef / 20} for ef in (16, 64)),
    ]
    svg = index_plot(rows).svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert svg == index_plot(rows).svg
    # One line for each index.
    lines = re.findall(r'id="line2d_\d+">\s*<path d="[^"]+" clip-path[^>]+stroke-opacity: 0\.85', svg)
    assert len(lines) == 2


@pytest.mark.parametrize("place", ["nowhere", ""])
def test_a_folder_without_a_library_is_named_and_stays_as_it_is(tmp_path: Path, place: str) -> None:
    with pytest.raises(CollectionNotFound, match="no library in"):
        open_library(tmp_path / place)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ServedLibrary, OwnLibrary]]:
    """One library, through a service and opened beside it."""
    folder = tmp_path / "gallery"
    write_gallery(folder)
    words = [{"filename": "red/red_0.jpg", "title": "Boat", "tags": ["sea"], "text": "at night"}]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, words)))
    env = environment(write_tiny_model(tmp_path), tmp_path / "data")
    monkeypatch.setenv("IMAGE_SEARCH_EMBEDDING__MODEL", env["IMAGE_SEARCH_EMBEDDING__MODEL"])
    with serving(env, "--images", str(folder)) as (address, _):
        served, own = open_library(address), open_library(tmp_path / "data")
        assert isinstance(served, ServedLibrary)
        assert isinstance(own, OwnLibrary)
        yield served, own
        served.close()
        own.close()


def test_a_served_library_and_an_opened_one_behave_alike(
    both: tuple[ServedLibrary, OwnLibrary], tmp_path: Path
) -> None:
    served, own = both
    picture = (tmp_path / "gallery/green/green_3.jpg").read_bytes()
    assert served.count() == own.count() == 15
    assert {p.image_id for p in served.random(15)} == {p.image_id for p in own.random(15)}
    assert rounded(served.similar(picture, top_k=5)) == rounded(own.similar(picture, top_k=5))
    first = own.similar(picture, top_k=5)[0]
    assert (first.image_id, first.note, first.title) == (content_hash(picture), "identical", "green/green_3.jpg")
    assert rounded(served.like(first.image_id)) == rounded(own.like(first.image_id))
    assert rounded(served.by_words("boat")) == rounded(own.by_words("boat"))
    assert [p.title for p in own.by_words("boat")] == ["Boat"]
    assert served.texts() == own.texts() == ["Boat sea at night"]
    for library in both:
        with pytest.raises((ClientError, InvalidParameter), match="top_k"):
            library.similar(picture, top_k=0)
    # A refusal of the service is shown in the box, too.
    assert upload(upload_box(served), "no.jpg", b"no picture").startswith("<p>")


def rounded(pictures: list[Shown]) -> list[tuple[str, str, bytes, float, str]]:
    return [(p.image_id, p.title, p.thumbnail, round(p.score or 0, 4), p.note) for p in pictures]
