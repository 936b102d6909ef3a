"""Texts that pictures' owners wrote to harm: wherever the page shows them they stay text, and the layout holds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.live import environment, serving, write_tiny_model

if TYPE_CHECKING:
    from conftest import Console

KEY = "only-for-these-tests"
WIDTHS = (1400, 390)
SEARCH_PATH = re.compile(r"/search/?(\?|$)")
LONG = "long"

TEXTS = {
    "markup": '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>"><svg/onload=window.hacked=1>',
    "template": "${window.hacked=1} {{window.hacked=1}} {name} {n} $& $1 `window.hacked=1` &lt;b&gt; %3Cscript%3E",
    "overrides": "invoice \u202egnp.exe\u202c \u2067\u202d\u202e never closed",
    "right to left": "صورة قطة على السطح في الليل " * 20,
    "zero width": "a\u200b\u200c\u200d\u2060\ufeff" * 200,
    "unseen": "\u200b\u200d\u2060\ufeff",
    "emoji": "👩🏽‍❤️‍💋‍👨🏿🏴󠁧󠁢󠁳󠁣󠁴󠁿🏳️‍🌈👨‍👩‍👧‍👦" * 20,
    "marks": "Z" + "\u0301\u0327\u0489" * 300,
    "lines": "first" + "\n" * 2000 + "last",
    "tabs": "a\t\u2028\u2029\u00a0b" * 200,
    LONG: "x" * 4096,
}
"""Each is a picture's title, text, name, tags and a field of its owner's."""

# The service takes no longer titles; another one, or an older library, may have them.
LONGER = "x" * 5000
BAD_URL = "javascript:window.hacked=1"

UNSOUND = """
() => {
  const root = document.documentElement;
  const faults = [];
  if (root.scrollWidth > root.clientWidth) {
    faults.push(`the page is ${root.scrollWidth} px wide`);
    const all = [...document.querySelectorAll("body *")];
    const wide = all.filter((one) => one.getBoundingClientRect().right > root.clientWidth).slice(0, 5);
    faults.push(...wide.map((one) => `${one.tagName} .${one.className}: ${one.textContent.slice(0, 40)}`));
  }
  const parts = "dialog[open], .viewer-body, .viewer-words, .notice, .toast, .chips, .query";
  for (const part of document.querySelectorAll(parts)) {
    const isWide = part.checkVisibility() && part.scrollWidth > part.clientWidth + 1;
    if (isWide) faults.push(`${part.className} is too wide: ${part.textContent.slice(0, 80)}`);
  }
  const tallest = Math.max(0, ...[...document.querySelectorAll(".card")].map((card) => card.offsetHeight));
  if (tallest > 700) faults.push(`a card is ${tallest} px high`);
  for (const part of document.querySelectorAll(".toast .notice, .notices .notice")) {
    if (part.offsetHeight > 300) faults.push(`a notice is ${part.offsetHeight} px high`);
  }
  const planted = "main script, dialog script, a[href^='javascript'], [onerror], [onload], img[src$='/x']";
  for (const part of document.querySelectorAll(planted)) faults.push(`planted: ${part.outerHTML.slice(0, 200)}`);
  if (window.hacked !== undefined) faults.push("it ran");
  if (document.title !== "Image Search") faults.push(`the title is ${document.title}`);
  return faults;
}
"""


@pytest.fixture(scope="module")
def live_server(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service whose pictures have the worst words that it takes."""
    pytest.importorskip("milvus_lite", reason="milvus-lite is missing: `make setup` installs it")
    folder = tmp_path_factory.mktemp("library")
    env = environment(write_tiny_model(folder), folder / "data", IMAGE_SEARCH_SECURITY__ADMIN_KEY=KEY)
    with serving(env) as (address, _process), httpx.Client(base_url=address, headers={"X-API-Key": KEY}) as client:
        for picture, text in zip(sorted(sample_folder.rglob("*.jpg")), TEXTS.values(), strict=False):
            tags = [f"{place} {text}"[:60] for place in range(200)]
            words: dict[str, Any] = {"title": text, "text": text, "tags": tags, "source_name": text[:200]}
            params = json.dumps(words | {"fields": {"note": text}})
            answer = client.post("/insert", files={"image": picture.read_bytes()}, data={"params": params})
            assert answer.status_code == 201, answer.text
        yield address


