"""What a route reaches through the application it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app

if TYPE_CHECKING:
    from image_search.config import Settings
    from image_search.wiring import Services


def services() -> Services:
    """The services of the current application."""
    found: Services = current_app.extensions["services"]
    return found


def settings() -> Settings:
    """The settings of the current application."""
    found: Settings = current_app.extensions["settings"]
    return found
