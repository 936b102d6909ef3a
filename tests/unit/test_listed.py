"""Lists of pictures on the web: every kind of file, the keys of an address, and MVSO's XML."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from image_search.errors import InvalidInput
from image_search.metadata.listed import BrokenRow, ListedPicture, listed
from image_search.metadata.mvso import MAX_FILE_BYTES, read_mvso
from image_search.metadata.reader import read_list
from image_search.metadata.words import Words
from tests.unit.test_metadata_files import FLICKR

URL = "https://example.com/a.jpg"


def picture(row: object, **options: bool) -> ListedPicture:
    found = listed(row, "x", **options)
    assert isinstance(found, ListedPicture), found
    return found


def broken(row: object) -> str:
    found = listed(row, "x")
    assert isinstance(found, BrokenRow), found
    return found.reason


# Rows


@pytest.mark.parametrize("key", ["image_url", "URL", "url", "Picture URL", "photo-url", "img_url", "media_url"])
def test_each_name_of_an_address(key: str) -> None:
    assert picture({key: f" {URL} "}) == ListedPicture(URL, "", Words(source_url=URL))


@pytest.mark.parametrize("key", ["filename", "image", "path", "source_url"])
def test_an_address_in_another_place(key: str) -> None:
    assert picture({key: URL, "title": "t"}) == ListedPicture(URL, "", Words(title="t", source_url=URL))


def test_the_page_is_the_source_and_never_the_picture() -> None:
    row = {"page_url": "https://example.com/page", "image_url": URL, "url": "https://other", "filename": "2.jpg"}
    assert picture(row) == ListedPicture(URL, "2.jpg", Words(source_url="https://example.com/page"))
    assert "no address" in broken({"page_url": "https://example.com/page", "filename": "2.jpg"})
    assert "no address" in broken({"flickr_url": "https://example.com/page"})


def test_words_are_those_of_a_metadata_file() -> None:
    row = {"url": URL, "title": "A &amp; b", "tags": "x, y", "caption": "c", "year": 2010, "created_at": "2020-01-01"}
    found = picture(row, split=True).words
    assert (found.title, found.tags, found.text) == ("A & b", ("x", "y"), "c")
    assert (found.fields, found.created_at_s) == ({"year": 2010}, 1577836800)


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ([], "must be an object"),
        ({}, "no address"),
        ({"url": ""}, "no address"),
        ({"url": 7, "filename": "a.jpg"}, "no address"),
        ({"url": "http://x/\ud800"}, "characters that no address has"),
        ({"url": "http://x/\r\nHost: y"}, "characters that no address has"),
        ({"url": URL, "title": 7}, "title must be a text"),
        ({"url": URL, "tags": [1]}, "tags must be a list"),
    ],
)
def test_a_bad_row_is_told(row: Any, part: str) -> None:
    assert part in broken(row)


# Files


def rows(path: Path) -> list[ListedPicture | BrokenRow]:
    return list(read_list(path))


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


EXPECTED = [
    ListedPicture("https://example.com/1.jpg", "", Words(title="one", source_url="https://example.com/1.jpg")),
    ListedPicture("https://example.com/2.jpg", "", Words(tags=("a", "b"), source_url="https://example.com/2.jpg")),
]
ENTRIES: list[dict[str, Any]] = [
    {"url": "https://example.com/1.jpg", "title": "one"},
    {"url": "https://example.com/2.jpg", "tags": ["a", "b"]},
]


def test_every_kind_of_file(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(entry) for entry in ENTRIES)
    assert rows(written(tmp_path, "list.jsonl", lines)) == EXPECTED
    assert rows(written(tmp_path, "list", lines)) == EXPECTED
    table = "url;title;tags\nhttps://example.com/1.jpg;one;\nhttps://example.com/2.jpg;;a|b\n"
    assert rows(written(tmp_path, "list.csv", table)) == EXPECTED
    assert rows(written(tmp_path, "list.pkl", pickle.dumps(dict(enumerate(ENTRIES))))) == EXPECTED
    text = "# mine\nhttps://example.com/1.jpg\n\n  https://example.com/2.jpg  \n"
    urls = [row.url for row in rows(written(tmp_path, "list.txt", text)) if isinstance(row, ListedPicture)]
    assert urls == [row.url for row in EXPECTED]


def test_parquet_as_large_data_sets_have_it(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    from pyarrow.parquet import write_table

    path = tmp_path / "list.parquet"
    write_table(pa.table({"URL": [URL], "TEXT": ["a caption"], "WIDTH": [640]}), path)
    assert rows(path) == [ListedPicture(URL, "", Words(text="a caption", source_url=URL, fields={"WIDTH": 640}))]


def test_a_broken_row_of_a_table_does_not_end_the_list(tmp_path: Path) -> None:
    good = f"{URL};t\n"
    found = rows(written(tmp_path, "l.csv", f'url;title\n{good}{URL};a;b\n{good}{URL};"x"y\n{good}{URL};"open\n'))
    kinds = [ListedPicture, BrokenRow, ListedPicture, BrokenRow, ListedPicture, BrokenRow]
    assert [type(row) for row in found] == kinds
    assert found[1] == BrokenRow("l.csv, line 3", "has 3 cells under 2 columns")
    broken = [row for row in found if isinstance(row, BrokenRow)]
    assert [row.where for row in broken] == ["l.csv, line 3", "l.csv, line 5", "l.csv, line 7"]
    assert all("not valid CSV" in row.reason for row in broken[1:])


def test_a_broken_line_does_not_end_the_list(tmp_path: Path) -> None:
    found = rows(written(tmp_path, "l.jsonl", f'{{"url": "{URL}"}}\n{{oops\n[1]\n\n{{"url": "{URL}"}}\n'))
    assert [type(row) for row in found] == [ListedPicture, BrokenRow, BrokenRow, ListedPicture]
    assert found[1] == BrokenRow("l.jsonl, line 2", "not valid JSON")
    assert isinstance(found[2], BrokenRow)
    assert found[2].where == "l.jsonl, line 3"


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("l.csv", "title\nx\n", "must name the columns"),
        ("l.pkl", b"\x80\x04}\x94.garbage"[:-9], "pickle"),
        ("l.dat", "nothing of ours", r"no known kind.*XML and text \(\.xml, \.txt\)"),
        ("l.jsonl", b'{"url": "\xff"}', "UTF-8"),
    ],
)
def test_a_damaged_list_is_refused(tmp_path: Path, name: str, content: str | bytes, part: str) -> None:
    with pytest.raises(InvalidInput, match=part):
        rows(written(tmp_path, name, content))


def test_no_list_at_all(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no public set has that name"):
        read_list(tmp_path / "coco-val2013")


@pytest.mark.skipif(FLICKR is None, reason="needs the Flickr pictures of ../shared/data/flickr.tar, unpacked")
def test_the_flickr_list(tmp_path: Path) -> None:
    assert FLICKR is not None
    found = rows(FLICKR / "metadata.jsonl")
    assert len(found) == 1500
    assert all(isinstance(row, ListedPicture) and row.url.endswith(".jpg") for row in found)
    assert {row.words.source_url.split("/")[2] for row in found if isinstance(row, ListedPicture)} == {"www.flickr.com"}


# MVSO

PHOTO = """<?xml version="1.0" encoding="utf-8" ?>
<rsp stat="ok">
<photo id="14734618908" secret="182577aa1e" server="3877" farm="4" dateuploaded="1406000000" license="2">
  <owner nsid="81273124@N00" username="somebody" location="Milwaukee" />
  <title>The &quot;5th&quot; Ward</title>
  <description>Created in &lt;b&gt;1913&lt;/b&gt;.</description>
  <dates posted="1406000001" taken="2014-07-20 10:00:00" />
  <notes><note id="1">not a <title>title</title></note></notes>
  <tags>
    <tag id="1" author="x" raw="abandoned building">abandonedbuilding</tag>
    <tag id="2" author="x">urbex</tag>
  </tags>
  <location latitude="43.0" longitude="-87.9" />
  <urls><url type="photopage">https://www.flickr.com/photos/81273124@N00/14734618908/</url></urls>
