"""The one shape of every error (RFC 9457)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from image_search.api.schemas.base import Part


class FieldError(Part):
    """What is wrong with one field."""

    field: str = Field(description="Its name; `crop.left` where it is inside another.")
    reason: str


class Problem(Part):
    """application/problem+json. `ok` and `result` are for clients of the older interface."""

    type: str = Field(description="A URN that ends in `code`.")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="One sentence for a person.")
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="A name for programs.")
    errors: list[FieldError]
    request_id: str = Field(description="The same as in the header X-Request-ID.")
    ok: Literal[False]
    result: str
