"""The folder of fetched pictures: what a killed run leaves behind, names, words, and who may work in it."""

from __future__ import annotations

import errno
import json
import os
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_search.errors import Conflict, ImageSearchError, ImageStoreError, InvalidImage, InvalidParameter
from image_search.metadata.jsonl import read_jsonl
from image_search.metadata.markup import readable
from image_search.metadata.words import Words
from image_search.services.collecting.folder import CollectedFolder, Kept, Missed, _unread, member_url
from image_search.services.collecting.pictures import CheckedPicture, check_picture, file_name, is_safe_member
from image_search.services.scanning import Source
from tests.support import draw, jpeg

URL = "https://example.com/a.jpg"
NEW = Words(title="new", tags=("x",), source_url=URL)


def checked(mark: int = 0, longest_px: int | None = None) -> CheckedPicture:
    return check_picture(jpeg(draw((200, 30, 30), mark=mark)), max_pixels=10**6, longest_px=longest_px)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pictures of mine"


def filled(root: Path) -> Path:
    """Three pictures and a failure."""
    with CollectedFolder.opened(root) as folder:
        for mark in range(3):
            assert folder.keep(f"{URL}?{mark}", f"pictures/{mark}.jpg", checked(mark), Words(title=f"t{mark}"))
        folder.miss(f"{URL}?gone", "status 404", may_pass=False)
        folder.publish()
    return root


def test_what_is_kept_is_known_later(root: Path) -> None:
    filled(root)
    with CollectedFolder.opened(root) as folder:
        for mark in range(3):
            known = folder.find(f"{URL}?{mark}")
            assert isinstance(known, Kept)
            assert (root / known.file).read_bytes() == checked(mark).data
        missed = folder.find(f"{URL}?gone")
        assert isinstance(missed, Missed)
        assert (missed.reason, missed.may_pass) == ("status 404", False)
        assert folder.find(f"{URL}?new") is None


def test_metadata_and_failures(root: Path) -> None:
    filled(root)
    table = read_jsonl(root / "metadata.jsonl")
    assert len(table) == 3
    assert table.find("pictures/1.jpg").title == "t1"
    assert lines(root / "failures.jsonl") == [{"url": f"{URL}?gone", "reason": "status 404", "retryable": False}]
    names = sorted(candidate.source_name for candidate in Source(root).candidates())
    assert names == ["pictures/0.jpg", "pictures/1.jpg", "pictures/2.jpg"], "an ingest sees pictures only"


def test_the_same_content_is_one_file_with_the_words_of_both(root: Path) -> None:
    with CollectedFolder.opened(root) as folder:
        assert folder.keep("u1", "pictures/a.jpg", checked(), Words(title="first", tags=("x",)))
        assert not folder.keep("u2", "pictures/b.jpg", checked(), Words(title="second", tags=("y",), text="more"))
        folder.publish()
    assert [path.name for path in (root / "pictures").iterdir()] == ["a.jpg"]
    (entry,) = lines(root / "metadata.jsonl")
    assert (entry["filename"], entry["title"], entry["tags"], entry["text"]) == (
        "pictures/a.jpg",
        "first",
        ["x", "y"],
        "more",
    )


@pytest.mark.parametrize("rest", [b'{"url": "https://exam', b"\x00\x00\x00", b"{}"])
def test_half_a_line_at_the_end_is_taken_away(root: Path, rest: bytes) -> None:
    journal = filled(root) / ".fetch" / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + rest)
    with CollectedFolder.opened(root) as folder:
        assert folder.keep("new", "pictures/new.jpg", checked(9), Words())
        folder.publish()
    assert len(lines(journal)) == 5
    assert journal.read_bytes().startswith(whole)
    assert len(read_jsonl(root / "metadata.jsonl")) == 4


