"""The photos that XML files of the MVSO collection tell of (Multilingual Visual Sentiment Ontology, Flickr). Pure.

A file is one answer of Flickr's `photos.getInfo`: a `photo` with a title, a description, tags and the address of its
page; its folder is the adjective and noun it was found by. An answer that lists several photos is read as well.

Expat is fed directly, as for XMP: a file with a document type, and so any entity of its own, is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from image_search.errors import InvalidInput
from image_search.metadata.listed import BrokenRow, ListedPicture, listed

MAX_FILE_BYTES = 16_000_000
"""One photo has some kilobytes; a page of a list has 500."""
PHOTO_URL = "https://live.staticflickr.com/{server}/{id}_{secret}.jpg"
"""Source: Flickr's "Photo Image URLs"; without a size suffix the longest edge has 500 px."""
_ID, _SECRET = re.compile(r"[0-9]{1,20}"), re.compile(r"[0-9a-f]{1,40}")
_CHUNK_BYTES = 1 << 16
_MAX_TEXT = 1_000_000
_SUFFIXES = ("", ".xml")


class _Refused(Exception):
    pass


def read_mvso(path: Path) -> Iterator[ListedPicture | BrokenRow]:
    """Every photo of a file, or of the files below a folder in the order of their names.

    Raises InvalidInput where there is neither.
    """
    if path.is_dir():
        unread: list[OSError] = []
        for here, folders, files in os.walk(path, onerror=unread.append):
            yield from _unread(unread, path)
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            for name in sorted(files):
                file = Path(here) / name
                if not name.startswith(".") and file.suffix.lower() in _SUFFIXES:
                    yield from _photos(file, _where(file, path))
        yield from _unread(unread, path)
    elif path.is_file():
        yield from _photos(path, _where(path, path))
    else:
        raise InvalidInput(f"{str(path)!r} does not exist, or is neither a file nor a folder")


def _unread(errors: list[OSError], path: Path) -> Iterator[BrokenRow]:
    """A row for each folder that could not be read, taken from `errors`."""
    while errors:
        error = errors.pop(0)
        yield BrokenRow(_where(Path(error.filename), path), f"the folder cannot be read: {error.strerror}")


def _where(inner: Path, path: Path) -> str:
    return _printable(inner.relative_to(path).as_posix() if inner != path else path.name)


def _printable(name: str) -> str:
    """A file name that may be no UTF-8, as text that can be written."""
    return os.fsencode(name).decode("utf-8", errors="replace")


def _photos(path: Path, where: str) -> Iterator[ListedPicture | BrokenRow]:
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = _refuse
    problem, rest = "", MAX_FILE_BYTES
    try:
        # A named pipe would block for ever.
        if not path.is_file():
            raise _Refused("is no regular file")
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                rest -= len(chunk)
                if rest < 0:
                    raise _Refused(f"has more than {MAX_FILE_BYTES:,} bytes")
                parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        problem = f"is no valid XML ({error})"
    except (ValueError, LookupError):
        # What expat says of an encoding that Python does not know, or cannot use.
        problem = "is XML in an encoding that is not known"
    except _Refused as error:
        problem = str(error)
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    # Its folder is what the collection found the photo by: "abandoned_area" and the like; so it is when the folder
    # itself, or the file alone, is read, in whatever way it is named.
    concept = _printable(path.parent.resolve().name)
    for photo in reader.photos:
        yield _row(photo, concept, where)
    if problem:
        yield BrokenRow(where, problem)
    elif not reader.photos:
        yield BrokenRow(where, "has no photo in it")


def _refuse(*_: object) -> None:
    raise _Refused("has a document type, which no file of that collection has")


class _Photo:
    """What the elements of one photo say."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.attributes = attributes
        self.texts: dict[str, str] = {}
        self.owner = ""
        self.posted = attributes.get("dateuploaded", "")
        self.tags: list[str] = []


class _Reader:
    """Collects `photo` elements, wherever they lie."""

    def __init__(self) -> None:
        self.photos: list[_Photo] = []
        self._inside: list[str] = []
        """Names of the elements that are open, from the photo on."""
        self._attributes: dict[str, str] = {}
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "photo" and not self._inside:
            self.photos.append(_Photo(attributes))
            self._inside = [name]
            return
        if not self._inside:
            return
        self._inside.append(name)
        self._attributes, self._text = attributes, []
        photo = self.photos[-1]
        if self._inside == ["photo", "owner"]:
            photo.owner = attributes.get("username") or attributes.get("nsid", "")
        elif self._inside == ["photo", "dates"]:
            photo.posted = photo.posted or attributes.get("posted", "")

    def data(self, text: str) -> None:
        if self._inside and len(self._text) < _MAX_TEXT:
            self._text.append(text)

    def end(self, name: str) -> None:
        if not self._inside:
            return
        photo, text = self.photos[-1], "".join(self._text).strip()
        if self._inside == ["photo", "tags", "tag"]:
            # The raw form has the spaces that Flickr takes out for its addresses.
            photo.tags.append(self._attributes.get("raw") or text)
        elif self._inside == ["photo", "urls", "url"]:
            photo.texts.setdefault("page", text)
        elif self._inside in (["photo", "title"], ["photo", "description"]):
            photo.texts.setdefault(name, text)
        self._inside.pop()
        self._attributes, self._text = {}, []


def _row(photo: _Photo, concept: str, where: str) -> ListedPicture | BrokenRow:
    said = photo.attributes
    number, server, secret = (said.get(key, "") for key in ("id", "server", "secret"))
    if not (_ID.fullmatch(number) and _ID.fullmatch(server) and _SECRET.fullmatch(secret)):
        return BrokenRow(where, "its photo has no id, server and secret, of which its address is made")
    fields = {"flickr_id": number, "owner": photo.owner, "licence": said.get("license", ""), "concept": concept}
    row = {
        "image_url": PHOTO_URL.format(server=server, id=number, secret=secret),
        "page_url": photo.texts.get("page", ""),
        "filename": f"{number}.jpg",
        "title": photo.texts.get("title") or said.get("title", ""),
        "text": photo.texts.get("description", ""),
        "tags": photo.tags or said.get("tags", "").split(),
        "created_at": photo.posted if photo.posted.isdecimal() else None,
        "fields": {name: value for name, value in fields.items() if value},
    }
    return listed(row, where)
