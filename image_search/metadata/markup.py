"""HTML remains in titles and texts -> what a reader would have seen. Pure.

Texts from the web carry `<a href=…>`, `<strong>` and `&amp;`: they would be found by a search for "href" and shown as
they are. Only elements that people write in texts are taken for markup, so that "a < b", "<3" and "x <y> z" stay.
The addresses of links go with their tags.
"""

from __future__ import annotations

import re
from html import unescape

_BREAKING = "p|div|br|hr|li|ul|ol|dl|dt|dd|tr|table|tbody|thead|h[1-6]|blockquote|pre|section|article|center|figure"
_JOINING = "sub|sup|wbr"
_INLINE = "a|b|i|u|s|em|strong|span|font|img|small|big|code|tt|td|th|cite|abbr|del|ins|strike|mark|q|label|figcaption"
# No attribute's value holds a "<": where a tag does not end, nothing beyond the next one is looked at again. Real data
# sets come with their equals signs lost: <a href "https://…" rel "nofollow">.
_QUOTED = r"""(?:\s*=\s*|\s+)(?:"[^"<]*"|'[^'<]*')"""
_TAG = re.compile(
    rf"</?(?:(?P<breaking>{_BREAKING})|(?P<joining>{_JOINING})|{_INLINE})"
    rf"""(?:\s+[a-z][\w:.-]*(?:{_QUOTED}|\s*=\s*[^\s"'<>]+))*\s*/?>""",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)


def readable(value: str) -> str:
    """The text without tags and with its entities resolved, once."""
    if "<" in value:
        value = _TAG.sub(_in_place_of, value)
    if "&" in value:
        # Only what ends with a semicolon: "?a=1&copy=2" is an address.
        value = _ENTITY.sub(lambda found: unescape(found[0]).replace("\xa0", " "), value)
    return value


def _in_place_of(tag: re.Match[str]) -> str:
    if tag["breaking"]:
        return "\n"
    if tag["joining"]:
        return ""
    # "by WADE<strong>Place</strong>" stood on two lines once.
    before, after = tag.string[: tag.start()][-1:], tag.string[tag.end() : tag.end() + 1]
    return " " if before.isalnum() and after.isalnum() else ""
