"""Files that travel with the package: the page and the default configuration."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def web_folder() -> Path:
    """The page's folder: inside an installed wheel, else at the top of the checkout."""
    inside = _PACKAGE / "web"
    return inside if inside.is_dir() else _PACKAGE.parent / "web"
