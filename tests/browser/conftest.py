"""A real Chromium that drives the page of a real service; every test fails on an error in its console."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from image_search.samples import draw_samples
from tests.live import ADMIN_KEY, environment, serving, write_tiny_model

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: `make setup` installs it")

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # For the live search: two cameras that show a moving test picture, and a name of this machine that browsers do not
    # trust as they trust localhost.
    "--use-fake-device-for-media-stream=device-count=2",
    "--host-resolver-rules=MAP elsewhere.test 127.0.0.1",
]

# The browser tells of a refused script, style or connection as an event; the console is where the tests look.
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI}`));
"""


# Of each expectation, which is met as soon as it is true: a busy machine takes its time.
sync_api.expect.set_options(timeout=20_000)


def _wait_for_function(page: Page, expression: str, *, arg: Any = None, timeout: float = 15_000) -> None:
    """Return when the expression, or what the function returns, is true on the page.

    In place of the driver's own, which asks again by `eval` inside the page: its Content-Security-Policy refuses that.
    """
    deadline = time.monotonic() + timeout / 1000
    while not page.evaluate(expression, arg):
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not become true: {expression}")
        page.wait_for_timeout(50)


sync_api.Page.wait_for_function = _wait_for_function


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
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 of the drawn sample pictures."""
    folder = tmp_path_factory.mktemp("samples")
    draw_samples(folder, count=60)
    return folder


@pytest.fixture(scope="session")
def picture_host(sample_folder: Path) -> Iterator[str]:
    """Address of another server, which has the sample pictures and which the service may fetch from."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietFiles, directory=str(sample_folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _QuietFiles(SimpleHTTPRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def live_server(sample_folder: Path, picture_host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real service with these pictures, over a tiny network."""
    pytest.importorskip("milvus_lite", reason="milvus-lite is missing: `make setup` installs it")
    folder = tmp_path_factory.mktemp("library")
    allowed = {"IMAGE_SEARCH_URL_FETCH__ALLOW": picture_host.removeprefix("http://")}
    env = environment(write_tiny_model(folder), folder / "data", **allowed)
    with serving(env, "--images", str(sample_folder)) as (address, _process):
        yield address


@pytest.fixture
def keyed(page: Page) -> Page:
    """The page of `own_service` with the admin key given before."""
    page.evaluate("(key) => sessionStorage.setItem('image-search.admin-key', key)", ADMIN_KEY)
    page.reload()
    page.locator('#status-button[data-phase="ready"]').wait_for()
    return page


@pytest.fixture(scope="session")
def sample_image(sample_folder: Path) -> Path:
    """A picture file that is in the library of live_server."""
    return min(sample_folder.rglob("*.jpg"))


def _executable() -> str:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("Chromium is missing: `apt-get install chromium` (Debian, Ubuntu) provides it")
    return executable


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = _executable()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def sharing_browser(browser: Browser) -> Iterator[Browser]:
    """One more, which lends cameras and shares its screen, a drawn one, without asking."""
    flags = [*CHROMIUM_FLAGS, "--use-fake-ui-for-media-stream"]
    sharing = browser.browser_type.launch(executable_path=_executable(), headless=True, args=flags)
    yield sharing
    sharing.close()


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
    # From now on the driver takes what would choose a file: told of it at the key, it may come after the browser's own.
    page.on("filechooser", lambda _chooser: None)
    page.goto(live_server)
    page.locator('#status-button[data-phase="ready"]').wait_for()
    yield page
    context.close()
    assert console.unexpected == []
