"""GET and POST /export, POST /import."""

from __future__ import annotations

from pydantic import Field

from image_search.api.schemas.base import Answer
from image_search.api.schemas.images import InCollection


class ExportQuery(InCollection):
    """Which collection, and the permission that a link carries."""

    ticket: str | None = Field(
        None, description="Of a link that POST /export gave; without it the admin key is needed."
    )


class ExportLink(Answer):
    """Where a browser fetches the file from."""

    url: str = Field(description="Good for some minutes, without a key.")
    expires_at: str = Field(description="RFC 3339.")
