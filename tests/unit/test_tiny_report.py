"""The folder that shows queries and their neighbours."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from image_search.errors import InvalidInput, InvalidParameter
from image_search.tiny.archive import Archive
from image_search.tiny.names import names_path
from image_search.tiny.pixels import prepare
from image_search.tiny.report import CONTENTS, MOST_NEIGHBOURS, make_report
from image_search.tiny.summary import shortened
from tests.support import draw
from tests.tiny_archives import image_of, packed


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    """Three pictures, one of them in a folder and in Chinese, and a text."""
    folder = tmp_path / "queries"
    (folder / "深").mkdir(parents=True)
    draw((200, 30, 40), mark=2).save(folder / "red (1).png")
    draw((20, 30, 240), mark=5).save(folder / "blue.jpg")
    draw((30, 220, 40), mark=7).save(folder / "深/绿.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def pages(pdf: Path) -> list[str]:
    """What stands on each page, of a PDF that has a stream of its own for each."""
    texts = []
    for stream in re.findall(
        rb"/ASCII85Decode /FlateDecode \][^>]*>>\s*stream\r?\n(.*?)endstream", pdf.read_bytes(), re.S
    ):
        content = zlib.decompress(base64.a85decode(stream.strip().removesuffix(b"~>")))
        if b" Tj" in content:
            texts.append(content.decode("latin-1"))
    return texts


def test_everything_is_there_and_says_the_same(tmp_path: Path, queries: Path) -> None:
    with Archive(packed(tmp_path)) as archive:
        report = make_report(queries, archive, tmp_path / "out", 7, threads=2)
        assert (report.queries, report.pages) == (3, 3)
        assert [failure.path for failure in report.failed] == ["notes.txt"]
        out = tmp_path / "out"
        assert {path.name for path in out.iterdir()} == CONTENTS
        index = json.loads((out / "report.json").read_text())
        assert [query["name"] for query in index["queries"]] == ["blue.jpg", "red (1).png", "深/绿.png"]
        texts = pages(out / "summary.pdf")
        assert len(texts) == 3
        for query, text in zip(index["queries"], texts, strict=True):
            name, neighbours = query["name"], query["neighbours"]
            row = prepare((queries / name).read_bytes(), max_pixels=10**7)
            with Image.open(out / f"images_small/{name}.png") as image:
                assert image.tobytes() == image_of(row).tobytes()
            lines = [line.split() for line in (out / f"scores/{name}.txt").read_text().splitlines()]
            assert [int(position) for _, position in lines] == [one["position"] for one in neighbours]
            assert len(lines) == 7
            assert [float(score) for score, _ in lines] == sorted(float(score) for score, _ in lines)
            plain = np.linalg.norm(archive.pictures([int(lines[0][1])])[0].astype(float) - row)
            assert lines[0][0] == f"{plain:.4f}"
            for (score, _), one in zip(lines, neighbours, strict=True):
                assert f"({score}) Tj" in text
                assert f"({one['name']}) Tj" in text
            with Image.open(out / f"summary_images/{name}.png") as image:
                small = image.crop((12, 12, 108, 108)).resize((32, 32), Image.Resampling.NEAREST)
                assert small.tobytes() == image_of(row).tobytes()
                first = image.crop((12, 134, 108, 230)).resize((32, 32), Image.Resampling.NEAREST)
                assert first.tobytes() == image_of(archive.pictures([int(lines[0][1])])[0]).tobytes()
        assert r"(red \(1\).png) Tj" in texts[1]
        assert neighbours[0]["name"].endswith(".png")


def test_an_archive_without_names_shows_positions(tmp_path: Path, queries: Path) -> None:
    db = packed(tmp_path)
    names_path(db).unlink()
    with Archive(db) as archive:
        make_report(queries, archive, tmp_path / "out", 3)
    index = json.loads((tmp_path / "out/report.json").read_text())
    for query, text in zip(index["queries"], pages(tmp_path / "out/summary.pdf"), strict=True):
        assert [one["name"] for one in query["neighbours"]] == [None] * 3
        assert all(f"(# {one['position']}) Tj" in text for one in query["neighbours"])


def test_a_long_name_keeps_its_label_and_its_end(tmp_path: Path, queries: Path) -> None:
    db = packed(tmp_path)
    long = [f"ship/{'a very long name ' * 90}{position:04}.jpg\n" for position in range(40)]
    names_path(db).write_text("".join(long))
    with Archive(db) as archive:
        make_report(queries, archive, tmp_path / "out", 5)
        index = json.loads((tmp_path / "out/report.json").read_text())
        for query, text in zip(index["queries"], pages(tmp_path / "out/summary.pdf"), strict=True):
            for one in query["neighbours"]:
                assert re.search(rf"\(ship/[^)]*{one['position']:04}\.jpg\) Tj", text)
        # No caption reaches into the next picture's place.
        picture = Image.open(tmp_path / "out/summary_images/blue.jpg.png")
        assert set(picture.crop((109, 230, 119, 260)).get_flattened_data()) == {(255, 255, 255)}


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("ship/0012.jpg", 13, "ship/0012.jpg"),
        ("ship/0012.jpg", 12, "ship/0…2.jpg"),
        ("ship/0012.jpg", 7, "shi…jpg"),
        ("ship", 1, "…"),
        ("ship", 0, "…"),
        ("", 5, ""),
    ],
)
def test_a_text_is_shortened_in_the_middle(text: str, room: int, shown: str) -> None:
    assert shortened(text, room, len) == shown


def test_the_same_again_replaces_it_with_the_same(tmp_path: Path, queries: Path) -> None:
    def contents() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted((tmp_path / "out").rglob("*")) if path.is_file()}

    with Archive(packed(tmp_path)) as archive:
        make_report(queries, archive, tmp_path / "out", 3, metric="normalised", threads=3)
        first = contents()
        make_report(queries, archive, tmp_path / "out", 3, metric="normalised")
        assert contents() == first
        (queries / "blue.jpg").unlink()
        make_report(queries, archive, tmp_path / "out", 3)
        assert len(list((tmp_path / "out/images_small").rglob("*.png"))) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "queries", "tiny.bin", "tiny.bin.names", "out"}


def test_as_many_neighbours_as_a_page_has(tmp_path: Path, queries: Path) -> None:
    with Archive(packed(tmp_path, 50)) as archive:
        make_report(queries, archive, tmp_path / "out", MOST_NEIGHBOURS)
        text = pages(tmp_path / "out/summary.pdf")[0]
        assert len(re.findall(r"\(\d\d/.*\.png\) Tj", text)) == 50
        # The lower edge of whatever is drawn stays on the page.
        assert min(float(y) for y in re.findall(r"1 0 0 1 [\d.]+ (-?[\d.]+) Tm", text)) > 0


def test_folders_that_are_not_ours_stay(tmp_path: Path, queries: Path) -> None:
    with Archive(packed(tmp_path)) as archive:
        make_report(queries, archive, tmp_path / "out", 2)
        (tmp_path / "out/mine.txt").write_text("mine")
        for place, part in (
            (tmp_path / "out", "other files"),
            (queries / "out", "lies in the folder"),
            (queries, "lies in the folder"),
            (tmp_path, "what is read lies in"),
        ):
            with pytest.raises(InvalidParameter, match=part):
                make_report(queries, archive, place, 2)
    assert (tmp_path / "out/mine.txt").read_text() == "mine"


@pytest.mark.parametrize("k", [0, MOST_NEIGHBOURS + 1])
def test_too_many_neighbours(tmp_path: Path, queries: Path, k: int) -> None:
    with Archive(packed(tmp_path, 3)) as archive, pytest.raises(InvalidParameter, match="k"):
        make_report(queries, archive, tmp_path / "out", k)


def test_nothing_to_report(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with Archive(packed(tmp_path, 3)) as archive:
        for folder in ("none", "nowhere"):
            with pytest.raises(InvalidInput, match=folder):
                make_report(tmp_path / folder, archive, tmp_path / "out", 2)
    assert not (tmp_path / "out").exists()


def test_stopping_leaves_nothing(tmp_path: Path, queries: Path) -> None:
    stop = Event()

    def on_count(done: int, total: int | None, failed: int) -> None:
        if done == 1:
            stop.set()

    with Archive(packed(tmp_path)) as archive, pytest.raises(InvalidInput, match="stopped"):
        make_report(queries, archive, tmp_path / "out", 2, on_count=on_count, stop=stop)
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "queries", "tiny.bin", "tiny.bin.names"}
