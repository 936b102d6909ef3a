"""create_app(settings) -> the Flask application."""

from __future__ import annotations

import re
import secrets
import threading
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request
from flask_cors import CORS
from flask_openapi3 import OpenAPI
from werkzeug.middleware.proxy_fix import ProxyFix

from image_search.api.auth import load_keys
from image_search.api.document import INFO, register_document
from image_search.api.limits import register_limits
from image_search.api.metrics import register_metrics
from image_search.api.operations import SECURITY_SCHEMES
from image_search.api.page import register_page
from image_search.api.problems import register_problems
from image_search.api.routes import check, collections, images, indexing, insert, jobs, metrics, search, status, vectors
from image_search.api.unread import register_discarding
from image_search.config import Settings

if TYPE_CHECKING:
    from image_search.wiring import Services

PAGE_POLICY = (
    "default-src 'self'; img-src 'self' blob: data: http: https:; style-src 'self'; script-src 'self'; "
    "media-src blob:; connect-src 'self' http: https:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def create_app(settings: Settings, services: Services) -> Flask:
    """The application over services that are already built; opens nothing itself. Make it after a fork."""
    app = OpenAPI("image_search", info=INFO, security_schemes=SECURITY_SCHEMES, doc_ui=False, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.http_server.max_request_bytes
    # Flask's own cap for fields that are no files would answer with the wrong limit.
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.http_server.max_request_bytes
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions["settings"] = settings
    app.extensions["services"] = services
    # Made now, by one thread: cached_property has no lock, and two of a service would be two sets of locks.
    _ = (services.search, services.library, services.indexing, services.jobs, services.exchange, services.runner)
    _ = services.signer
    app.extensions["keys"] = load_keys(settings)
    app.extensions["exchanges"] = threading.BoundedSemaphore(vectors.AT_ONCE)
    for resource in (search, insert, check, collections, images, indexing, jobs, vectors, status, metrics):
        app.register_api(resource.blueprint)
    register_document(app)
    register_page(app)
    register_problems(app)
    # Before what may refuse a request, so that refusals are counted too.
    register_metrics(app, services)
    register_limits(app, settings)
    _register_headers(app)
    register_discarding(app, settings.http_server.max_request_bytes)
    if settings.http_server.cors_origins:
        CORS(
            app,
            # Each origin is exactly itself: flask_cors takes what looks like one for a regular expression.
            origins=[re.compile(re.escape(origin) + r"\Z") for origin in settings.http_server.cors_origins],
            always_send=False,
            allow_headers=["Authorization", "Content-Type", "X-API-Key"],
            expose_headers=["Location", "Retry-After", "X-Request-ID"],
            max_age=600,
        )
    if proxies := settings.http_server.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, proxies, proxies, proxies, proxies, proxies)  # type: ignore[method-assign]
    return app


def _register_headers(app: Flask) -> None:
    @app.before_request
    def identify() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if re.fullmatch(r"[A-Za-z0-9-]{8,64}", given) else secrets.token_hex(8)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.get("request_id", "")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        if request.endpoint in ("page", "static") and response.status_code < 400:
            # The files have no version in their names: the browser asks each time and gets a 304.
            response.headers["Cache-Control"] = "no-cache"
        elif "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response
