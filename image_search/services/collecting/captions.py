"""Captions in COCO's form -> words by file name. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from image_search.errors import InvalidInput
from image_search.metadata.entry import words_of
from image_search.metadata.words import Words


def read_captions(data: bytes, where: str) -> dict[str, Words]:
    """Words of each picture by its file name: the first caption as title, the others as text, the licence as a field.

    Raises InvalidInput.
    """
    try:
        document = json.loads(data)
        images, annotations = document["images"], document["annotations"]
        licences = {entry["id"]: entry.get("url") or entry.get("name") for entry in document.get("licenses", [])}
        said: dict[Any, list[str]] = {}
        for annotation in annotations:
            said.setdefault(annotation["image_id"], []).append(annotation["caption"])
        return {image["file_name"]: _words(image, said.get(image["id"], []), licences, where) for image in images}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"{where}: no captions in COCO's form ({type(error).__name__})") from error


def _words(image: Mapping[str, Any], captions: list[str], licences: Mapping[Any, Any], where: str) -> Words:
    lines = [" ".join(caption.split()) for caption in captions]
    row = {
        "title": lines[0] if lines else "",
        "text": "\n".join(lines[1:]),
        "source_url": image.get("flickr_url") or image.get("coco_url") or "",
        "fields": {"licence": licences.get(image.get("license"))},
    }
    return words_of(row, f"{where}, {image['file_name']}")
