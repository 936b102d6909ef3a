"""A file that is sent: from the request to a file of ours, never whole in memory."""

from __future__ import annotations

import shutil
from typing import IO, BinaryIO

from flask import request
from werkzeug.formparser import FormDataParser

from image_search.api.body import VECTORS_TYPE, is_multipart
from image_search.errors import InvalidParameter, UnsupportedFormat

PART = "file"
RAW = (VECTORS_TYPE, "application/octet-stream")
_PIECE_BYTES = 1_048_576
_MAX_PARTS = 2
_MAX_FIELD_BYTES = 1_048_576
"""werkzeug counts what it has not yet passed on of a file too: its own pieces of 64 KB have to fit in."""


def check_kind() -> None:
    """Raise UnsupportedFormat unless the body can be one file."""
    if not is_multipart() and request.mimetype not in RAW:
        raise UnsupportedFormat(
            f"a body of type {request.mimetype[:80]!r}; {VECTORS_TYPE}, or multipart/form-data with a part {PART!r} is "
            "expected"
        )


def receive_file(target: BinaryIO, most_bytes: int) -> str:
    """Write the file that the current request brings into `target`; what a form calls it, else "".

    Raises RequestEntityTooLarge, UnsupportedFormat, InvalidParameter.
    """
    request.max_content_length = most_bytes
    if is_multipart():
        return _receive_part(target)
    shutil.copyfileobj(request.stream, target, _PIECE_BYTES)
    if request.content_length is None:
        # werkzeug ends a body without a length at the limit and says nothing; to read on raises.
        request.stream.read(1)
    if not target.tell():
        raise InvalidParameter(PART, "is empty or missing: send an exported file")
    return ""


def _receive_part(target: BinaryIO) -> str:
    taken: list[str] = []

    # werkzeug names its arguments; of them all only that it is called matters.
    def stream_for(
        total_content_length: int | None,  # noqa: ARG001
        content_type: str | None,  # noqa: ARG001
        filename: str | None,
        content_length: int | None = None,  # noqa: ARG001
    ) -> IO[bytes]:
        taken.append(filename or "")
        if len(taken) > 1:
            raise InvalidParameter(PART, "was given more than once")
        return target

    parser = FormDataParser(
        # Ours in place of a temporary file of the system's, which may lie in memory.
        stream_factory=stream_for,
        max_form_memory_size=_MAX_FIELD_BYTES,
        max_form_parts=_MAX_PARTS,
        silent=False,
    )
    try:
        _, fields, files = parser.parse(
            request.stream, request.mimetype, request.content_length, request.mimetype_params
        )
    except ValueError as error:
        raise InvalidParameter("the body", "is no valid multipart/form-data", malformed=True) from error
    if others := sorted((set(fields) | set(files)) - {PART}):
        raise InvalidParameter(others[0][:100], f"unknown part; {PART} is expected")
    if PART not in files:
        raise InvalidParameter(PART, "is missing: send an exported file")
    return taken[0]
