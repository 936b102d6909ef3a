"""Words for pictures from tables and pickles, the keys they share, and what is left of HTML in them."""

from __future__ import annotations

import collections
import csv
import datetime as dt
import json
import os
import pickle
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from image_search.errors import InvalidInput
from image_search.metadata.csv_file import read_csv
from image_search.metadata.entry import named_words
from image_search.metadata.jsonl import read_jsonl
from image_search.metadata.markup import readable
from image_search.metadata.pickled import read_pickle
from image_search.metadata.reader import read_metadata
from image_search.metadata.table import MetadataTable
from image_search.metadata.words import MAX_FIELDS_BYTES, MAX_TAGS, Words, unite, united_fields
from image_search.types import ImageRecord
from image_search.vectors.checks import check_record
from tests.conftest import SHARED

FLICKR = next(
    (p for p in (SHARED / "flickr", Path("/tmp/data/flickr/flickr")) if (p / "metadata.jsonl").is_file()), None
)


def written(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pickled(tmp_path: Path, value: Any, protocol: int = 4) -> Path:
    return written(tmp_path, "words.pkl", pickle.dumps(value, protocol))


# Keys


@pytest.mark.parametrize(
    "name", ["filename", "file", "path", "file_name", "image", "File Name", "FILENAME", "file-name"]
)
def test_each_name_of_the_name(name: str) -> None:
    assert named_words({name: "a.jpg", "title": "t"}, "x") == ("a.jpg", Words(title="t"))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("title", "t", Words(title="t")),
        ("Title", "t", Words(title="t")),
        ("tags", ["a", "b"], Words(tags=("a", "b"))),
        ("keywords", ["a"], Words(tags=("a",))),
        ("text", "t", Words(text="t")),
        ("description", "t", Words(text="t")),
        ("caption", "t", Words(text="t")),
        ("source_url", "u", Words(source_url="u")),
        ("image_url", "u", Words(source_url="u")),
        ("page_url", "u", Words(source_url="u")),
        ("flickr_URL", "u", Words(source_url="u")),
        ("created_at", 5, Words(created_at_s=5)),
        ("fields", {"Camera": "x"}, Words(fields={"Camera": "x"})),
        ("Camera", "x", Words(fields={"Camera": "x"})),
        ("taken", dt.date(2020, 1, 2), Words(fields={"taken": "2020-01-02"})),
    ],
)
def test_each_key(key: str, value: Any, words: Words) -> None:
    assert named_words({"filename": "a.jpg", key: value}, "x")[1] == words


def test_a_second_text_and_a_second_name_are_kept_as_fields() -> None:
    entry = {"filename": "a.jpg", "path": "/p", "text": "t", "caption": "c", "keywords": ["k"], "tags": ["t"]}
    assert named_words(entry, "x")[1] == Words(text="t", tags=("t", "k"), fields={"path": "/p", "caption": "c"})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2020-01-02T03:04:05Z", 1577934245),
        ("2020-01-02t03:04:05.9+00:00", 1577934245),
        ("2020-01-02 03:04:05+02:00", 1577934245 - 7200),
        ("2020-01-02T03:04:05", 1577934245),
        ("2020-01-02", 1577923200),
        ("1899-12-31", -2209075200),
        (1577934245, 1577934245),
        (1577934245.9, 1577934245),
        ("1577934245", 1577934245),
        (dt.datetime(2020, 1, 2, 3, 4, 5), 1577934245),
        (dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=2))), 1577934245 - 7200),
        (dt.date(2020, 1, 2), 1577923200),
        (0, 0),
        (None, None),
        ("", None),
    ],
)
def test_times(value: Any, seconds: int | None) -> None:
    assert named_words({"filename": "a.jpg", "created_at": value}, "x")[1].created_at_s == seconds


@pytest.mark.parametrize(
    "value",
    ["yesterday", "2020-13-01", "2020-01-01T25:00:00Z", "20", True, [], 1e300, float("nan"), 1577934245000, "9" * 40],
)
def test_what_is_no_time_is_refused(value: Any) -> None:
    if value == "20":
        assert named_words({"filename": "a.jpg", "created_at": value}, "x")[1].created_at_s == 20
        return
    with pytest.raises(InvalidInput, match=r"^x, row 7: created_at"):
        named_words({"filename": "a.jpg", "created_at": value}, "x, row 7")


