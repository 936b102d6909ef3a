"""Words that a picture's own file carries: EXIF, IPTC, XMP, and the texts of a PNG.

Only the file's head is read, and only what is a word or a date: where a picture was taken (GPS), serial numbers and
the owner's name stay where they are. Whatever is damaged or hostile in there costs its words, never the picture.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from PIL import Image, IptcImagePlugin
from PIL.ImageFile import ImageFile

from image_search.imaging import FORMATS
from image_search.metadata.words import NO_WORDS, Fitter, Words
from image_search.metadata.xmp import XmpWords, read_xmp
from image_search.types import JsonScalar

# EXIF 2.32, tags of IFD 0 and of the Exif IFD; XP* are Windows Explorer's.
_DESCRIPTION, _MAKE, _MODEL = 0x010E, 0x010F, 0x0110
_XP_TITLE, _XP_COMMENT, _XP_KEYWORDS = 0x9C9B, 0x9C9C, 0x9C9E
_EXIF_IFD = 0x8769
_TAKEN_AT, _TAKEN_OFFSET, _USER_COMMENT = 0x9003, 0x9011, 0x9286
# IIM 4.2: record and dataset.
_IPTC_CHARSET, _IPTC_TITLE, _IPTC_KEYWORDS, _IPTC_CAPTION = (1, 90), (2, 5), (2, 25), (2, 120)
_IPTC_UTF_8 = b"\x1b%G"

_MAX_VALUE_BYTES = 200_000
"""Of a larger value the beginning: three times what any column keeps."""
_DATE = re.compile(r"(\d{4}):(\d\d):(\d\d)[ T](\d\d:\d\d:\d\d)")
_OFFSET = re.compile(r"[+-]\d\d:\d\d|Z")
_NO_DESCRIPTION = re.compile(
    r"(olympus|konica minolta|minolta|kodak|hp|samsung|casio)?\s*digital camera|sony dsc|dcim\\?\w*|default|untitled|"
    r"exif_jpeg_(picture|t\d*)|<\s*(digimax|kenox|samsung)[^>]*>|maker:.{0,40}|binary comment|ascii|charset=.{0,20}",
    re.IGNORECASE,
)
"""What cameras and programs write where a description would be."""


def embedded_words(data: bytes) -> Words:
    """What the bytes of a picture say of it; NO_WORDS where they say nothing or are no picture.

    `fields` gets taken_at (RFC 3339, with a zone only where the camera wrote one) and camera.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            return _words(opened)
    except Exception:  # noqa: BLE001 - Pillow's readers raise nearly anything on damaged heads; the pixels may be good
        return NO_WORDS


def _words(opened: Image.Image) -> Words:
    exif, own = _exif(opened)
    iptc = _iptc(opened)
    xmp = _xmp(opened.info)
    png = _png_texts(opened)
    fit = Fitter()
    titles = (xmp.title, _first(iptc, _IPTC_TITLE), _utf_16(exif.get(_XP_TITLE)), png.get("Title", ""))
    texts = (
        xmp.description,
        _first(iptc, _IPTC_CAPTION),
        _described(_text(exif.get(_DESCRIPTION))),
        _utf_16(exif.get(_XP_COMMENT)),
        _described(_comment(own.get(_USER_COMMENT))),
        png.get("Description", ""),
    )
    fields: dict[str, JsonScalar] = {}
    if taken_at := _taken_at(_text(own.get(_TAKEN_AT)), _text(own.get(_TAKEN_OFFSET))):
        fields["taken_at"] = taken_at
    if camera := fit.title(_camera(_text(exif.get(_MAKE)), _text(exif.get(_MODEL)))[:200]):
        fields["camera"] = camera
    return Words(
        title=next(filter(None, (fit.title(title) for title in titles)), ""),
        tags=fit.tags(dict.fromkeys((*xmp.subjects, *iptc.get(_IPTC_KEYWORDS, ()), *_split(exif.get(_XP_KEYWORDS))))),
        text=next(filter(None, (fit.text(text) for text in texts)), ""),
        fields=fields,
        cut=fit.cut,
    )


def _exif(opened: Image.Image) -> tuple[Mapping[int, Any], Mapping[int, Any]]:
    """Tags of IFD 0 and of the Exif IFD; each part by itself, as one may be damaged."""
    try:
        # Not the PNG reader's own, which decodes the whole picture in search of EXIF behind the pixels.
        exif = Image.Image.getexif(opened)
    except Exception:  # noqa: BLE001 - as above
        return {}, {}
    wanted = (_DESCRIPTION, _MAKE, _MODEL, _XP_TITLE, _XP_COMMENT, _XP_KEYWORDS)
    return {tag: value for tag in wanted if (value := _tag(exif, tag)) is not None}, _exif_ifd(exif)


def _exif_ifd(exif: Image.Exif) -> Mapping[int, Any]:
    try:
        own = exif.get_ifd(_EXIF_IFD)
    except Exception:  # noqa: BLE001 - as above
        return {}
    wanted = (_TAKEN_AT, _TAKEN_OFFSET, _USER_COMMENT)
    return {tag: value for tag in wanted if (value := _tag(own, tag)) is not None}


