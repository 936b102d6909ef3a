"""The page from a plain file server, the service at another origin: with CORS, and without it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.live import environment, serving, write_tiny_model

if TYPE_CHECKING:
    from conftest import Console

WEB = Path(__file__).parents[2] / "web"
KEYS = {"admin": "only-for-these-tests", "user": "for-those-who-search"}


@dataclass(frozen=True)
class Static:
    """A file server that has the page."""

    origin: str
    folder: Path

    def name_api(self, address: str) -> None:
        """Write into the page's config.js where its service is."""
        config = (WEB / "config.js").read_text(encoding="utf-8")
        named = config.replace('API_BASE = ""', f'API_BASE = "{address}"')
        assert named != config
        (self.folder / "config.js").write_text(named, encoding="utf-8")


class _Files(SimpleHTTPRequestHandler):
    """Python's own file server, without its log."""

    def log_message(self, *_said: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Static]:
    folder = tmp_path_factory.mktemp("static") / "web"
    shutil.copytree(WEB, folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        # Another host by its name too: only so is it another site to the browser, and not only another port.
        yield Static(f"http://localhost:{server.server_port}", folder)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def live_server(static: Static, sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service that lets the file server's page in, with a key for each role."""
    pytest.importorskip("milvus_lite", reason="milvus-lite is missing: `make setup` installs it")
    folder = tmp_path_factory.mktemp("library")
    settings = {
        "IMAGE_SEARCH_HTTP_SERVER__CORS_ORIGINS": static.origin,
        "IMAGE_SEARCH_SECURITY__ADMIN_KEY": KEYS["admin"],
        "IMAGE_SEARCH_SECURITY__USER_KEY": KEYS["user"],
    }
    env = environment(write_tiny_model(folder), folder / "data", **settings)
    with serving(env, "--images", str(sample_folder)) as (address, _process):
        static.name_api(address)
        yield address


@pytest.fixture
def elsewhere(page: Page, static: Static) -> Page:
    """The page as the file server serves it."""
    page.goto(static.origin)
    page.locator('#status-button[data-phase="ready"]').wait_for()
    return page


def search_with(page: Page, picture: Path) -> None:
    """Search with a picture, and give the key that is asked for."""
    page.set_input_files("#chooser", picture)
    page.get_by_label("Search key").fill(KEYS["user"])
    page.keyboard.press("Enter")
    expect(page.locator("#grid > .card:not(.skeleton)")).to_have_count(20)


def test_it_searches_and_shows_pictures_of_another_origin(
    elsewhere: Page, console: Console, live_server: str, sample_image: Path
) -> None:
    console.allow("401")
    page = elsewhere
    search_with(page, sample_image)
    first = page.locator("#grid > .card").first
    expect(first.locator(".card-reason")).to_have_text("Same picture")
    assert (first.locator("img").get_attribute("src") or "").startswith(live_server)
    page.wait_for_function("document.querySelector('#grid .card img').naturalWidth > 0")
    first.locator(".card-pick").click()
    page.wait_for_function("[...document.querySelectorAll('#viewer img')].every((image) => image.naturalWidth > 0)")
    expect(page.locator("#viewer img")).to_have_count(2)
    page.keyboard.press("Escape")
    # Its own bytes are asked for by script too: for a region of a picture of the library.
    first.get_by_role("button", name="Search with this").click()
    expect(page.locator("#query .overline").first).to_have_text("From the library")
    page.get_by_role("button", name="Select a region").click()
    expect(page.locator(".crop-frame")).to_be_visible()
    expect(page.locator('#grid[aria-busy="false"]')).to_be_visible()
    expect(page.get_by_role("alert")).to_be_empty()


def test_the_library_works_with_the_admin_key(elsewhere: Page, console: Console, live_server: str) -> None:
    console.allow("401")
    page = elsewhere
    page.get_by_role("link", name="Library").click()
    field = page.get_by_role("dialog").get_by_label("Search key")
    field.fill(KEYS["user"])
    page.keyboard.press("Enter")
    cards = page.locator("#library .grid > .card")
    expect(cards.first).to_be_visible()
    cards.first.locator('[data-act="edit"]').click()
    dialog = page.get_by_role("dialog", name="Edit")
    dialog.get_by_label("Title").fill("From afar")
    dialog.get_by_role("button", name="Save").click()
    asks = page.get_by_role("dialog", name="This needs the admin key")
    asks.get_by_label("Admin key").fill(KEYS["admin"])
    page.keyboard.press("Enter")
    expect(cards.first.locator(".card-title")).to_have_text("From afar")
    image_id = cards.first.get_attribute("data-id")
    cards.first.locator('[data-act="bin"]').click()
    expect(page.locator(".toast")).to_contain_text("Moved to the trash")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(f'#library [data-id="{image_id}"]')).to_be_visible()


def test_a_link_opens_a_search_there_too(elsewhere: Page, console: Console, static: Static, live_server: str) -> None:
    console.allow("401")
    page = elsewhere
    headers = {"X-API-Key": KEYS["user"]}
    (image,) = page.request.get(f"{live_server}/images?limit=1", headers=headers).json()["images"]
    # A key is kept under the name of the service that it was given to.
    page.evaluate(
        "([name, key]) => sessionStorage.setItem(name, key)", [f"image-search.key@{live_server}", KEYS["user"]]
    )
    page.goto(f"{static.origin}/?id={image['id']}")
    expect(page.locator("#grid > .card").first).to_have_attribute("data-id", image["id"])


@pytest.mark.parametrize(
    ("locale", "words"), [("en-US", "does not let this page read its answers"), ("zh-CN", "不允许")]
)
def test_without_cors_it_says_what_is_wrong_and_what_helps(
    browser: Browser, console: Console, static: Static, live_server: str, locale: str, words: str
) -> None:
    # The same page under a name that the service does not know is another origin.
    stranger = static.origin.replace("localhost", "127.0.0.1")
    context = browser.new_context(locale=locale)
    page = context.new_page()
    page.on("pageerror", lambda error: console.errors.append(f"uncaught: {error}"))
    page.goto(stranger)
    notice = page.locator('.notice[data-tone="away"]')
    expect(notice).to_contain_text(words)
    expect(notice).to_contain_text("cors_origins")
    expect(notice).to_contain_text(stranger)
    context.close()
    assert console.unexpected == []


def test_a_service_that_is_not_there_is_not_blamed_on_cors(
    browser: Browser, static: Static, live_server: str, tmp_path: Path
) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.route(f"{live_server}/**", lambda route: route.abort())
    page.goto(static.origin)
    expect(page.get_by_text("The service is not answering.")).to_be_visible()
    expect(page.get_by_text("cors_origins")).to_have_count(0)
    context.close()