def test_control_characters_go_and_lines_stay() -> None:
    entry = {
        "filename": "a.jpg",
        "title": " a\x00b\r\nc\x1b[1m\x9f ",
        "text": "x\r\ny\rz\tw\x00\ufeff",
        "tags": ["a\nb", "\x07"],
    }
    words = named_words(entry, "x")[1]
    assert (words.title, words.text, words.tags) == ("ab c[1m", "x\ny\nz\tw", ("a b",))


def test_what_is_cut_is_told() -> None:
    for cut in (
        {"title": "x" * 4097},
        {"text": "x" * 65_536},
        {"tags": ["x" * 257]},
        {"tags": [str(i) for i in range(513)]},
    ):
        assert named_words({"filename": "a.jpg"} | cut, "x")[1].cut
    fine = {"title": "x" * 4096, "text": "x" * 65_535, "tags": [str(i) for i in range(512)]}
    assert not named_words({"filename": "a.jpg"} | fine, "x")[1].cut


# What several tellers say


def test_the_first_is_believed_and_tags_and_fields_unite() -> None:
    first = Words(title="1", tags=("Beach",), fields={"a": 1})
    second = Words(title="2", text="2", tags=("beach", "sea"), fields={"a": 2, "b": 2}, created_at_s=7, source_url="u")
    assert unite(first, second) == Words("1", ("Beach", "sea"), "2", "u", {"a": 1, "b": 2}, 7)
    assert unite(Words(), second) is second
    assert unite(first, Words()) is first


def test_what_unites_still_fits_into_a_record() -> None:
    many = tuple(f"t{i}" for i in range(MAX_TAGS))
    big = {f"key {i}": "ü" * 1000 for i in range(32)}
    words = unite(
        Words(tags=many, fields=big), Words(tags=("x",), fields={**{f"k{i}": "x" * 900 for i in range(60)}, "z": 1})
    )
    assert words.cut
    assert words.tags == many
    assert big.items() <= words.fields.items()
    check_record(ImageRecord("ab" * 32, "k", (1, 1), tags=words.tags, fields=words.fields))
    assert len(json.dumps(united_fields({}, big, 5000), ensure_ascii=False).encode()) <= 5000
    assert MAX_FIELDS_BYTES > 60_000 < len(json.dumps(words.fields, ensure_ascii=False).encode())


# HTML


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ('See <a href="https://x.y/?a=1&amp;b=2" rel="nofollow">my page</a>.', "See my page."),
        ('At <a href "http://x.y/?a b" rel "nofollow">x.y', "At x.y"),
        ("A.D<strong>Author</strong>: WADE", "A.D Author: WADE"),
        ("H<sub>2</sub>O", "H2O"),
        ("one<br/>two<BR>three", "one\ntwo\nthree"),
        ("&lt;b&gt; is bold", "<b> is bold"),
        ("&amp;amp;", "&amp;"),
        ("&copy; 2020&nbsp;me &#233;&#xE9;", "© 2020 me éé"),
        ("?a=1&copy=2&lt", "?a=1&copy=2&lt"),
        ("AT&T R&D; x", "AT&T R&D; x"),
        ("a < b, c > d, I <3 you, x <y> z", "a < b, c > d, I <3 you, x <y> z"),
        ("if a<b and c>d", "if a<b and c>d"),
        ("<a href='x", "<a href='x"),
        ("&#0;&#1114112;", "\ufffd\ufffd"),
    ],
)
def test_readable(value: str, wanted: str) -> None:
    assert readable(value) == wanted


@pytest.mark.parametrize("bomb", ["<a x=", "<a x='", "<", "&#", "&a", "<a " + " " * 50, "<a a:", '<a a "', '<a a="b" '])
def test_endless_markup_ends(bomb: str) -> None:
    assert readable(bomb * 20_000) == bomb * 20_000