def _tag(tags: Mapping[int, Any], tag: int) -> Any:
    # A tag's value is read from the file only here.
    try:
        return tags.get(tag)
    except Exception:  # noqa: BLE001 - as above
        return None


def _text(value: object) -> str:
    """A text of EXIF. Pillow reads it as Latin-1; programs write UTF-8."""
    if isinstance(value, tuple):
        value = value[0] if value else ""
    if isinstance(value, str):
        value = value[:_MAX_VALUE_BYTES].encode("latin-1", errors="replace")
    return _decoded(value) if isinstance(value, bytes) else ""


def _decoded(value: bytes) -> str:
    value = value[:_MAX_VALUE_BYTES].strip(b"\0 ")
    for encoding in ("utf-8", "cp1252"):
        try:
            return value.decode(encoding)
        except UnicodeDecodeError:
            # A cut in the middle of a letter is no other encoding.
            if encoding == "utf-8" and len(value) > _MAX_VALUE_BYTES - 4:
                return value.decode(errors="ignore")
    return value.decode("latin-1")


def _utf_16(value: object) -> str:
    if isinstance(value, tuple):
        value = bytes(part for part in value[:_MAX_VALUE_BYTES] if isinstance(part, int) and 0 <= part < 256)
    if not isinstance(value, bytes):
        return ""
    return value[:_MAX_VALUE_BYTES].decode("utf-16-le", errors="ignore").partition("\0")[0]


def _comment(value: object) -> str:
    """EXIF's UserComment: eight bytes that name the encoding, then the text."""
    if isinstance(value, str):
        return _text(value)
    if not isinstance(value, bytes):
        return ""
    kind, body = value[:8], value[8:_MAX_VALUE_BYTES]
    if kind == b"UNICODE\0":
        # The byte order is the file's by the standard, and either in practice: Latin letters have a zero on one side.
        order = "utf-16-be" if body[0::2].count(0) > body[1::2].count(0) else "utf-16-le"
        return body.decode(order, errors="ignore").removeprefix("\ufeff").strip("\0 ")
    if kind in (b"ASCII\0\0\0", b"\0" * 8):
        return _decoded(body)
    if kind.startswith(b"JIS"):
        return body.decode("iso2022_jp", errors="ignore").strip("\0 ")
    return _decoded(value)


def _described(value: str) -> str:
    return "" if _NO_DESCRIPTION.fullmatch(value.strip()) else value


def _split(value: object) -> list[str]:
    return [tag.strip() for tag in _utf_16(value).split(";")]


def _taken_at(value: str, offset: str) -> str:
    """RFC 3339, but that a camera which knows no zone is given none."""
    if not (found := _DATE.match(value)):
        return ""
    taken_at = f"{found[1]}-{found[2]}-{found[3]}T{found[4]}"
    try:
        # 0000:00:00 is what a camera writes whose clock was never set.
        datetime.fromisoformat(taken_at)
    except ValueError:
        return ""
    return taken_at + (offset if _OFFSET.fullmatch(offset) else "")


def _camera(make: str, model: str) -> str:
    make, model = make.strip(), model.strip()
    first = make.split(" ")[0].lower()
    return model if first and model.lower().startswith(first) else f"{make} {model}".strip()


def _iptc(opened: Image.Image) -> dict[tuple[int, int], list[str]]:
    try:
        found = (IptcImagePlugin.getiptcinfo(opened) if isinstance(opened, ImageFile) else None) or {}
    except Exception:  # noqa: BLE001 - as above
        return {}
    utf_8 = found.get(_IPTC_CHARSET) == _IPTC_UTF_8
    values: dict[tuple[int, int], list[str]] = {}
    for key in (_IPTC_TITLE, _IPTC_KEYWORDS, _IPTC_CAPTION):
        raw = found.get(key)
        parts = [part[:_MAX_VALUE_BYTES] for part in (raw if isinstance(raw, list) else [raw])[:4096] if part]
        # Where no encoding is told, UTF-8 first: other text is hardly ever valid UTF-8 by chance.
        values[key] = [part.decode(errors="replace") if utf_8 else _decoded(part) for part in parts]
    return values


def _first(values: Mapping[tuple[int, int], list[str]], key: tuple[int, int]) -> str:
    return next(iter(values.get(key, ())), "")


def _xmp(info: Mapping[Any, Any]) -> XmpWords:
    packet = info.get("xmp")
    if isinstance(packet, str):
        packet = packet.encode(errors="ignore")
    return read_xmp(packet) if isinstance(packet, bytes) else XmpWords()


def _png_texts(opened: Image.Image) -> dict[str, str]:
    if opened.format != "PNG":
        return {}
    texts = {key: opened.info.get(key) for key in ("Title", "Description")}
    # str(): a PNG's international texts are a subclass of str.
    return {key: str(text[:_MAX_VALUE_BYTES]) for key, text in texts.items() if isinstance(text, str)}
