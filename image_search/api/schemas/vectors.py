"""GET and POST /export, POST /import."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from image_search.api.schemas.base import Answer
from image_search.api.schemas.images import InCollection
from image_search.api.schemas.values import check_text


class ExportQuery(InCollection):
    """Which collection, and the permission that a link carries."""

    ticket: str | None = Field(
        None, description="Of a link that POST /export gave; without it the admin key is needed."
    )


class ImportQuery(InCollection):
    """Into which collection, and what the file is called."""

    name: Annotated[str, AfterValidator(lambda value: check_text(value, 1_000))] | None = Field(
        None, description="What errors call the file; that of its form part, else `the file`, where it is not named."
    )


class ExportLink(Answer):
    """Where a browser fetches the file from."""

    url: str = Field(description="Good for some minutes, without a key.")
    expires_at: str = Field(description="RFC 3339.")
