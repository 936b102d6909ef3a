"""Title, description and subjects of an XMP packet. Pure.

Expat is fed directly, with what XML bombs are made of refused: a packet with a document type (and so any entity of its
own) is not read, nor is one of more than a megabyte.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from xml.parsers import expat

MAX_PACKET_BYTES = 1_000_000
MAX_VALUES = 2048
_DC = "http://purl.org/dc/elements/1.1/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XML_LANG = "http://www.w3.org/XML/1998/namespace lang"
_DC_BYTES = _DC.encode()


@dataclass(slots=True)
class XmpWords:
    """What Dublin Core says of a picture; "" and empty = nothing."""

    title: str = ""
    description: str = ""
    subjects: list[str] = field(default_factory=list)


class _Stop(Exception):
    pass


def read_xmp(packet: bytes) -> XmpWords:
    """The words of a packet; none of one that is hostile, damaged or too large."""
    found = XmpWords()
    packet = packet.strip(b"\0 \t\r\n")
    # UTF-16 packets, rare as they are, have no such bytes: the look-ahead spares a parser for the usual camera's.
    if len(packet) > MAX_PACKET_BYTES or (_DC_BYTES not in packet and b"\0" not in packet):
        return found
    reader = _Reader(found)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    # No entity can be declared outside a document type.
    parser.StartDoctypeDeclHandler = _refuse
    # A packet that is cut short has said what it said.
    with contextlib.suppress(expat.ExpatError, ValueError, LookupError, _Stop):
        parser.Parse(packet, True)
    return found


def _refuse(*_: object) -> None:
    raise _Stop


class _Reader:
    """Collects `dc:title/rdf:Alt/rdf:li` and its siblings."""

    def __init__(self, found: XmpWords) -> None:
        self._found = found
        self._within = ""
        self._default = False
        self._collected: list[str] | None = None
        self._values = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if space == _DC:
            self._within = local
        elif self._within and name == f"{_RDF} li":
            self._default = attributes.get(_XML_LANG, "x-default") == "x-default"
            self._collected = []

    def data(self, text: str) -> None:
        if self._collected is not None:
            self._collected.append(text)

    def end(self, name: str) -> None:
        if name == f"{_RDF} li" and self._collected is not None:
            self._keep("".join(self._collected).strip())
            self._collected = None
        elif name.startswith(f"{_DC} "):
            self._within = ""

    def _keep(self, value: str) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _Stop
        if self._within == "subject":
            self._found.subjects.append(value)
        elif self._within == "title" and (self._default or not self._found.title):
            self._found.title = value
        elif self._within == "description" and (self._default or not self._found.description):
            self._found.description = value
