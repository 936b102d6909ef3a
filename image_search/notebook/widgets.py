"""Asking with a click: an upload and a field for words, with the pictures that they find below. Needs ipywidgets."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from ipywidgets import HTML, FileUpload, Layout, Text, VBox

from image_search.client import ClientError
from image_search.errors import ImageSearchError
from image_search.notebook.library import Library
from image_search.notebook.show import grid


def upload_box(library: Library, *, top_k: int = 12) -> VBox:
    """A button for a picture of one's own; the most similar ones appear below it."""
    button = FileUpload(accept="image/*", multiple=False, description="A picture")
    found = HTML()

    def asked(change: Any) -> None:
        if change["new"]:
            file = change["new"][0]
            show = grid_of(lambda: library.similar(bytes(file["content"]), top_k=top_k), f"Similar to {file['name']}")
            found.value = show

    button.observe(asked, names="value")
    return VBox([button, found])


def words_box(library: Library, *, top_k: int = 12) -> VBox:
    """A field for words; the pictures that have them appear below it when Enter is pressed."""
    field = Text(placeholder="words, then Enter", continuous_update=False, layout=Layout(width="24em"))
    found = HTML()

    def asked(change: Any) -> None:
        words = str(change["new"]).strip()
        found.value = grid_of(lambda: library.by_words(words, top_k=top_k), f"Found by “{words}”") if words else ""

    field.observe(asked, names="value")
    return VBox([field, found])


def grid_of(find: Callable[[], Any], heading: str) -> str:
    """The grid of what is found as HTML; where it cannot be, the reason."""
    try:
        return grid(find(), heading).html
    except (ImageSearchError, ClientError) as error:
        return f"<p>{escape(str(error))}</p>"