@pytest.mark.skipif(FLICKR is None, reason="needs ../shared/flickr/metadata.jsonl")
def test_the_words_of_real_pictures_are_readable() -> None:
    assert FLICKR is not None
    raw = (FLICKR / "metadata.jsonl").read_text(encoding="utf-8")
    assert "<a href" in raw
    table = read_metadata(FLICKR / "metadata.jsonl")
    names = [json.loads(line)["filename"] for line in raw.splitlines()]
    assert len(table) == len(set(names)) == len(names)
    for name in names:
        words = table.find(name)
        # One text of them ends within a tag.
        assert not re.search("<a [^<]*>|</|&amp;|<strong|&nbsp;", words.text + words.title)
        assert words.source_url.startswith("http")


# CSV


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_as_spreadsheets_write_it(tmp_path: Path, delimiter: str, mark: bytes) -> None:
    rows = [
        ["FileName", "Title", "Tags", "Caption", "Year", "Zip", "fields", ""],
        ["a/b.jpg", 'A "quoted", one; two', '["x", "y,z"]', "two\nlines", "1999", "00123", '{"k": 1.5}', "left out"],
        ["c.jpg", "", "", "", "", "", "", ""],
        [],
        ["d.jpg", "猫"],
    ]
    path = tmp_path / "words.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    path.write_bytes(mark + path.read_bytes())
    table = read_metadata(path)
    assert len(table) == 3
    assert table.find("a/b.jpg") == Words(
        'A "quoted", one; two', ("x", "y,z"), "two\nlines", fields={"Year": 1999, "Zip": "00123", "k": 1.5}
    )
    assert table.find("c.jpg") == Words()
    assert table.find("d.jpg").title == "猫"


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ("a", ("a",)),
        ("a b; c,d", ("a b", "c,d")),
        ("a|b", ("a", "b")),
        ("a, b,,", ("a", "b")),
        ("[]", ()),
        ("a;b|c", ("a", "b|c")),
    ],
)
def test_tags_in_one_cell(tmp_path: Path, cell: str, tags: tuple[str, ...]) -> None:
    path = written(tmp_path, "w.tsv", f"file\tkeywords\nx.jpg\t{cell}\n")
    assert read_csv(path).find("x.jpg").tags == tags


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *(("12", 12), ("-3", -3), ("0", 0), ("1.5", 1.5), ("true", True), ("TRUE", True)),
        *((text, text) for text in ("1.50", "007", "1e5", "12345678901234567890", "-0", "nan", " 1")),
    ],
)
def test_numbers_in_cells_are_numbers_where_they_are_written_back_the_same(
    tmp_path: Path, cell: str, value: Any
) -> None:
    found = read_csv(written(tmp_path, "w.csv", f"file,x\na.jpg,{cell}\n")).find("a.jpg").fields["x"]
    assert (found, type(found)) == (value, type(value))


def test_the_words_of_cells_stay_texts(tmp_path: Path) -> None:
    table = read_csv(written(tmp_path, "w.csv", "file,title,text,tags,created_at\n12,1984,42,7;8,60\n"))
    assert table.find("12") == Words("1984", ("7", "8"), "42", created_at_s=60)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "first line must name the columns"),
        ("a.jpg,A title\n", "first line must name the columns"),
        ("title,text\na,b\n", "first line must name the columns"),
        ("file,title,title\na,b,c\n", "'title' is there twice"),
        ("file,title\na.jpg,b\nc.jpg,d,e\n", "line 3: has 3 cells under 2 columns"),
        ("file,title\n,b\n", 'line 2: must be an object with a text "filename"'),
        ('file,title\na.jpg,"x\ny"\nb.jpg,"open\n', "line 4: not valid CSV"),
        ('file,title\na.jpg,"x"y\n', "line 2: not valid CSV"),
        ("file,tags\na.jpg,[1\n", "line 2: tags is not valid JSON"),
        ("file,tags\na.jpg,[1]\n", "line 2: tags must be a list of texts"),
        ("file,fields\na.jpg,x\n", "line 2: fields is not valid JSON"),
        ("file,fields\na.jpg,[]\n", "line 2: fields must be an object"),
        ("file,created_at\na.jpg,soon\n", "line 2: created_at 'soon'"),
        ("file;created_at\na.jpg;2020\nb.jpg;2020-1\n", "line 3: created_at"),
        ("file,long\na.jpg," + "x" * 70_000 + "\n", "line 2: its fields have more than"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, text: str, reason: str) -> None:
    path = written(tmp_path, "words.csv", text)
    with pytest.raises(InvalidInput, match=r"words\.csv") as caught:
        read_csv(path)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "data",
    ["file,title\na.jpg,ü\nb.jpg,é\n".encode("latin-1"), "file,title\na.jpg,猫\n".encode() + b"b.jpg,\xfc\n"],
    ids=["latin-1", "mixed"],
)
def test_other_encodings_are_refused_by_line(tmp_path: Path, data: bytes) -> None:
    line = 2 if b"\xe9" in data else 3
    with pytest.raises(InvalidInput, match=rf"'w\.csv' cannot be read as UTF-8 text: line {line} has other bytes"):
        read_csv(written(tmp_path, "w.csv", data))
    with pytest.raises(InvalidInput, match=r"UTF-8"):
        read_csv(written(tmp_path, "w.csv", "file,title\n".encode("utf-16")))