</photo>
</rsp>"""


def mvso(tmp_path: Path, content: str | bytes, name: str = "english/abandoned_building/1.xml") -> Path:
    path = tmp_path / "mvso" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / "mvso"


def test_a_photo_of_the_collection(tmp_path: Path) -> None:
    folder = mvso(tmp_path, PHOTO)
    expected = ListedPicture(
        "https://live.staticflickr.com/3877/14734618908_182577aa1e.jpg",
        "14734618908.jpg",
        Words(
            title='The "5th" Ward',
            tags=("abandoned building", "urbex"),
            text="Created in 1913.",
            source_url="https://www.flickr.com/photos/81273124@N00/14734618908/",
            fields={
                "flickr_id": "14734618908",
                "owner": "somebody",
                "licence": "2",
                "concept": "abandoned_building",
            },
            created_at_s=1406000000,
        ),
    )
    assert rows(folder) == [expected]


def test_the_concept_is_the_same_whatever_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = mvso(tmp_path, PHOTO)
    inner = folder / "english" / "abandoned_building"
    (tmp_path / "link").symlink_to(inner)
    monkeypatch.chdir(inner)
    ways = (folder, folder / "english", inner, inner / "1.xml", tmp_path / "link", Path(), Path("1.xml"), Path("../."))
    for given in ways:
        (found,) = rows(given)
        assert isinstance(found, ListedPicture)
        assert found.words.fields["concept"] == "abandoned_building", given


def test_a_list_of_photos(tmp_path: Path) -> None:
    content = """<rsp stat="ok"><photos page="1">
    <photo id="1" owner="x" secret="a1" server="30" farm="4" title="FAIL" tags="one two"/>
    <photo id="2" owner="x" secret="b2" server="31" farm="4" title=""/></photos></rsp>"""
    found = [row for row in rows(mvso(tmp_path, content)) if isinstance(row, ListedPicture)]
    assert [(row.url.rpartition("/")[2], row.words.title, row.words.tags) for row in found] == [
        ("1_a1.jpg", "FAIL", ("one", "two")),
        ("2_b2.jpg", "", ()),
    ]


def test_folders_in_order_and_other_files_left_out(tmp_path: Path) -> None:
    for name in ("b/2.xml", "b/1", "a/9.xml", ".git/1.xml", "a/.DS_Store", "a/readme.txt"):
        number = name[-5] if name.endswith("xml") else name[-1]
        folder = mvso(tmp_path, PHOTO.replace('id="14734618908"', f'id="{number}"'), name)
    found = [row.name for row in rows(folder) if isinstance(row, ListedPicture)]
    assert found == ["9.jpg", "1.jpg", "2.jpg"]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><rsp><photo><title>&b;</title></photo></rsp>'
OUTSIDE = '<!DOCTYPE x SYSTEM "file:///etc/passwd"><rsp><photo id="1"/></rsp>'


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (BOMB, "document type"),
        (OUTSIDE, "document type"),
        ("", "no valid XML"),
        ("<rsp><photo", "no valid XML"),
        ("<rsp stat='ok'/>", "no photo"),
        (b"\xff\xfe\x00garbage", "no valid XML"),
        ("<?xml version='1.0' encoding='no-such'?><rsp/>", "XML"),
        ("<rsp><photo id='1' server='2'/></rsp>", "no id, server and secret"),
        ("<rsp><photo id='1' server='2/../..' secret='a'/></rsp>", "no id, server and secret"),
        ("<rsp><photo id='1@evil.example' server='2' secret='a'/></rsp>", "no id, server and secret"),
        ("<a>" * 100_000, "no valid XML"),
        (b"<rsp>" + b" " * MAX_FILE_BYTES, "more than"),
        ("<rsp><photo id='1' secret='a' server='2'/>&unknown;</rsp>", "no valid XML"),
    ],
)
def test_a_bad_file_is_told_and_the_others_are_read(tmp_path: Path, content: str | bytes, part: str) -> None:
    mvso(tmp_path, PHOTO, "z/good.xml")
    *bad, good = rows(mvso(tmp_path, content, "a/bad.xml"))
    assert isinstance(good, ListedPicture)
    assert isinstance(bad[-1], BrokenRow)
    assert bad[-1].where == "a/bad.xml"
    assert part in bad[-1].reason


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    mvso(tmp_path, PHOTO, "a/1.xml")
    mvso(tmp_path, PHOTO, "c/3.xml")
    folder = mvso(tmp_path, PHOTO, "b/2.xml")
    found = read_mvso(folder)
    assert isinstance(next(found), ListedPicture)
    # Gone since the folder above was read: permissions would not stop a test that runs as root.
    (folder / "b" / "2.xml").unlink()
    (folder / "b").rmdir()
    told, last = found
    assert told == BrokenRow("b", "the folder cannot be read: No such file or directory")
    assert isinstance(last, ListedPicture)


def test_names_that_are_no_utf_8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9/1.xml")
    good, bad = rows(mvso(tmp_path, PHOTO + "<", name))
    assert isinstance(good, ListedPicture)
    assert good.words.fields["concept"] == "caf\ufffd"
    assert isinstance(bad, BrokenRow)
    assert bad.where == "caf\ufffd/1.xml"


def test_no_folder_of_xml(tmp_path: Path) -> None:
    assert list(read_mvso(mvso(tmp_path, "x", "readme.txt"))) == []
    with pytest.raises(InvalidInput, match="does not exist"):
        list(read_mvso(tmp_path / "nowhere.xml"))
