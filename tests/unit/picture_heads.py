"""Pictures drawn in code whose heads carry words: EXIF, IPTC, XMP."""

from __future__ import annotations

import io
import struct
from typing import Any

from PIL import Image

from tests.support import draw

IFD_0 = {
    "description": 0x010E,
    "make": 0x010F,
    "model": 0x0110,
    "xp_title": 0x9C9B,
    "xp_comment": 0x9C9C,
    "xp_tags": 0x9C9E,
}
EXIF_IFD = {"taken": 0x9003, "offset": 0x9011, "comment": 0x9286}


def exif(**values: Any) -> Image.Exif:
    made = Image.Exif()
    for name, value in values.items():
        if name in IFD_0:
            made[IFD_0[name]] = value.encode("utf-16-le") + b"\0\0" if name.startswith("xp_") else value
        else:
            made.get_ifd(0x8769)[EXIF_IFD[name]] = value
    return made


def iptc(*datasets: tuple[int, int, bytes]) -> bytes:
    body = b"".join(
        struct.pack(">BBBH", 0x1C, record, number, len(value)) + value for record, number, value in datasets
    )
    body += b"\0" * (len(body) % 2)
    # An "8BIM" resource of Photoshop's, in the JPEG's APP13.
    resource = b"8BIM" + struct.pack(">H", 0x0404) + b"\0\0" + struct.pack(">I", len(body)) + body
    payload = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload


def xmp(body: str, before: str = "") -> bytes:
    return (
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{before}<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/">{body}</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


DC = (
    '<dc:title><rdf:Alt><rdf:li xml:lang="de">Titel</rdf:li><rdf:li xml:lang="x-default">Tom &amp; Jerry</rdf:li>'
    "</rdf:Alt></dc:title>"
    "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>Two\nlines</rdf:li></rdf:Alt></dc:description>"
    "<dc:subject><rdf:Bag><rdf:li>cat</rdf:li><rdf:li>mouse</rdf:li></rdf:Bag></dc:subject>"
    "<dc:creator><rdf:Seq><rdf:li>Someone</rdf:li></rdf:Seq></dc:creator>"
)


def picture(kind: str = "JPEG", head: bytes = b"", **options: Any) -> bytes:
    buffer = io.BytesIO()
    draw((200, 30, 30)).save(buffer, kind, **options)
    data = buffer.getvalue()
    return data[:2] + head + data[2:]