def test_a_long_text_in_a_cell_is_cut_and_not_refused(tmp_path: Path) -> None:
    words = read_csv(written(tmp_path, "w.csv", "file,text\na.jpg," + "x" * 200_000 + "\n")).find("a.jpg")
    assert (len(words.text), words.cut) == (65_535, True)


def test_a_hundred_thousand_lines_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "w.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(100_000):
            file.write(json.dumps({"filename": f"{number}.jpg", "title": f"t {number}", "junk": ["x" * 500]}) + "\n")
    tracemalloc.start()
    table = read_jsonl(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(table) == 100_000
    # The file has 55 MB, of which 500 bytes a line are left out.
    assert peak < 110_000_000


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_search.metadata.lines.MAX_LINE_BYTES", 1000)
    with pytest.raises(InvalidInput, match="line 2: has more than 1,000 bytes"):
        read_jsonl(written(tmp_path, "w.jsonl", '{"filename": "a"}\n' + " " * 2000))


# Pickles

OLDER = {
    7: {
        "filename": "7.jpg",
        "title": "Seven &amp; up",
        "text": "A text",
        "tags": ["x", "y"],
        "flickr_url": "https://page",
        "image_url": "https://picture",
    },
    17: {"filename": "17.jpg", "text": "No title", "tags": [], "flickr_URL": "https://p17", "image_url": ""},
}


@pytest.mark.parametrize("protocol", range(6))
def test_the_dictionaries_of_the_older_engine(tmp_path: Path, protocol: int) -> None:
    table = read_metadata(pickled(tmp_path, OLDER, protocol))
    assert len(table) == 2
    assert table.find("7.jpg") == Words("Seven & up", ("x", "y"), "A text", "https://page")
    assert table.find("17.jpg") == Words(text="No title", source_url="https://p17")


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_every_kind(tmp_path: Path, protocol: int) -> None:
    entry = {
        "title": b"bytes \xc3\xbc",
        "tags": {"only"},
        "created_at": dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        "day": dt.date(2020, 1, 2),
        "n": -(2**40),
        "f": 1.5,
        "yes": True,
        "none": None,
        "np": np.float64(2.5),
        "np32": np.int32(-7),
        "empty": b"",
        "nested": {"deep": [{}]},
        "fields": collections.OrderedDict(own=1),
    }
    words = read_pickle(pickled(tmp_path, {"a/b.jpg": entry}, protocol)).find("a/b.jpg")
    assert words == Words(
        "bytes ü",
        ("only",),
        created_at_s=1577934245,
        fields={
            "day": "2020-01-02",
            "n": -(2**40),
            "f": 1.5,
            "yes": True,
            "none": None,
            "np": 2.5,
            "np32": -7,
            "empty": "",
            "own": 1,
        },
    )


def test_lists_of_entries_and_one_entry_alone(tmp_path: Path) -> None:
    assert len(read_pickle(pickled(tmp_path, list(OLDER.values())))) == 2
    assert len(read_pickle(pickled(tmp_path, tuple(OLDER.values())))) == 2
    assert len(read_pickle(pickled(tmp_path, OLDER[7]))) == 1


def test_texts_of_python_2(tmp_path: Path) -> None:
    # {'a.jpg': {'title': 'K\xc3\xa4se', 'tags': ['x']}} by Python 2's pickle.dumps(…, 2)
    data = (
        b"\x80\x02}q\x00U\x05a.jpgq\x01}q\x02(U\x05titleq\x03U\x05K\xc3\xa4seq\x04U\x04tagsq\x05]q\x06U\x01xq\x07aus."
    )
    assert read_pickle(written(tmp_path, "w.p", data)).find("a.jpg") == Words("Käse", ("x",))


class _Runs:
    def __init__(self, *call: Any) -> None:
        self._call = call

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("call", "named"),
    [
        ((os.system, ("touch {mark}",)), "system"),
        ((eval, ("open('{mark}', 'w')",)), "eval"),
        ((getattr, (os, "system")), "getattr"),
        ((Path, ("x",)), "pathlib"),
        ((collections.Counter, ()), "Counter"),
        ((bytearray, (10**12,)), "bytearray"),
    ],
    ids=["system", "eval", "getattr", "path", "counter", "bytearray"],
)
def test_nothing_in_a_pickle_is_run(tmp_path: Path, call: Any, named: str, protocol: int) -> None:
    mark = tmp_path / "mark"
    function, arguments = call
    if function is getattr:
        data = b"cbuiltins\ngetattr\n(cos\nsystem\nS'x'\ntR."
    else:
        filled = tuple(a.replace("{mark}", str(mark)) if isinstance(a, str) else a for a in arguments)
        data = pickle.dumps({1: {"filename": "a.jpg", "title": _Runs(function, filled)}}, protocol)
    with pytest.raises(InvalidInput, match=r"metadata file 'w\.pkl': it would call") as caught:
        read_pickle(written(tmp_path, "w.pkl", data))
    assert named in str(caught.value)
    assert not mark.exists()


