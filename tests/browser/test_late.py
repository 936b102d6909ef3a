"""What comes late on a slow line, or not at all: it is said, it can be asked for again, and it moves nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

if TYPE_CHECKING:
    from conftest import Console

MOST_LOOKS = 1000
READY = '#status-button[data-phase="ready"]'
MISSING = "A part of this page could not be fetched."
SIZES = {"phone": {"width": 390, "height": 844}, "desk": {"width": 1280, "height": 800}}

# How far, in pixels, what can be pressed was moved, by its name.
WATCH = """
window.moved = {};
const pressed = "button, a[href], input, select, .stage, h1";
const name = (one) => one.id || one.getAttribute("aria-label") || one.textContent.trim() || one.className;
const boxes = new Map();
// Seen after each frame: a shift that the frame after takes back has been seen too.
const look = () => {
  for (const one of document.querySelectorAll(pressed)) {
    // A card's place is its rank's, and what follows all cards gives way to more of them.
    if (one.closest(".card, .toast, #results-foot") || !one.checkVisibility()) { boxes.delete(one); continue; }
    const { left, right, top, bottom } = one.getBoundingClientRect();
    // The bar stays where the window is; all else moves with the page.
    const down = one.closest(".bar") ? 0 : scrollY;
    const now = [left, right, top + down, bottom + down];
    const before = boxes.get(one) ?? now;
    boxes.set(one, now);
    const [by_left, by_right, by_top, by_bottom] = now.map((edge, place) => Math.abs(edge - before[place]));
    // What only grows or shrinks is still under the finger.
    const by = Math.max(Math.min(by_left, by_right), Math.min(by_top, by_bottom));
    if (by > 8) window.moved[name(one)] = Math.round(by);
  }
  requestAnimationFrame(look);
};
addEventListener("DOMContentLoaded", look);
"""

# Resolves when what was asked for before has been drawn, and looked at.
FRAMES = """
() => new Promise((end) => {
  let n = 0;
  const next = () => (++n > 3 ? end() : requestAnimationFrame(next));
  next();
})
"""


# The picture that is searched with has taken its shape, which only its bytes tell.
SHAPED = """(() => {
  const query = document.querySelector("#query:not([hidden])");
  return !query || !!query.querySelector(".stage")?.style.getPropertyValue("--ratio");
})()"""


class Held:
    """Requests that wait until they are let go."""

    def __init__(self, page: Page, pattern: str) -> None:
        self._page = page
        self._routes: list[Route] | None = []
        page.route(pattern, self._hold)

    def _hold(self, route: Route) -> None:
        if self._routes is None:
            route.continue_()
        else:
            self._routes.append(route)

    def wait(self) -> None:
        """Return when one is held."""
        for _ in range(MOST_LOOKS):
            if self._routes:
                return
            self._page.wait_for_timeout(20)
        raise AssertionError("it was not asked for")

    def let_go(self) -> None:
        held, self._routes = self._routes or [], None
        for route in held:
            route.continue_()


def broken(page: Page, pattern: str) -> Callable[[], None]:
    """The line to these breaks; what is given mends it."""
    page.route(pattern, lambda route: route.abort())
    return lambda: page.unroute(pattern)


def retry(page: Page) -> None:
    notice = page.locator("#notices .notice", has_text=MISSING)
    expect(notice).to_have_count(1)
    expect(page.get_by_role("status").filter(has_text=MISSING)).to_be_visible()
    notice.get_by_role("button", name="Try again").click()


def gone(page: Page) -> None:
    expect(page.get_by_text(MISSING)).to_have_count(0)


def test_the_library_says_at_once_that_it_comes(page: Page) -> None:
    held = Held(page, "**/manage/library.js")
    page.get_by_role("link", name="Library").click()
    library = page.locator("#library")
    expect(library.get_by_role("heading", name="Library")).to_be_visible()
    expect(library).to_have_attribute("aria-busy", "true")
    expect(library).to_contain_text("Loading…")
    expect(page.locator("#live")).to_have_text("Loading…")
    expect(page.locator("#ask")).to_be_hidden()
    expect(page.get_by_role("link", name="Library")).to_have_attribute("aria-current", "page")
    expect(page).to_have_url(re.compile("library=all"))
    heading = library.get_by_role("heading").bounding_box()
    held.let_go()
    expect(library.locator(".card").first).to_be_visible()
    expect(library).to_have_attribute("aria-busy", "false")
    after = library.get_by_role("heading").bounding_box()
    assert heading and after
    assert abs(after["y"] - heading["y"]) <= 8


def test_who_leaves_the_library_before_it_came_is_not_led_back(page: Page) -> None:
    held = Held(page, "**/manage/library.js")
    page.get_by_role("link", name="Library").click()
    held.wait()
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.locator("#ask")).to_be_visible()
    with page.expect_response("**/manage.css"):
        held.let_go()
    page.wait_for_function("document.querySelector('.toast')")
    expect(page.locator("#library")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("library"))


def test_a_library_that_did_not_come_is_fetched_again(page: Page, console: Console) -> None:
    console.allow("ERR_FAILED")
    mend = broken(page, "**/manage/words.js")
    page.get_by_role("link", name="Library").click()
    expect(page.locator("#library-shown")).to_be_hidden()
    retry(page)
    retry_again = page.get_by_text(MISSING)
    expect(retry_again).to_be_visible()
    mend()
    retry(page)
    expect(page.locator("#library .card").first).to_be_visible()
    gone(page)


def test_of_two_parts_that_did_not_come_each_is_told_until_it_is_there(page: Page, console: Console) -> None:
    console.allow("ERR_FAILED")
    mend = broken(page, "**/manage/words.js")
    mend_results = broken(page, "**/views/results.js")
    page.get_by_role("link", name="Library").click()
    expect(page.get_by_text(MISSING)).to_be_visible()
    mend_results()
    with page.expect_response("**/views/results.js"):
        retry(page)
    retry(page)
    mend()
    held = Held(page, "**/manage/words.js")
    retry(page)
    held.wait()
    library = page.locator("#library")
    expect(library).to_have_attribute("aria-busy", "true")
    expect(page.locator("#content")).to_be_focused()
    held.let_go()
    expect(library.locator(".card").first).to_be_visible()
    gone(page)


def test_a_library_that_comes_with_something_else_shows_its_pictures(
    page: Page, console: Console, sample_image: Path
) -> None:
    console.allow("ERR_FAILED")
    mend = broken(page, "**/manage/words.js")
    page.get_by_role("link", name="Library").click()
    expect(page.get_by_text(MISSING)).to_be_visible()
    mend()
    page.set_input_files("#chooser", sample_image)
    expect(page.locator("#library .card").first).to_be_visible()
    expect(page.get_by_text("No pictures here yet.")).to_have_count(0)
    gone(page)


def test_what_is_told_of_a_part_stays_while_it_is_asked_for_again(page: Page, console: Console) -> None:
    console.allow("ERR_FAILED")
    broken(page, "**/views/results.js")
    page.locator("#words").click()
    button = page.locator("#notices .notice", has_text=MISSING).get_by_role("button", name="Try again")
    button.focus()
    page.evaluate("() => { const now = performance.now.bind(performance); performance.now = () => now() + 10_000; }")
    with page.expect_event("requestfailed", lambda request: request.url.endswith("results.js")):
        # What changes the page's state asks again, and a picture that is dragged over it takes no focus.
        page.evaluate(
            """() => {
              const dataTransfer = new DataTransfer();
              dataTransfer.setData("text/uri-list", "http://elsewhere.test/");
              dispatchEvent(new DragEvent("dragenter", { dataTransfer, cancelable: true }));
            }"""
        )
    page.evaluate(FRAMES)
    expect(button).to_be_focused()


@pytest.mark.parametrize("part", ["**/views/results.js", "**/work.css"])
def test_results_that_cannot_be_shown_are_fetched_again(
    page: Page, console: Console, sample_image: Path, part: str
) -> None:
    console.allow("ERR_FAILED")
    mend = broken(page, part)
    page.set_input_files("#chooser", sample_image)
    expect(page.get_by_text(MISSING)).to_be_visible()
    mend()
    retry(page)
    expect(page.locator("#grid > .card:not(.skeleton)").first).to_be_visible()
    gone(page)


@pytest.mark.parametrize("part", ["**/views/viewer.js", "**/viewer.css"])
def test_a_viewer_that_did_not_come_is_fetched_again(
    page: Page, console: Console, sample_image: Path, part: str
) -> None:
    console.allow("ERR_FAILED")
    mend = broken(page, part)
    page.set_input_files("#chooser", sample_image)
    page.locator("#grid > .card:not(.skeleton) .card-pick").first.click()
    expect(page.locator("#viewer")).to_be_hidden()
    mend()
    retry(page)
    expect(page.locator("#viewer img").first).to_be_visible()
    gone(page)


@pytest.mark.parametrize("part", ["**/live/live.js", "**/views/live.js"])
def test_a_live_search_that_did_not_come_is_fetched_again(page: Page, console: Console, part: str) -> None:
    console.allow("ERR_FAILED")
    page.context.grant_permissions(["camera"])
    mend = broken(page, part)
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_text(MISSING)).to_be_visible()
    mend()
    retry(page)
    expect(page.locator(".live-pace")).to_contain_text("searches a second")
    gone(page)


def test_a_choice_of_collections_that_did_not_come_is_fetched_again(
    page: Page, console: Console, live_server: str
) -> None:
    console.allow("ERR_FAILED")
    console.allow("404")
    mend = broken(page, "**/views/places.js")
    page.goto(f"{live_server}/?collection=gone")
    expect(page.get_by_text(MISSING)).to_be_visible()
    mend()
    retry(page)
    expect(page.get_by_role("button", name="Go to “default”")).to_be_visible()
    gone(page)


def test_a_language_that_did_not_come_is_fetched_again(page: Page, console: Console) -> None:
    console.allow("ERR_FAILED")
    mend = broken(page, "**/i18n/zh.js")
    page.get_by_role("button", name="中文").click()
    expect(page.get_by_text(MISSING)).to_be_visible()
    mend()
    retry(page)
    expect(page.locator("#start-title")).to_have_text("查找相似的图片")


def test_a_page_without_its_words_says_so(page: Page, console: Console, live_server: str) -> None:
    console.allow("ERR_FAILED")
    console.allow("uncaught")
    mend = broken(page, "**/i18n/en.js")
    page.goto(live_server)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("could not be fetched")
    mend()
    alert.get_by_role("link").click()
    page.locator(READY).wait_for()


@pytest.mark.parametrize("size", list(SIZES))
def test_nothing_that_can_be_pressed_is_moved_by_what_comes_late(
    browser: Browser, console: Console, live_server: str, sample_image: Path, size: str
) -> None:
    is_phone = size == "phone"
    context = browser.new_context(
        locale="en-US", viewport=SIZES[size], has_touch=is_phone, is_mobile=is_phone, permissions=["camera"]
    )
    context.set_default_timeout(30_000)
    context.add_init_script(WATCH)
    page = context.new_page()
    page.on("console", lambda message: console.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: console.errors.append(f"uncaught: {error}"))
    found: dict[str, Any] = {}

    def slow(pattern: str, act: Callable[[], object]) -> None:
        """Act, and let what matches come only when all that the act itself moves has been moved."""
        held = Held(page, pattern)
        act()
        held.wait()
        page.wait_for_function(SHAPED)
        page.evaluate(FRAMES)
        page.evaluate("() => { window.moved = {}; }")
        held.let_go()

    def look(step: str, *, but: tuple[str, ...] = ()) -> None:
        page.evaluate(FRAMES)
        moved = page.evaluate("() => window.moved")
        if moved := {name: by for name, by in moved.items() if name not in but}:
            found[step] = moved

    def several(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "collections": ["default", "other"]})

    page.route("**/status", several)
    slow("**/readyz", lambda: page.goto(live_server))
    page.locator(READY).wait_for()
    expect(page.get_by_label("Collection")).to_be_visible()
    look("opening")
    page.unroute("**/status")
    page.goto(live_server)
    page.locator(READY).wait_for()
    cards = page.locator("#grid > .card:not(.skeleton)")
    slow("**/search", lambda: page.set_input_files("#chooser", sample_image))
    expect(cards.first).to_be_visible()
    look("a file")
    slow("**/search", lambda: page.get_by_role("button", name="Select a region").click())
    expect(page.locator('#grid[aria-busy="false"]')).to_be_visible()
    look("its region")
    slow("**/search*", lambda: cards.nth(2).get_by_role("button", name="Search with this").click())
    expect(page.locator("#query .overline").first).to_have_text("From the library")
    expect(page.locator('#grid[aria-busy="false"]')).to_be_visible()
    look("a picture of the library")
    slow("**/file*", lambda: cards.first.locator(".card-pick").click())
    expect(page.locator("#viewer img").first).to_be_visible()
    look("the viewer")
    page.keyboard.press("Escape")
    slow("**/manage.css", lambda: page.get_by_role("link", name="Library").click())
    expect(page.locator("#library .card").first).to_be_visible()
    look("the library")

    page.goto(live_server)
    page.locator(READY).wait_for()
    page.locator("#words").fill("red")
    slow("**/work.css", lambda: page.keyboard.press("Enter"))
    expect(cards.first).to_be_visible()
    look("words")
    page.goto(live_server)
    page.locator(READY).wait_for()
    slow("**/views/live.js", lambda: page.get_by_role("button", name="Camera").click())
    expect(page.locator(".live-pace")).to_contain_text("searches a second")
    # The page's start gives way to what was asked for, as late as that comes.
    look("a camera", but=("words", "Search", "filters-button"))
    context.close()
    assert json.dumps(found) == "{}"
    assert console.unexpected == []