@pytest.mark.parametrize("damage", [b"\xff\xfe not JSON\n", b"[]\n", b"{}\n", b'{"url": "x"}\n', b"\n"])
def test_a_damaged_line_counts_as_unknown(root: Path, damage: bytes) -> None:
    journal = filled(root) / ".fetch" / "journal.jsonl"
    _, *others = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(damage + b"".join(others))
    with CollectedFolder.opened(root) as folder:
        assert folder.find(f"{URL}?0") is None
        assert folder.keep(f"{URL}?0", "pictures/0.jpg", checked(0), Words(title="again"))
        folder.publish()
    table = read_jsonl(root / "metadata.jsonl")
    assert {table.find(f"pictures/{mark}.jpg").title for mark in range(3)} == {"again", "t1", "t2"}


def test_a_file_that_is_gone_or_cut_is_unknown(root: Path) -> None:
    filled(root)
    (root / "pictures" / "0.jpg").unlink()
    (root / "pictures" / "1.jpg").write_bytes(b"cut")
    with CollectedFolder.opened(root) as folder:
        assert [folder.find(f"{URL}?{mark}") is None for mark in range(3)] == [True, True, False]
        folder.publish()
        assert len(read_jsonl(root / "metadata.jsonl")) == 1
        assert folder.keep("other", "pictures/other.jpg", checked(0), Words()), "its content is nowhere any more"


def test_what_was_being_written_is_removed(root: Path) -> None:
    left = filled(root) / ".fetch" / "tmp" / "17"
    left.write_bytes(b"half a pict")
    with CollectedFolder.opened(root):
        assert not left.exists()


def test_other_words_are_noted_and_the_same_are_not(root: Path) -> None:
    journal = filled(root) / ".fetch" / "journal.jsonl"
    with CollectedFolder.opened(root) as folder:
        known = folder.find(f"{URL}?0")
        assert isinstance(known, Kept)
        assert not folder.reword(f"{URL}?0", known, Words(title="t0"))
        assert folder.reword(f"{URL}?0", known, NEW)
        folder.publish()
    assert len(lines(journal)) == 5
    assert read_jsonl(root / "metadata.jsonl").find("pictures/0.jpg") == NEW


def test_one_process_at_a_time(root: Path) -> None:
    with CollectedFolder.opened(root), pytest.raises(Conflict, match="another fetch"), CollectedFolder.opened(root):
        pass
    with CollectedFolder.opened(root):
        pass


@pytest.mark.parametrize("name", ["metadata.jsonl", "failures.jsonl"])
def test_files_of_others_are_not_written_over(root: Path, name: str) -> None:
    root.mkdir()
    (root / name).write_text("mine")
    with pytest.raises(InvalidParameter, match=name), CollectedFolder.opened(root):
        pass
    assert [path.name for path in root.iterdir()] == [name]


def test_a_file_in_the_folder_s_place(root: Path) -> None:
    root.write_text("x")
    with pytest.raises(InvalidParameter, match="is a file"), CollectedFolder.opened(root):
        pass