def framed(body: bytes) -> bytes:
    return b"\x80\x04" + body


HOSTILE = {
    "empty": b"",
    "no end": framed(b"}"),
    "nothing to stop on": framed(b"."),
    "text": b"hello",
    "a huge memo index": framed(b"}r\xff\xff\xff\x7f0."),
    "a missing memo": framed(b"h\x05."),
    "a huge length": framed(b"\x8d" + b"\xff" * 7 + b"\x7f."),
    "a huge string": framed(b"B\xff\xff\xff\x7fxx."),
    "a huge number": framed(b"\x8b\xff\xff\xff\x7f\x01."),
    "a deep key": framed(b")" + b"\x85" * 300_000 + b"}\x8c\x01x\x86."),
    "a tuple as a key": framed(b"})\x8c\x01xs."),
    "a persistent id": b"Pabc\n.",
    "a persistent id on the stack": framed(b"\x8c\x01xQ."),
    "an extension": framed(b"\x82\x01."),
    "an instance": b"(ios\nsystem\n.",
    "an object": b"(cos\nsystem\nS'x'\no.",
    "a state": framed(b"}}b."),
    "a call of a text": framed(b"\x8c\x01x)R."),
    "a call of an answer's answer": framed(b"\x8c\x08builtins\x8c\x03set\x93)R)R."),
    "an underflow": framed(b"\x87."),
    "a buffer": b"\x80\x05\x97.",
    "an append to a text": framed(b"\x8c\x01x\x8c\x01ya."),
    "odd items": framed(b"}(\x8c\x01xu."),
    "a mark at the end": framed(b"(."),
    "objects in numpy": framed(b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02O8\x85R."),
    "an attribute's attribute": framed(b"\x8c\x08datetime\x8c\x12datetime.fromordinal\x93."),
    "the module's builtins": framed(b"\x8c\x08datetime\x8c\x04sys.\x93."),
    "calls that multiply": framed(
        b"\x8c\x07_codecs\x8c\x06encode\x93\x94X\x00\x00\x01\x00"
        + b"a" * 65536
        + b"\x94\x8c\x06latin1\x94]("
        + b"h\x00h\x01h\x02\x86R" * 1000
        + b"e."
    ),
    "a number": framed(b"K\x05."),
    "entries that are none": framed(b"}K\x01K\x02s."),
    "half a letter": framed(b"}K\x01}(\x8c\x08filename\x8c\x01a\x8c\x05title\x8c\x03\xed\xa0\x80us."),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_damaged_pickles_are_refused(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, "w.pkl", HOSTILE[name])
    tracemalloc.start()
    with pytest.raises(InvalidInput, match=r"w\.pkl") as caught:
        read_pickle(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(str(caught.value)) < 300
    assert peak < 60_000_000, "an unpickler would have taken what the file asks for"


def test_a_bomb_of_references_is_no_bomb(tmp_path: Path) -> None:
    bomb: list[Any] = ["x"]
    for _ in range(60):
        bomb = [bomb] * 10
    table = read_pickle(pickled(tmp_path, {1: {"filename": "a.jpg", "title": "fine", "bomb": bomb}}))
    assert table.find("a.jpg") == Words("fine")
    for key in ("title", "tags", "created_at", "fields", "source_url"):
        with pytest.raises(InvalidInput, match=rf"words\.pkl, entry 1: {key}"):
            read_pickle(pickled(tmp_path, {1: {"filename": "a.jpg", key: bomb}}))
    with pytest.raises(InvalidInput, match=r"words\.pkl"):
        read_pickle(pickled(tmp_path, {1: {"filename": bomb}}))
    body = pickle.dumps(bomb)[:-1]
    for end in (b"\x8c\x01x\x93.", b"\x94\x8c\x05numpy\x8c\x05dtype\x93h\x00\x85R."):
        with pytest.raises(InvalidInput, match=r"w\.pkl"):
            read_pickle(written(tmp_path, "w.pkl", body + end))
    with pytest.raises(InvalidInput, match=r"words\.pkl"):
        read_pickle(pickled(tmp_path, {10**5000: {}}))


# Parquet


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow", reason="Parquet needs the extra `parquet`")
    import pyarrow.parquet as pq

    path = tmp_path / "words.parquet"
    columns = {
        "File_Name": ["a.jpg", "b.jpg"],
        "title": ["A", None],
        "tags": [["x", "y"], None],
        "text": ["", "t"],
        "created_at": [dt.datetime(2020, 1, 2, 3, 4, 5), None],
        "year": [1999, None],
        "data": [b"bytes", b"bytes"],
        "embedding": [[0.5], [0.5]],
    }
    pq.write_table(pa.table(columns), path)
    table = read_metadata(path)
    assert table.find("a.jpg") == Words("A", ("x", "y"), created_at_s=1577934245, fields={"year": 1999})
    assert table.find("b.jpg") == Words(text="t", fields={"year": None})
    pq.write_table(pa.table({"filename": ["a.jpg", "b.jpg", None], "tags": ["x;y", "[]", ""]}), path)
    with pytest.raises(InvalidInput, match=r'words\.parquet, row 3: .*"filename"'):
        read_metadata(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InvalidInput, match=r"'words\.parquet' cannot be read as Parquet"):
        read_metadata(path)


def test_parquet_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidInput, match=r"words\.parquet.*pip install 'image-search\[parquet\]'"):
        read_metadata(written(tmp_path, "words.parquet", b"PAR1"))


# Which kind


def kinds(tmp_path: Path) -> dict[str, bytes]:
    return {
        "jsonl": b'\xef\xbb\xbf\n{"filename": "7.jpg", "title": "Seven"}\n',
        "csv": b"filename,title\n7.jpg,Seven\n",
        "pickle": pickle.dumps({7: {"filename": "7.jpg", "title": "Seven"}}),
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [("jsonl", n) for n in ("w.jsonl", "w.NDJSON", "w.json", "w", "w.txt")]
    + [("csv", n) for n in ("w.csv", "w.TSV", "w", "w.dat")]
    + [("pickle", n) for n in ("w.pkl", "w.pickle", "w.p", "w", "w.bin")],
)
def test_a_kind_is_told_by_suffix_or_content(tmp_path: Path, kind: str, name: str) -> None:
    assert read_metadata(written(tmp_path, name, kinds(tmp_path)[kind])).find("7.jpg") == Words("Seven")


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"hello", b"\x80\x09", b"a,b\n"])
def test_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidInput, match="'w' is of no known kind"):
        read_metadata(written(tmp_path, "w", content))
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(InvalidInput, match="does not exist or is no file"):
            read_metadata(path)


def test_the_table_by_its_entries() -> None:
    table = MetadataTable.of([("./a.jpg", Words("1")), ("a.jpg", Words("2"))])
    assert (len(table), table.find("x/a.jpg").title) == (1, "2")
