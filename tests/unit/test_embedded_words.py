"""Words in the pictures' own files: EXIF, IPTC, XMP, PNG; and what hostile ones cost."""

from __future__ import annotations

import time

import pytest
from PIL import PngImagePlugin

from image_search.metadata.embedded import embedded_words
from image_search.metadata.words import MAX_TITLE_BYTES, NO_WORDS, Words
from image_search.metadata.xmp import MAX_PACKET_BYTES, read_xmp
from tests.unit.picture_heads import DC, exif, iptc, picture, xmp


def test_a_picture_without_words_has_none() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        assert embedded_words(picture(kind)) == NO_WORDS
    assert embedded_words(b"") == embedded_words(b"no picture") == NO_WORDS


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif(kind: str) -> None:
    tags = exif(
        description="A harbour", make="Canon", model="Canon EOS 5D", xp_title="Der Hafen ü", xp_tags="sea;boats; ;sea",
        taken="2020:05:06 07:08:09",
    )  # fmt: skip
    words = embedded_words(picture(kind, exif=tags.tobytes() if kind != "TIFF" else tags))
    assert words.text == "A harbour"
    assert words.fields["camera"] == "Canon EOS 5D"
    if kind != "TIFF":
        assert words == Words(
            "Der Hafen ü",
            ("sea", "boats"),
            "A harbour",
            fields={"taken_at": "2020-05-06T07:08:09", "camera": "Canon EOS 5D"},
        )


@pytest.mark.parametrize(
    ("values", "taken_at"),
    [
        ({"taken": "2020:05:06 07:08:09"}, "2020-05-06T07:08:09"),
        ({"taken": "2020:05:06 07:08:09", "offset": "+02:00"}, "2020-05-06T07:08:09+02:00"),
        ({"taken": "2020:05:06 07:08:09", "offset": "   :  "}, "2020-05-06T07:08:09"),
        ({"taken": "0000:00:00 00:00:00"}, None),
        ({"taken": "2020:02:30 07:08:09"}, None),
        ({"taken": "    :  :     :  :  "}, None),
        ({"taken": "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_time_it_was_taken_gets_no_zone_that_nobody_told(values: dict[str, str], taken_at: str | None) -> None:
    assert embedded_words(picture(exif=exif(make="m", **values).tobytes())).fields.get("taken_at") == taken_at


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("", "X100", "X100"),
        ("Leica", "", "Leica"),
    ],
)
def test_the_camera_is_named_once(make: str, model: str, camera: str) -> None:
    assert embedded_words(picture(exif=exif(make=make, model=model).tobytes())).fields == {"camera": camera}


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        (b"ASCII\0\0\0a comment\0\0", "a comment"),
        (b"UNICODE\0" + "größe".encode("utf-16-le"), "größe"),
        (b"UNICODE\0" + "größe".encode("utf-16-be"), "größe"),
        (b"\0" * 8 + "größe".encode(), "größe"),
        (b"JIS\0\0\0\0\0" + "漢字".encode("iso2022_jp"), "漢字"),
        (b"no code at all", "no code at all"),
        (b"ASCII\0\0\0" + b"\0" * 100, ""),
        (b"ASCII\0\0\0" + b" " * 100, ""),
        (b"", ""),
    ],
)
def test_the_comment_in_every_encoding(comment: bytes, text: str) -> None:
    assert embedded_words(picture(exif=exif(comment=comment).tobytes())).text == text


def test_what_cameras_write_in_place_of_a_description_is_none() -> None:
    for value in (
        "OLYMPUS DIGITAL CAMERA         ",
        "SONY DSC",
        "DCIM\\100MEDIA",
        "<Digimax S500>",
        "Exif_JPEG_PICTURE",
    ):
        assert embedded_words(picture(exif=exif(description=value).tobytes())) == NO_WORDS


def test_utf_8_where_the_standard_says_ascii() -> None:
    raw = exif(description="x" * 12).tobytes().replace(b"x" * 12, "Größe 猫".encode().ljust(12, b"\0")[:12])
    assert embedded_words(picture(exif=raw)).text == "Größe 猫"
    raw = exif(description="xxxxx").tobytes().replace(b"xxxxx", "Größe".encode("cp1252"))
    assert embedded_words(picture(exif=raw)).text == "Größe"


def test_iptc() -> None:
    head = iptc((2, 5, b"A title"), (2, 25, b"one"), (2, 25, "zwölf".encode("cp1252")), (2, 120, b"A caption\rof two"))
    assert embedded_words(picture(head=head)) == Words("A title", ("one", "zwölf"), "A caption\nof two")
    utf_8 = iptc((1, 90, b"\x1b%G"), (2, 5, "Titel ü".encode()), (2, 25, b"\xff"))
    assert embedded_words(picture(head=utf_8)) == Words("Titel ü", ("\ufffd",))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp(kind: str) -> None:
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp(DC).decode())
        data = picture(kind, pnginfo=info)
    elif kind == "TIFF":
        data = picture(kind, tiffinfo={700: xmp(DC)})
    else:
        data = picture(kind, xmp=xmp(DC))
    assert embedded_words(data) == Words("Tom & Jerry", ("cat", "mouse"), "Two\nlines")