def test_a_full_disk_is_said_and_leaves_nothing_half(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(root)
    before = (root / "metadata.jsonl").read_bytes()
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        real(path, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with CollectedFolder.opened(root) as folder:
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(ImageStoreError, match="No space left"):
            folder.keep("new", "pictures/new.jpg", checked(9), Words())
        assert folder.find("new") is None
    assert not (root / "pictures" / "new.jpg").exists()
    assert (root / "metadata.jsonl").read_bytes() == before


def test_a_full_disk_is_said_at_the_closing_as_well(root: Path) -> None:
    journal = filled(root) / ".fetch" / "journal.jsonl"
    whole, limits = journal.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(ImageStoreError, match="File too large"), CollectedFolder.opened(root) as folder:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 9, limits[1]))
            folder.miss("new", "status 404", may_pass=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with CollectedFolder.opened(root) as folder:
        assert folder.find("new") is None
    assert journal.read_bytes() == whole


def test_names_that_are_no_utf_8_are_known_later(root: Path) -> None:
    url = member_url(URL, os.fsdecode(b"caf\xe9.jpg"))
    with CollectedFolder.opened(root) as folder:
        folder.miss(url, "its name is not one that may be written", may_pass=False)
        folder.miss_row(os.fsdecode(b"caf\xe9.xml"), "is no valid XML")
        folder.publish()
    with CollectedFolder.opened(root) as folder:
        assert isinstance(folder.find(url), Missed)
    assert [entry.get("url", entry.get("row")) for entry in lines(root / "failures.jsonl")] == [url, "caf\udce9.xml"]


@given(st.text(alphabet=st.sampled_from("ab<>&;/# \"'=pltgm"), max_size=40) | st.text(max_size=20))
def test_a_text_that_was_freed_of_html_is_not_freed_twice(text: str) -> None:
    assert readable(_unread(text)) == text


def test_a_text_that_looks_like_html_survives_the_metadata_file(root: Path) -> None:
    words = Words(title="a &amp; <b>b</b>", tags=("&lt;3",), text="<p>x &copy;", source_url=URL)
    with CollectedFolder.opened(root) as folder:
        folder.keep("u", "pictures/a.jpg", checked(), words)
        folder.publish()
    assert read_jsonl(root / "metadata.jsonl").find("pictures/a.jpg") == words


# Names

HOSTILE = [
    "../../etc/passwd.jpg",
    "..\\..\\windows\\x.jpg",
    "/etc/passwd",
    "a/b/../../../x.png",
    "x\0.jpg",
    "CON.jpg",
    "-rf.jpg",
    ".hidden.jpg",
    "лодка.jpg",
    "a" * 500 + ".jpg",
    "",
    ".",
    "..",
    "x.jpg\n",
    "%2e%2e%2fx.jpg",
    "$(reboot).jpg",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("in_url", [False, True])
def test_a_name_is_safe_whatever_the_list_says(name: str, in_url: bool, tmp_path: Path) -> None:
    picture = checked()
    file = file_name("" if in_url else name, f"http://x/{name}?{name}" if in_url else "http://x/", picture)
    assert (tmp_path / file).resolve().is_relative_to(tmp_path / "pictures")
    folder, two, last = file.split("/")
    assert (folder, two) == ("pictures", picture.sha256[:2])
    assert last.endswith(f"-{picture.sha256[:16]}.jpg")
    assert last.isascii()
    assert len(last) < 100
    assert not last.startswith(("-", "."))


def test_a_name_has_a_word_of_the_list_s() -> None:
    picture = checked()
    end = f"-{picture.sha256[:16]}.jpg"
    assert file_name("my Boat (2).jpeg", URL, picture).endswith("/my-Boat-2" + end)
    assert file_name("", "https://example.com/x/red%20boat.png?size=1", picture).endswith("/red-boat" + end)
    assert file_name("", "https://example.com/", picture).endswith("/picture" + end)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("val2014/COCO_val2014_000000391895.jpg", True),
        ("imagenette2/train/n01440764/x.JPEG", True),
        *((name, False) for name in HOSTILE if name not in ("CON.jpg",)),
        ("/".join("abcdefghi") + ".jpg", False),
        ("metadata.jsonl/x.jpg", False),
        (".fetch/x.jpg", False),
    ],
)
def test_names_inside_archives(name: str, safe: bool) -> None:
    assert is_safe_member(name) == safe


# Checking


def test_a_picture_is_kept_as_it_came_unless_it_is_too_large() -> None:
    data = jpeg(draw((1, 2, 3), size=(400, 200)))
    assert check_picture(data, max_pixels=10**6, longest_px=None).data == data
    assert check_picture(data, max_pixels=10**6, longest_px=400).data == data
    smaller = check_picture(data, max_pixels=10**6, longest_px=100)
    assert smaller.reduced
    again = check_picture(smaller.data, max_pixels=5_000, longest_px=None)
    assert (again.suffix, again.reduced) == (".jpg", False)
    assert smaller.sha256 == check_picture(data, max_pixels=10**6, longest_px=None).sha256


@pytest.mark.parametrize("size", range(0, 900, 100))
def test_a_cut_picture_is_refused(size: int) -> None:
    data = jpeg(draw((200, 100, 30)))
    assert len(data) > 900
    with pytest.raises(ImageSearchError) as caught:
        check_picture(data[:size], max_pixels=10**6, longest_px=None)
    assert isinstance(caught.value, InvalidImage)