@pytest.fixture
def poisoned(page: Page) -> Page:
    """The page with the admin key, told of still longer titles and of addresses that are scripts."""

    def worsen(picture: dict[str, Any]) -> None:
        if picture["title"] == TEXTS[LONG]:
            picture.update(title=LONGER, text=LONGER, source_name=LONGER, sources=[LONGER] * 50, tags=[LONGER] * 300)
            picture.update(url=BAD_URL, thumbnail_url=BAD_URL)
        picture["source_url"] = BAD_URL

    def poison(route: Route) -> None:
        response = route.fetch()
        answer = response.json()
        for picture in (
            *answer.get("results", []),
            *answer.get("images", []),
            *([answer] if "title" in answer else []),
        ):
            if "thumbnail_url" in picture:
                worsen(picture)
        route.fulfill(response=response, json=answer)

    page.route(re.compile(r"/(search|images(/random|/[0-9a-f]{64})?)/?(\?|$)"), poison)
    page.evaluate("(key) => sessionStorage.setItem('image-search.admin-key', key)", KEY)
    page.reload()
    page.locator('#status-button[data-phase="ready"]').wait_for()
    return page


def cards(page: Page) -> Locator:
    return page.locator("#grid > .card:not(.skeleton)")


def library_cards(page: Page) -> Locator:
    return page.locator("#library .grid > .card")


def search(page: Page) -> None:
    page.get_by_role("button", name="A random one").first.click()
    expect(cards(page)).to_have_count(len(TEXTS))


def open_library(page: Page) -> None:
    page.get_by_role("link", name="Library").click()
    expect(library_cards(page)).to_have_count(len(TEXTS))