def test_xmp_in_utf_16_and_cut_short() -> None:
    packet = xmp(DC).decode().replace('begin="\ufeff"', 'begin=""')
    found = read_xmp(packet.encode("utf-16"))
    assert (found.title, found.subjects) == ("Tom & Jerry", ["cat", "mouse"])
    found = read_xmp(xmp(DC)[: xmp(DC).index(b"mouse")])
    assert (found.title, found.subjects) == ("Tom & Jerry", ["cat"])


def test_png_texts() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "From a PNG")
    info.add_itxt("Description", "猫", zip=True)
    assert embedded_words(picture("PNG", pnginfo=info)) == Words("From a PNG", text="猫")


def test_xmp_before_iptc_before_exif_and_keywords_unite() -> None:
    head = iptc((2, 5, b"iptc"), (2, 25, b"b"), (2, 120, b"iptc text"))
    tags = exif(xp_title="exif", xp_tags="c;a", description="exif text").tobytes()
    packet = xmp("<dc:subject><rdf:Bag><rdf:li>a</rdf:li></rdf:Bag></dc:subject>")
    assert embedded_words(picture(head=head, exif=tags, xmp=packet)) == Words("iptc", ("a", "b", "c"), "iptc text")


def test_the_place_is_not_taken() -> None:
    tags = exif(make="Canon")
    tags.get_ifd(0x8825)[1] = "N"
    tags.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    body = '<exif:GPSLatitude xmlns:exif="http://ns.adobe.com/exif/1.0/">52,31N</exif:GPSLatitude>'
    words = embedded_words(picture(exif=tags.tobytes(), xmp=xmp(DC + body)))
    assert words.fields == {"camera": "Canon"}
    assert "52" not in str(words)


# Hostile ones

LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))


def titled(value: str) -> str:
    return f"<dc:title><rdf:Alt><rdf:li>{value}</rdf:li></rdf:Alt></dc:title>"


BOMBS = {
    "a billion laughs": xmp(titled("&l11;"), f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]>'),
    "a file of the machine": xmp(titled("&f;"), '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'),
    "a document type elsewhere": xmp(DC, '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">'),
    "an entity nobody declared": xmp(titled("&lol;")),
    "a depth": xmp("<dc:title>" + "<rdf:Alt>" * 50_000),
    "a size": xmp(DC).ljust(MAX_PACKET_BYTES + 1),
    "no XML": b"http://purl.org/dc/elements/1.1/ <<<<",
    "no encoding": b"<?xml version='1.0' encoding='x-none'?><a xmlns:dc='http://purl.org/dc/elements/1.1/'/>",
    "nothing": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_xmp_bombs_say_nothing_and_cost_nothing(name: str) -> None:
    started = time.process_time()
    found = read_xmp(BOMBS[name]) if name != "a size" else read_xmp(b"x" + BOMBS[name] + b"x")
    assert (found.title, found.description, found.subjects) == ("", "", [])
    assert time.process_time() - started < 2


def test_a_packet_of_a_million_subjects_is_read_to_a_limit() -> None:
    packet = xmp("<dc:subject><rdf:Bag>" + "<rdf:li>x</rdf:li>" * 40_000 + "</rdf:Bag></dc:subject>")
    assert len(read_xmp(packet).subjects) <= 2048


def test_hostile_values_are_cleaned_and_cut() -> None:
    tags = exif(
        description="x\x00y" + "z" * 60,
        xp_title="a\x07b\x1b[31m",
        xp_tags="k\x00\x01;\x02",
    )
    words = embedded_words(picture(exif=tags.tobytes()))
    assert (words.title, words.tags) == ("ab[31m", ("k",))
    assert "\0" not in words.text
    long = embedded_words(picture(exif=exif(xp_title="ü" * 20_000).tobytes()))
    assert (len(long.title.encode()), long.cut) == (MAX_TITLE_BYTES, True)
    half = b"\x3d\xd8" * 10
    raw = exif(xp_title="x" * 10).tobytes().replace("x".encode("utf-16-le") * 10, half)
    embedded_words(picture(exif=raw)).title.encode()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_heads_cost_words_and_raise_nothing() -> None:
    head = iptc((2, 5, b"A title"), (2, 25, b"one"))
    data = picture(
        head=head, exif=exif(description="d", make="m", taken="2020:05:06 07:08:09", comment=b"ASCII\0\0\0c").tobytes()
    )
    data = data[:2000]
    for position in range(2, 420):
        for value in (0, 0xFF, 0x7F):
            damaged = bytearray(data)
            damaged[position] = value
            embedded_words(bytes(damaged))
    for size in range(0, len(data), 7):
        embedded_words(data[:size])
    whole_iptc = iptc((2, 5, b"t"))
    embedded_words(picture(head=whole_iptc.replace(b"\x1c\x02", b"\x1c\xee")))


def test_a_png_is_not_decoded_for_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", refuse)
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "t")
    assert embedded_words(picture("PNG", pnginfo=info)).title == "t"
