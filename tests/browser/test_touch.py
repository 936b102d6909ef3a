"""Fingers, as the browser itself hears them: a region is drawn, moved and resized, and the page still scrolls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, CDPSession, Locator, Page, expect

if TYPE_CHECKING:
    from conftest import Console

STEPS = 6


class Finger:
    """One finger on the screen of a page."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Put it down, move it in steps, lift it."""
        self._send("touchStart", start)
        for step in range(1, STEPS + 1):
            share = step / STEPS
            self._send("touchMove", tuple(a + (b - a) * share for a, b in zip(start, end, strict=True)))
        self._send("touchEnd", None)

    def _send(self, kind: str, point: Any) -> None:
        points = [] if point is None else [{"x": point[0], "y": point[1]}]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


@pytest.fixture
def phone(browser: Browser, console: Console, live_server: str) -> Iterator[Page]:
    """The page on a phone."""
    context = browser.new_context(
        locale="en-US", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, permissions=["camera"]
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.on("console", lambda message: console.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: console.errors.append(f"uncaught: {error}"))
    page.goto(live_server)
    page.locator('#status-button[data-phase="ready"]').wait_for()
    yield page
    context.close()
    assert console.unexpected == []


def box_of(part: Locator) -> dict[str, float]:
    box = part.bounding_box()
    assert box is not None
    return dict(box)


def middle(part: Locator) -> tuple[float, float]:
    box = box_of(part)
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def region(page: Page, within: str) -> dict[str, float]:
    """left, top, right and bottom of the region, in hundredths of the picture."""
    words = page.locator(f"{within} .crop-move").get_attribute("aria-label") or ""
    left, right, top, bottom = (int(number) for number in re.findall(r"\d+", words)[:4])
    return {"left": left, "right": right, "top": top, "bottom": bottom}


def open_region(page: Page, picture: Path) -> None:
    page.set_input_files("#chooser", picture)
    expect(page.locator("#grid > .card:not(.skeleton)").first).to_be_visible()
    page.get_by_role("button", name="Select a region").tap()
    expect(page.locator("#query .crop-frame")).to_be_visible()
    page.locator(".stage").scroll_into_view_if_needed()


def test_a_region_is_moved_and_resized_by_a_finger(phone: Page, sample_image: Path) -> None:
    open_region(phone, sample_image)
    finger = Finger(phone)
    stage = box_of(phone.locator("#query .stage"))
    before = region(phone, "#query")
    x, y = middle(phone.locator("#query .crop-move"))
    scrolled = phone.evaluate("scrollY")
    finger.drag((x, y), (x - stage["width"] * 0.1, y - stage["height"] * 0.15))
    moved = region(phone, "#query")
    assert moved["left"] == pytest.approx(before["left"] - 10, abs=2)
    assert moved["top"] == pytest.approx(before["top"] - 15, abs=2)
    assert moved["right"] - moved["left"] == pytest.approx(before["right"] - before["left"], abs=1)
    corner = middle(phone.locator("#query .crop-size"))
    finger.drag(corner, (corner[0] + stage["width"] * 0.1, corner[1] - stage["height"] * 0.2))
    resized = region(phone, "#query")
    assert resized["left"] == moved["left"]
    assert resized["right"] == pytest.approx(moved["right"] + 10, abs=2)
    assert resized["bottom"] == pytest.approx(moved["bottom"] - 20, abs=2)
    assert phone.evaluate("scrollY") == scrolled, "a finger on a region does not scroll the page"
    expect(phone.locator('#grid[aria-busy="false"]')).to_be_visible()
    expect(phone.locator("#chips .chip")).to_have_count(1)


def test_what_a_region_brings_does_not_move_it_from_under_the_finger(phone: Page, sample_image: Path) -> None:
    phone.set_input_files("#chooser", sample_image)
    expect(phone.locator("#grid > .card:not(.skeleton)").first).to_be_visible()
    before = box_of(phone.locator("#query .stage"))
    phone.get_by_role("button", name="Select a region").tap()
    expect(phone.locator("#chips .chip")).to_be_visible()
    expect(phone.locator('#grid[aria-busy="false"]')).to_be_visible()
    assert box_of(phone.locator("#query .stage")) == before


def test_the_page_stays_where_it_is_when_the_last_chip_is_removed(phone: Page, sample_image: Path) -> None:
    open_region(phone, sample_image)
    chip = phone.locator("#chips .chip")
    expect(chip).to_be_visible()
    phone.evaluate("scrollTo(0, document.querySelector('#chips').getBoundingClientRect().top - 100)")
    scrolled = phone.evaluate("scrollY")
    assert scrolled > 50
    chip.tap()
    expect(phone.locator("#chips")).to_be_hidden()
    expect(phone.locator("#results-title")).to_be_focused()
    expect(phone.locator('#grid[aria-busy="false"]')).to_be_visible()
    assert phone.evaluate("scrollY") == scrolled


def test_a_new_region_is_drawn_by_a_finger_beside_the_old_one(phone: Page, sample_image: Path) -> None:
    open_region(phone, sample_image)
    stage = box_of(phone.locator("#query .stage"))

    def at(across: float, down: float) -> tuple[float, float]:
        return stage["x"] + stage["width"] * across, stage["y"] + stage["height"] * down

    Finger(phone).drag(at(0.05, 0.05), at(0.6, 0.5))
    drawn = region(phone, "#query")
    assert drawn == pytest.approx({"left": 5, "right": 60, "top": 5, "bottom": 50}, abs=2)


def test_a_finger_on_a_picture_without_a_region_scrolls_the_page(phone: Page, sample_image: Path) -> None:
    phone.set_input_files("#chooser", sample_image)
    expect(phone.locator("#grid > .card:not(.skeleton)").first).to_be_visible()
    phone.evaluate("window.scrollTo(0, 0)")
    x, y = middle(phone.locator("#query .stage"))
    Finger(phone).drag((x, y), (x, y - 150))
    phone.wait_for_function("scrollY > 50")
    expect(phone.locator("#query .crop-frame")).to_be_hidden()


def test_the_region_of_a_live_search_follows_a_finger(phone: Page) -> None:
    phone.get_by_role("button", name="Camera").tap()
    expect(phone.locator(".live-pace")).to_contain_text("searches a second")
    phone.get_by_role("button", name="Select a region").tap()
    expect(phone.locator("#live-query .crop-frame")).to_be_visible()
    phone.locator("#live-query .stage").scroll_into_view_if_needed()
    stage = box_of(phone.locator("#live-query .stage"))
    before = region(phone, "#live-query")
    x, y = middle(phone.locator("#live-query .crop-move"))
    Finger(phone).drag((x, y), (x + stage["width"] * 0.15, y + stage["height"] * 0.1))
    moved = region(phone, "#live-query")
    assert moved["left"] == pytest.approx(before["left"] + 15, abs=2)
    assert moved["top"] == pytest.approx(before["top"] + 10, abs=2)
    corner = middle(phone.locator("#live-query .crop-size"))
    Finger(phone).drag(corner, (corner[0] - stage["width"] * 0.1, corner[1] - stage["height"] * 0.1))
    resized = region(phone, "#live-query")
    assert resized["right"] == pytest.approx(moved["right"] - 10, abs=2)
    expect(phone.locator(".live-pace")).to_contain_text("searches a second")


def test_what_is_pressed_is_large_enough_for_a_finger(phone: Page, sample_image: Path) -> None:
    """24 pixels each way at least, or as much room around it (WCAG 2.2, 2.5.8)."""
    open_region(phone, sample_image)
    small = phone.evaluate(
        """() => {
          const pressed = [...document.querySelectorAll("button, a[href], select, input")];
          const all = pressed.filter((one) => one.checkVisibility());
          const boxes = all.map((one) => one.getBoundingClientRect());
          const far = (a, b) => Math.hypot(
            a.left + a.width / 2 - b.left - b.width / 2, a.top + a.height / 2 - b.top - b.height / 2);
          return all.filter((one, place) => {
            const box = boxes[place];
            const isSmall = box.width < 24 || box.height < 24;
            return isSmall && box.width > 1 && boxes.some((other, at) => at !== place && far(box, other) < 24);
          }).map((one) => one.outerHTML.slice(0, 120));
        }"""
    )
    assert small == [], json.dumps(small, indent=1)
