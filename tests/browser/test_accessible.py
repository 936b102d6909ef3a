"""What axe, the keyboard alone, a magnified page and a wish for little motion find in each state of the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.live import own_service

if TYPE_CHECKING:
    from conftest import Console

AXE = Path(__file__).parents[1] / "web" / "node_modules" / "axe-core" / "axe.min.js"
SEARCH_PATH = re.compile(r"/search/?(\?|$)")
SCHEMES = ("light", "dark")
LOCALES = ("en", "zh")
SIZES = ({"width": 1280, "height": 800}, {"width": 390, "height": 844})

# Colours are read as they are on the screen, so nothing may be on its way from one to another.
RUN_AXE = """
async () => {
  await Promise.allSettled(document.getAnimations().map((animation) => animation.finished));
  const { violations } = await axe.run(document, { preload: false, resultTypes: ["violations"] });
  return violations.map(({ id, impact, nodes }) => [
    `${impact}: ${id}`,
    ...nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`),
  ].join("\\n    "));
}
"""
SCROLLS_SIDEWAYS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
TOO_WIDE = """
() => [...document.querySelectorAll("body *")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > document.documentElement.clientWidth)
  .map((one) => `${one.tagName} ${one.id} ${one.className} ${Math.round(one.getBoundingClientRect().right)}`)
"""


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service of these tests' own; ADMIN_KEY is its admin key."""
    with own_service(tmp_path_factory.mktemp("library"), 60) as address:
        yield address


@pytest.fixture(scope="session")
def axe() -> str:
    """What axe is to the page: a script that it need not allow."""
    if not AXE.is_file():
        pytest.skip("axe is missing: `make check` installs it beside the type checker, with npm")
    return AXE.read_text(encoding="utf-8")


def cards(page: Page) -> Locator:
    return page.locator("#grid > .card:not(.skeleton)")


def settled(page: Page) -> None:
    """Return when an answer, and the newest, is on the page."""
    expect(page.locator('#grid[aria-busy="false"]')).to_be_attached()


def search_with(page: Page, picture: Path) -> None:
    page.set_input_files("#chooser", picture)
    expect(cards(page)).to_have_count(20)


def open_library(page: Page) -> None:
    page.get_by_role("link", name="Library").click()
    expect(page.locator("#library .grid > .card").first).to_be_visible()


def start(page: Page, picture: Path) -> None:
    expect(page.locator("#choose")).to_be_visible()


def results(page: Page, picture: Path) -> None:
    search_with(page, picture)
    page.get_by_label("Words to search for").fill("red")
    with page.expect_response(SEARCH_PATH):
        page.keyboard.press("Enter")
    settled(page)
    with page.expect_response(SEARCH_PATH):
        cards(page).nth(1).get_by_role("button", name="Less like this").click()
    expect(page.locator("#chips .chip")).to_have_count(1)
    settled(page)


def region(page: Page, picture: Path) -> None:
    search_with(page, picture)
    with page.expect_response(SEARCH_PATH):
        page.get_by_role("button", name="Select a region").click()
    expect(page.locator(".crop-move")).to_be_visible()
    settled(page)


def filters(page: Page, picture: Path) -> None:
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Tags, any of them").fill("sky")
    expect(page.get_by_label("Kind of match")).to_be_visible()


def viewer(page: Page, picture: Path) -> None:
    search_with(page, picture)
    cards(page).nth(1).locator(".card-pick").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def rows(page: Page, picture: Path) -> None:
    page.set_input_files("#chooser", [picture, max(picture.parents[1].rglob("*.jpg"))])
    expect(page.locator(".row .card").last).to_be_visible()


def live(page: Page, picture: Path) -> None:
    page.context.grant_permissions(["camera"])
    page.get_by_role("button", name="Camera").click()
    expect(page.locator(".live-pace")).to_contain_text("searches a second")


def frozen(page: Page, picture: Path) -> None:
    live(page, picture)
    page.get_by_role("button", name="Freeze").click()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    settled(page)


def library(page: Page, picture: Path) -> None:
    open_library(page)


def adding(page: Page, picture: Path) -> None:
    open_library(page)
    page.set_input_files("#add-chooser", [picture, Path(__file__)])
    expect(page.locator('#adding [data-phase="duplicate"]')).to_be_visible()
    expect(page.locator('#adding [data-phase="failed"]')).to_be_visible()


def edit(page: Page, picture: Path) -> None:
    open_library(page)
    page.locator('#library [data-act="edit"]').first.click()
    expect(page.get_by_role("dialog", name="Edit")).to_be_visible()


def toast_and_trash(page: Page, picture: Path) -> None:
    open_library(page)
    page.locator('#library [data-act="bin"]').first.click()
    expect(page.locator(".toast .notice")).to_be_visible()
    page.get_by_role("button", name="Trash", exact=True).click()
    expect(page.locator("#library .grid > .card").first).to_be_visible()


def indexing(page: Page, picture: Path) -> None:
    open_library(page)
    page.get_by_role("button", name="Index", exact=True).click()
    page.locator("#indexing").get_by_role("button", name="Start indexing").click()
    expect(page.locator("#indexing .job strong")).to_have_text("Done", timeout=60_000)


def vectors(page: Page, picture: Path) -> None:
    open_library(page)
    page.get_by_role("button", name="Vectors", exact=True).click()
    expect(page.get_by_label("Into collection")).to_be_visible()


def selecting(page: Page, picture: Path) -> None:
    open_library(page)
    page.get_by_role("button", name="Select", exact=True).click()
    page.locator("#library .grid > .card").first.get_by_role("checkbox").check()
    expect(page.locator("#selection")).to_contain_text("1 selected")


def status(page: Page, picture: Path) -> None:
    page.locator("#status-button").click()
    expect(page.locator("#status-panel dl").first).to_be_visible()


def error(page: Page, picture: Path) -> None:
    page.set_input_files("#chooser", {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff no"})
    expect(page.get_by_role("alert").locator(".notice")).to_be_visible()


def away(page: Page, picture: Path) -> None:
    page.route(re.compile(r"/(search|status|readyz)/?(\?|$)"), lambda route: route.abort())
    page.set_input_files("#chooser", picture)
    expect(page.get_by_text("The service is not answering.")).to_be_visible()


def key_wanted(page: Page, picture: Path) -> None:
    problem = json.dumps({"title": "Unauthorized", "status": 401, "code": "invalid_key"})

    def refuse(route: Route) -> None:
        route.fulfill(status=401, content_type="application/problem+json", body=problem)

    page.route(SEARCH_PATH, refuse)
    page.set_input_files("#chooser", picture)
    expect(page.locator("#key-input")).to_be_visible()


def admin_key_wanted(page: Page, picture: Path) -> None:
    page.evaluate("sessionStorage.clear()")
    page.reload()
    open_library(page)
    page.get_by_role("button", name="Trash", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()


def address(page: Page, picture: Path) -> None:
    page.get_by_role("button", name="By its address").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def empty(page: Page, picture: Path) -> None:
    def emptied(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "images": 0})

    page.route(re.compile(r"/status/?$"), emptied)
    page.reload()
    expect(page.locator("#empty")).to_be_visible()


def nothing_fits(page: Page, picture: Path) -> None:
    filters(page, picture)
    page.get_by_label("Least width, px").fill("99999")
    page.keyboard.press("Enter")
    page.set_input_files("#chooser", picture)
    expect(page.locator("#results-foot .nothing")).to_be_visible()


STATES: list[Callable[[Page, Path], None]] = [
    start,
    results,
    region,
    filters,
    viewer,
    rows,
    live,
    frozen,
    library,
    adding,
    edit,
    toast_and_trash,
    indexing,
    vectors,
    selecting,
    status,
    error,
    away,
    key_wanted,
    admin_key_wanted,
    address,
    empty,
    nothing_fits,
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_axe_finds_no_fault(
    keyed: Page, console: Console, sample_image: Path, axe: str, state: Callable[[Page, Path], None]
) -> None:
    for expected in ("401", "415", "422", "net::ERR_FAILED"):
        console.allow(expected)
    page = keyed
    page.emulate_media(reduced_motion="reduce")
    state(page, sample_image)
    # Evaluated by the driver, for which the page's Content-Security-Policy does not count.
    page.evaluate(axe)
    faults: list[str] = []
    for size, locale, scheme in product(SIZES, LOCALES, SCHEMES):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        # A dialog covers the switch; the page hears the click all the same.
        page.evaluate("(locale) => document.querySelector(`[data-locale=${locale}]`).click()", locale)
        expect(page.locator(f'[data-locale="{locale}"]')).to_have_attribute("aria-pressed", "true")
        page.wait_for_function("!document.querySelector('#grid[aria-busy=true]')")
        here = f"{size['width']} px, {locale}, {scheme}"
        faults += [f"{here}: {fault}" for fault in page.evaluate(RUN_AXE)]
        if page.evaluate(SCROLLS_SIDEWAYS):
            faults.append(f"{here}: it scrolls sideways")
    assert not faults, "\n".join(faults)


def focused(page: Page) -> str:
    """What has the focus: its id, class or words."""
    name: str = page.evaluate(
        "(({ id, className, textContent }) => id || className || textContent.trim())(document.activeElement)"
    )
    return name


@pytest.mark.parametrize("at", ["start", "results", "library"])
def test_tab_reaches_all_that_can_be_pressed_in_its_order_and_shows_where_it_is(
    keyed: Page, sample_image: Path, at: str
) -> None:
    page = keyed
    if at == "results":
        # So few that no more are fetched on the way.
        filters(page, sample_image)
        page.keyboard.press("Enter")
        expect(page.locator("#chips .chip")).to_be_visible()
        # Tab goes through each part of a date.
        page.get_by_role("button", name="Filters").click()
        with page.expect_response(SEARCH_PATH):
            page.set_input_files("#chooser", sample_image)
        settled(page)
        assert 0 < cards(page).count() < 20
    elif at == "library":
        open_library(page)
    page.locator(".skip").focus()
    wanted = page.evaluate(
        """() => {
          const all = [...document.querySelectorAll("a[href], button, input, select, textarea")];
          window.wanted = all.filter((one) => !one.disabled && one.checkVisibility({ visibilityProperty: true }));
          return window.wanted.length;
        }"""
    )
    assert wanted > 10
    for place in range(1, wanted):
        page.keyboard.press("Tab")
        step = page.evaluate(
            """(place) => {
              const now = document.activeElement;
              const { outlineStyle, outlineWidth } = getComputedStyle(now);
              const { top, bottom } = now.getBoundingClientRect();
              return {
                isNext: now === window.wanted[place],
                isSeen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 1 && bottom > 0 && top < innerHeight,
              };
            }""",
            place,
        )
        assert step == {"isNext": True, "isSeen": True}, f"step {place}: {focused(page)}"


def test_arrows_walk_through_the_grid_and_escape_comes_back_to_it(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    top_of = "(card) => card.offsetTop"
    columns = sum(card.evaluate(top_of) == cards(page).first.evaluate(top_of) for card in cards(page).all())
    assert 1 < columns < 20

    def expect_at(place: int) -> None:
        expect(cards(page).nth(place).locator(".card-pick")).to_be_focused()

    cards(page).first.locator(".card-pick").focus()
    walk = (("ArrowRight", 1), ("ArrowDown", 1 + columns), ("ArrowLeft", columns), ("ArrowUp", 0), ("ArrowUp", 0))
    for key, place in (*walk, ("End", 19), ("ArrowRight", 19), ("Home", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        expect_at(place)
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer .viewer-bar .fine")).to_have_text(re.compile(r"^3 of \d+$"))
    for _ in range(12):
        page.keyboard.press("Tab")
        # Past the last button it goes to the browser's own, of which the page sees its body.
        assert not page.evaluate("document.activeElement.matches('main *, header.bar *')"), focused(page)
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect_at(1)


def test_escape_closes_each_dialog_and_the_focus_returns(keyed: Page) -> None:
    page = keyed
    for opener, opened in (
        (page.locator("#status-button"), page.locator("#status-panel")),
        (page.get_by_role("button", name="By its address"), page.locator("#address")),
    ):
        opener.focus()
        page.keyboard.press("Enter")
        expect(opened).to_be_visible()
        page.keyboard.press("Escape")
        expect(opened).to_be_hidden()
        expect(opener).to_be_focused()
    open_library(page)
    library_cards = page.locator("#library .grid > .card")
    library_cards.first.locator(".card-pick").focus()
    page.keyboard.press("ArrowRight")
    expect(library_cards.nth(1).locator(".card-pick")).to_be_focused()
    edit_button = library_cards.nth(1).locator('[data-act="edit"]')
    edit_button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Edit")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Edit")).to_be_hidden()
    expect(edit_button).to_be_focused()


def test_who_wants_little_motion_gets_none(page: Page, sample_image: Path) -> None:
    """Seen on place-holders, which breathe while an answer is waited for."""
    longest = """() => Math.max(0, ...document.getAnimations().map(({ effect }) => {
      const { duration, iterations } = effect.getComputedTiming();
      return duration * iterations;
    }))"""
    held: list[Route] = []
    page.route(SEARCH_PATH, lambda route: held.append(route))
    page.set_input_files("#chooser", sample_image)
    expect(page.locator("#grid > .skeleton").first).to_be_attached()
    page.wait_for_function(f"({longest})() > 1000")
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_function(f"({longest})() < 1")
    page.unroute(SEARCH_PATH)
    page.reload()
    search_with(page, sample_image)
    cards(page).first.locator(".card-pick").hover()
    assert page.evaluate(longest) < 1
    page.emulate_media(reduced_motion="no-preference")


@pytest.mark.parametrize(
    "state", [start, filters, results, viewer, live, library, edit], ids=lambda state: state.__name__
)
@pytest.mark.parametrize(("width", "height", "letters"), [(640, 400, 100), (320, 256, 100), (1280, 800, 200)])
def test_a_magnified_page_needs_no_sideways_scrolling(
    keyed: Page, sample_image: Path, width: int, height: int, letters: int, state: Callable[[Page, Path], None]
) -> None:
    """A zoom of 200 and 400 % of 1,280 pixels is a screen so narrow; larger letters are a setting of the browser."""
    page = keyed
    page.set_viewport_size({"width": width, "height": height})
    size = "(button) => parseFloat(getComputedStyle(button).fontSize)"
    before = page.locator("#choose").evaluate(size)
    page.evaluate("(share) => { document.documentElement.style.fontSize = `${share}%`; }", letters)
    assert page.locator("#choose").evaluate(size) == pytest.approx(before * letters / 100)
    state(page, sample_image)
    assert not page.evaluate(SCROLLS_SIDEWAYS), page.evaluate(TOO_WIDE)
    for part in page.locator("dialog[open], #filters, #library, .results-bar, .bar-inner, .viewer-body").all():
        if part.is_visible():
            assert part.evaluate("(one) => one.scrollWidth <= one.clientWidth + 1"), part