def expect_sound(page: Page) -> None:
    """Nothing ran, and nothing is wider or higher than it may be, on a wide screen and on a phone."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        faults = page.evaluate(UNSOUND)
        assert not faults, f"{width} px: {faults}"


def shown(text: str) -> str:
    """As a name has it: what a browser takes for white space at its ends is gone."""
    return text.strip(" \t\n\u00a0\u2028\u2029\ufeff")


def test_in_the_grid(poisoned: Page) -> None:
    search(poisoned)
    expect_sound(poisoned)
    titles = [title.text_content() for title in cards(poisoned).locator(".card-title").all()]
    for kind, text in TEXTS.items():
        if kind != "unseen":
            assert shown(LONGER if kind == LONG else text) in titles, kind
    assert all(re.search(r"\w|\S", title or "") for title in titles)
    names = cards(poisoned).locator(".card-title")
    for place in range(len(TEXTS)):
        box, card = names.nth(place).bounding_box(), cards(poisoned).nth(place).bounding_box()
        assert box and card
        assert box["height"] < 40, "one line"
        assert box["x"] >= card["x"]
        assert box["x"] + box["width"] <= card["x"] + card["width"]


def test_what_cannot_be_seen_is_no_name(poisoned: Page) -> None:
    search(poisoned)
    unseen = set(TEXTS["unseen"])
    for title in cards(poisoned).locator(".card-title").all():
        assert set(title.text_content() or "") - unseen, "a picture without a name that can be read has its id"


def test_in_the_viewer(poisoned: Page) -> None:
    search(poisoned)
    cards(poisoned).first.locator(".card-pick").click()
    viewer = poisoned.locator("#viewer")
    for place in range(len(TEXTS)):
        expect(viewer.locator(".viewer-bar .fine")).to_have_text(f"{place + 1} of {len(TEXTS)}")
        expect(viewer.locator("dl")).to_be_visible()
        expect_sound(poisoned)
        assert viewer.locator("dd a").count() == 0, "an address that is a script is no link"
        poisoned.set_viewport_size({"width": 1400, "height": 844})
        poisoned.keyboard.press("ArrowRight")


def test_as_what_is_searched_with_and_as_chips(poisoned: Page) -> None:
    search(poisoned)
    for place in range(len(TEXTS)):
        with poisoned.expect_response(SEARCH_PATH):
            cards(poisoned).nth(place).get_by_role("button", name="Less like this").click()
        expect(poisoned.locator("#chips .chip")).to_have_count(1)
        expect(poisoned.locator('#grid[aria-busy="false"]')).to_be_visible()
        expect_sound(poisoned)
        with poisoned.expect_response(SEARCH_PATH):
            poisoned.locator("#chips .chip").click()
        expect(poisoned.locator('#grid[aria-busy="false"]')).to_be_visible()
        expect(cards(poisoned)).to_have_count(len(TEXTS))
    for place in range(len(TEXTS)):
        with poisoned.expect_response(SEARCH_PATH):
            cards(poisoned).nth(place).get_by_role("button", name="Search with this").click()
        expect(poisoned.locator('#grid[aria-busy="false"]')).to_be_visible()
        expect_sound(poisoned)


def test_in_the_library_its_dialog_its_toasts_and_its_trash(poisoned: Page) -> None:
    page = poisoned
    open_library(page)
    expect_sound(page)
    for place in range(len(TEXTS)):
        library_cards(page).nth(place).locator('[data-act="edit"]').click()
        dialog = page.get_by_role("dialog", name="Edit")
        expect(dialog).to_be_visible()
        expect_sound(page)
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
    for place in range(len(TEXTS)):
        library_cards(page).first.locator('[data-act="bin"]').click()
        expect(library_cards(page)).to_have_count(len(TEXTS) - place - 1)
        expect(page.locator(".toast")).to_contain_text("Moved to the trash")
        expect_sound(page)
    page.get_by_role("button", name="Trash", exact=True).click()
    expect(library_cards(page)).to_have_count(len(TEXTS))
    expect_sound(page)
    for place in range(len(TEXTS)):
        library_cards(page).first.get_by_role("button", name="Restore").click()
        expect(library_cards(page)).to_have_count(len(TEXTS) - place - 1)
        expect_sound(page)


def test_in_the_names_of_files(poisoned: Page, console: Console, sample_image: Path) -> None:
    """The page itself says them, before any service has seen them."""
    page = poisoned
    for text in (*TEXTS.values(), LONGER):
        name = text.replace("/", "∕")
        page.set_input_files("#chooser", {"name": f"{name}.txt", "mimeType": "text/plain", "buffer": b"words"})
        expect(page.locator("#notices .notice")).to_contain_text("is not a picture")
        expect_sound(page)
    given = [
        {"name": f"{text}.jpg", "mimeType": "image/jpeg", "buffer": sample_image.read_bytes()}
        for text in TEXTS.values()
    ]
    page.set_input_files("#chooser", given)  # type: ignore[arg-type]
    expect(page.locator(".row")).to_have_count(len(TEXTS))
    expect(page.locator(".row .row-results")).to_have_count(len(TEXTS))
    expect_sound(page)


def test_an_override_ends_where_its_name_ends(poisoned: Page) -> None:
    """What turns the direction of writing must not turn the page's own words behind it."""
    poisoned.set_input_files("#chooser", {"name": "\u202egnp.exe", "mimeType": "text/plain", "buffer": b"words"})
    notice = poisoned.locator("#notices .notice p")
    expect(notice).to_contain_text("is not a picture")
    # Letters of the words behind the name, from left to right as they are written.
    places = notice.evaluate(
        """(words) => {
          const text = words.firstChild;
          const from = text.data.indexOf("is not a picture");
          return [...Array(16).keys()].map((step) => {
            const range = document.createRange();
            range.setStart(text, from + step);
            range.setEnd(text, from + step + 1);
            return range.getBoundingClientRect().left;
          });
        }"""
    )
    assert places == sorted(places)
