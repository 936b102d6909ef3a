"""Bytes from the web -> bytes that are a picture, with the name that their file gets. Pure."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from pathlib import PurePosixPath

from image_search.fingerprint import content_hash
from image_search.imaging import decode, encode_jpeg, thumbnail
from image_search.metadata.embedded import embedded_words
from image_search.metadata.words import NO_WORDS, Words

SUFFIXES = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/tiff": ".tif",
    "image/avif": ".avif",
}
_CHECKED_AT_PX = 64
"""A JPEG is decoded at an eighth where only its wholeness matters: every byte is read all the same."""
_QUALITY = 90
_NO_NAME = re.compile(r"[^A-Za-z0-9]+")
_MAX_STEM = 40
_NAME_DIGITS = 16
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}")
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class CheckedPicture:
    """A picture that decodes, ready to be written."""

    data: bytes
    """As it came, or smaller."""
    suffix: str
    sha256: str
    """Of the bytes as they came: what is the same is told by it, however it is kept."""
    reduced: bool = False
    words: Words = NO_WORDS
    """The picture's own, where `data` is smaller and has lost them."""


def check_picture(data: bytes, *, max_pixels: int, longest_px: int | None) -> CheckedPicture:
    """The picture in `data`, with `longest_px` made smaller where its longest edge has more.

    Raises InvalidImage, ImageTooLarge, UnsupportedFormat.
    """
    decoded = decode(data, max_pixels=max_pixels, shortest_px=longest_px or _CHECKED_AT_PX)
    sha256 = content_hash(data)
    if longest_px is None or max(decoded.size_px) <= longest_px:
        return CheckedPicture(data, SUFFIXES[decoded.content_type], sha256)
    reduced = encode_jpeg(thumbnail(decoded.image, longest_px), quality=_QUALITY)
    return CheckedPicture(reduced, ".jpg", sha256, reduced=True, words=embedded_words(data))


def file_name(listed_name: str, url: str, picture: CheckedPicture) -> str:
    """Where a picture of a list is kept, relative to the folder: a word of its name that is safe everywhere, and its
    content's hash. The same content under the same name is the same file.
    """
    last = listed_name or urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    stem = PurePosixPath(last.replace("\\", "/")).name.rpartition(".")[0] or PurePosixPath(last).name
    word = _NO_NAME.sub("-", stem).strip("-")[:_MAX_STEM].strip("-") or "picture"
    digits = picture.sha256[:_NAME_DIGITS]
    return f"pictures/{digits[:2]}/{word}-{digits}{picture.suffix}"


def is_safe_member(name: str) -> bool:
    """Whether a name inside an archive may become a path below a folder: plain parts, none hidden, none upwards, and
    none in the place of our own files.
    """
    parts = name.split("/")
    ours = parts[0].lower().endswith(".jsonl")
    return len(parts) <= _MAX_DEPTH and not ours and all(_PART.fullmatch(part) for part in parts)
