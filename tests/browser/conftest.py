"""A real Chromium that drives the page of a real service; every test fails on an error in its console."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: `make setup` installs it")

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# The browser tells of a refused script, style or connection as an event; the console is where the tests look.
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI}`));
"""


class Console:
    """What the page's console said in one test, errors only."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self._allowed: list[str] = []

    def allow(self, part: str) -> None:
        """Errors that contain this text are part of the test, before or after this call."""
        self._allowed.append(part)

    @property
    def unexpected(self) -> list[str]:
        return [error for error in self.errors if not any(part in error for part in self._allowed)]


@pytest.fixture(scope="session")
def live_server() -> str:
    """Address of a service with a small sample library."""
    pytest.fail("live_server is not provided yet: start the real service with a small sample library here")


@pytest.fixture(scope="session")
def sample_image() -> Path:
    """A picture file that is in the library of live_server."""
    pytest.fail("sample_image is not provided yet: give a file of live_server's library here")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("Chromium is missing: `apt-get install chromium` (Debian, Ubuntu) provides it")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def page(browser: Browser, console: Console, live_server: str) -> Iterator[Page]:
    """The page, open and connected to its service, in English on a wide light screen."""
    context = browser.new_context(locale="en-US", color_scheme="light", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    context.add_init_script(TELL_VIOLATIONS)
    page = context.new_page()
    page.on("console", lambda message: console.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: console.errors.append(f"uncaught: {error}"))
    page.goto(live_server)
    page.locator('#status-button[data-phase="ready"]').wait_for()
    yield page
    context.close()
    assert console.unexpected == []
