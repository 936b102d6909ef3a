"""GET /openapi.json, and /docs, the page that shows it: nothing of it comes from another server."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import flask_openapi3_swagger
from flask import Response, json, send_from_directory
from flask_openapi3 import Info, OpenAPI

from image_search import __version__

INFO = Info(
    title="image-search",
    version=__version__,
    description=(
        "Reverse image search. Every error is a problem document (RFC 9457); another method than those shown is "
        "answered 405, and what is not here 404. Where no user key is set, what asks for the user's key is open. "
        "Clients of the older interface may send `key` as a member of any JSON body that they post."
    ),
)
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI sets styles of its own at run time; scripts are files of this server alone."""
_UI_FILES = {"swagger-ui.css": "css", "swagger-ui-bundle.js": "js"}


def register_document(app: OpenAPI) -> None:
    """Serve the document, made once, and the page."""
    text = json.dumps(_document(app))
    ours = Path(str(files("image_search.api") / "docs"))
    theirs = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"

    def document() -> Response:
        return Response(text, content_type="application/json")

    def docs(name: str = "docs.html") -> Response:
        folder = theirs / _UI_FILES[name] if name in _UI_FILES else ours
        response = send_from_directory(folder, name)
        response.headers["Content-Security-Policy"] = DOCS_POLICY
        response.headers["Cache-Control"] = "no-cache"
        return response

    app.add_url_rule("/openapi.json", "document", document)
    app.add_url_rule("/docs", "docs", docs)
    for name in ("docs.js", *_UI_FILES):
        app.add_url_rule(f"/docs/{name}", "docs_file", docs, defaults={"name": name})


def _document(app: OpenAPI) -> dict[str, Any]:
    made: dict[str, Any] = app.api_doc
    for operations in made["paths"].values():
        for one in operations.values():
            # The library gives each operation an answer 422 of its own form; ours are there where they can come.
            answer = one["responses"]["422"]
            if "application/json" in answer["content"]:
                del one["responses"]["422"]
    del made["components"]["schemas"]["ValidationErrorModel"]
    return made
