"""The ways to ask: a picture by its address, at random, several at once, a region of one, words, filters, a link."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from playwright.sync_api import Locator, Page, Request, Route, expect

if TYPE_CHECKING:
    from conftest import Console

# The driver is not shown the body of a request that carries a file.
RECORD_FORMS = """
() => {
  const send = window.fetch;
  window.fetch = (url, init) => {
    if (init.body instanceof FormData) window.lastParams = init.body.get("params");
    return send(url, init);
  };
}
"""

SEARCH_PATH = re.compile(r"/search/?(\?|$)")
STATUS_PATH = re.compile(r"/status/?$")


def cards(page: Page) -> Locator:
    return page.locator("#grid > .card:not(.skeleton)")


def settled(page: Page) -> None:
    """Return when an answer, and the newest, is on the page."""
    expect(page.locator('#grid[aria-busy="false"]')).to_be_attached()


def search_with(page: Page, picture: Path) -> None:
    page.set_input_files("#chooser", picture)
    expect(cards(page).first).to_be_visible()


def at_random(page: Page) -> None:
    page.get_by_role("button", name="A random one").first.click()
    expect(cards(page).first).to_be_visible()


def asked(request: Request) -> dict[str, Any]:
    """What a request of JSON asks."""
    params: dict[str, Any] = json.loads(request.post_data or "")
    return params


def asked_with_a_picture(page: Page) -> dict[str, Any]:
    """What the last search that carried a picture asked; after RECORD_FORMS."""
    params: dict[str, Any] = json.loads(page.evaluate("window.lastParams"))
    return params


def with_words(page: Page, words: str) -> None:
    page.get_by_label("Words to search for").fill(words)
    page.keyboard.press("Enter")


def some_tag(page: Page, address: str) -> str:
    """A tag of the library that not every picture has."""
    images = page.request.get(f"{address}/images?limit=60").json()["images"]
    tags: list[str] = [tag for image in images for tag in image["tags"]]
    return next(tag for tag in tags if 1 < tags.count(tag) < 20)


def change_status(page: Page, **features: bool) -> None:
    def changed(route: Route) -> None:
        response = route.fetch()
        status = response.json()
        route.fulfill(response=response, json={**status, "features": {**status["features"], **features}})

    page.route(STATUS_PATH, changed)
    page.reload()
    page.locator('#status-button[data-phase="ready"]').wait_for()


def test_a_picture_at_random_and_its_link(page: Page) -> None:
    at_random(page)
    expect(cards(page).first.locator(".card-reason")).to_have_text("Same picture")
    first = cards(page).first.get_attribute("data-id") or ""
    expect(page).to_have_url(re.compile(re.escape(first)))
    page.reload()
    expect(cards(page).first).to_have_attribute("data-id", first)


def test_an_address_is_searched_with(page: Page, picture_host: str, sample_folder: Path, sample_image: Path) -> None:
    page.get_by_role("button", name="By its address").click()
    field = page.get_by_label("Address of the picture itself")
    expect(field).to_be_focused()
    field.fill(f"{picture_host}/{sample_image.relative_to(sample_folder)}")
    page.keyboard.press("Enter")
    expect(cards(page).first.locator(".card-reason")).to_have_text("Same picture")
    expect(page.locator('.timings [data-step="fetch"]')).to_be_visible()
    page.wait_for_function("document.querySelector('.stage img').naturalWidth > 0")

    with page.expect_request(SEARCH_PATH) as sent:
        page.get_by_role("button", name="Select a region").click()
    assert asked(sent.value)["crop"] == {"left": 0.2, "top": 0.2, "right": 0.8, "bottom": 0.8}
    settled(page)
    page.reload()
    expect(page.locator(".crop-frame")).to_be_visible()
    expect(cards(page).first).to_be_visible()


def test_an_address_that_cannot_be_fetched_from_is_told_in_plain_words(page: Page, console: Console) -> None:
    console.allow("Failed to load resource")
    page.get_by_role("button", name="By its address").click()
    page.get_by_label("Address of the picture itself").fill("http://127.0.0.1/cat.png")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The picture could not be fetched from that address")
    expect(page.get_by_text("The service is not answering.")).to_be_hidden()


def test_what_the_service_has_not_is_off_and_says_why(page: Page) -> None:
    change_status(page, text=False, url_fetch=False)
    expect(page.get_by_label("Words to search for")).to_be_disabled()
    expect(page.get_by_text("This library was made without words")).to_be_visible()
    expect(page.get_by_role("button", name="By its address")).to_be_disabled()
    expect(page.get_by_text("This service fetches no pictures by their address.")).to_be_visible()


def test_several_pictures_get_a_row_each(page: Page, sample_folder: Path, sample_image: Path) -> None:
    other = max(sample_folder.rglob("*.jpg"))
    page.set_input_files("#chooser", [sample_image, other])
    rows = page.locator(".row")
    expect(rows).to_have_count(2)
    for place, picture in enumerate((sample_image, other)):
        expect(rows.nth(place).locator(".query-name")).to_have_text(picture.name)
        expect(rows.nth(place).locator(".card").first.locator(".card-reason")).to_have_text("Same picture")
    expect(page.locator("#live")).to_have_text("2 pictures searched")
    rows.nth(1).get_by_role("button", name="Only this one").click()
    expect(page.locator("#query .query-name")).to_have_text(other.name)
    expect(cards(page).first.locator(".card-reason")).to_have_text("Same picture")
    page.go_back()
    expect(rows).to_have_count(2)


def test_one_bad_picture_of_several_keeps_its_reason(
    page: Page, console: Console, sample_image: Path, tmp_path: Path
) -> None:
    console.allow("Failed to load resource")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    page.set_input_files("#chooser", [broken, sample_image])
    expect(page.locator(".row").nth(1).locator(".card").first).to_be_visible()
    told = page.locator(".row").first.locator(".row-told")
    expect(told).to_be_visible()
    assert told.inner_text() not in ("", "Searching…")


def test_a_large_picture_is_shrunk_before_it_is_sent_unless_asked_otherwise(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.effect_noise((2400, 1200), 60).convert("RGB").save(large)
    size = page.locator("#query .query-words .fine").first
    page.set_input_files("#chooser", large)
    expect(size).to_contain_text("1,600 × 800 px")
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Send large pictures whole").check()
    page.set_input_files("#chooser", large)
    expect(size).to_contain_text("2,400 × 1,200 px")


def test_a_region_drawn_with_the_pointer_is_searched_for(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    page.evaluate(RECORD_FORMS)
    box = page.locator(".stage").bounding_box()
    assert box
    with page.expect_request(SEARCH_PATH):
        page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] + 200, steps=5)
        page.mouse.up()
    crop = asked_with_a_picture(page)["crop"]
    for side, expected in {"left": 0.25, "top": 0.5, "right": 0.75, "bottom": 1}.items():
        assert abs(crop[side] - expected) < 0.02, crop
    settled(page)
    expect(cards(page).first.locator(".card-reason")).to_have_text(re.compile("."))

    with page.expect_request(SEARCH_PATH):
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.75)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.55, steps=5)
        page.mouse.up()
    moved = asked_with_a_picture(page)["crop"]
    assert abs(moved["top"] - 0.3) < 0.02
    assert abs((moved["bottom"] - moved["top"]) - 0.5) < 0.02

    page.get_by_role("button", name="Remove: A region of the picture").click()
    settled(page)
    expect(page.locator(".crop-frame")).to_be_hidden()
    expect(cards(page).first.locator(".card-reason")).to_have_text("Same picture")


def test_a_region_needs_no_pointer(page: Page) -> None:
    at_random(page)
    page.evaluate(RECORD_FORMS)
    with page.expect_request(SEARCH_PATH):
        page.get_by_role("button", name="Select a region").click()
    assert asked_with_a_picture(page)["crop"] == {"left": 0.2, "top": 0.2, "right": 0.8, "bottom": 0.8}
    expect(page.locator(".crop-move")).to_be_focused()
    with page.expect_request(SEARCH_PATH):
        for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowLeft"):
            page.keyboard.press(key)
    assert asked_with_a_picture(page)["crop"] == {"left": 0.24, "top": 0.18, "right": 0.82, "bottom": 0.78}
    settled(page)
    expect(page).to_have_url(re.compile("crop=0\\.24"))
    page.keyboard.press("Tab")
    expect(page.locator(".crop-size")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".crop-size")).to_have_attribute("aria-label", re.compile("82 % across and 80 % down"))
    page.keyboard.press("Escape")
    expect(page.locator(".crop-frame")).to_be_hidden()
    expect(page.get_by_role("button", name="Select a region")).to_be_focused()


def test_a_slow_service_is_no_blank_page(page: Page) -> None:
    held: list[Route] = []
    page.route("**/views/work.js", lambda route: held.append(route))
    with page.expect_request("**/views/work.js"):
        page.get_by_label("Words to search for").press("x")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Searching…")).to_be_visible()
    held[0].continue_()
    expect(page.locator("#results-title")).not_to_have_text("Searching…")


def test_words_are_joined_by_a_picture_and_search_leads_back_to_the_start(
    page: Page, live_server: str, sample_image: Path, tmp_path: Path, console: Console
) -> None:
    console.allow("415")
    give = page.locator("#ask").get_by_role("button", name="Choose a picture")
    expect(give).to_be_hidden()
    tag = some_tag(page, live_server)
    with_words(page, tag)
    expect(page).to_have_title(f"{tag} · Image Search")
    with page.expect_file_chooser() as chooser:
        give.click()
    chooser.value.set_files(sample_image)
    expect(page.locator("#query .query-name")).to_have_text(sample_image.name)
    expect(page.locator("#share-field")).to_be_visible()
    expect(give).to_be_hidden()

    odd, empty = tmp_path / "odd.png", tmp_path / "empty.png"
    odd.write_bytes(b"no picture")
    empty.touch()
    told = page.locator("#notices .notice")
    page.set_input_files("#chooser", odd)
    expect(told).to_contain_text("This kind of file is not supported")
    expect(told).not_to_contain_text("Reference")
    page.set_input_files("#chooser", empty)
    expect(told).to_have_text("“empty.png” is an empty file.")

    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.locator("#start")).to_be_visible()
    expect(page).to_have_title("Image Search")
    expect(told).to_have_count(0)
    expect(page).to_have_url(f"{live_server}/")
    page.go_back()
    expect(page.locator("#query .query-name")).to_have_text("odd.png")


def test_words_alone_and_with_a_picture(page: Page, live_server: str) -> None:
    tag = some_tag(page, live_server)
    with_words(page, tag)
    expect(cards(page).first.locator(".card-reason")).to_have_text("Found by words")
    expect(page.locator("#query")).to_be_hidden()
    assert page.locator("#grid").evaluate("(grid) => grid.clientWidth") > 1000
    expect(page.locator("#share-field")).to_be_hidden()

    cards(page).first.get_by_role("button", name="Search with this").click()
    expect(cards(page).locator(".card-reason", has_text="Found by both").first).to_be_visible()
    slider = page.get_by_label("How much the picture counts")
    with page.expect_request(SEARCH_PATH) as sent:
        slider.focus()
        page.keyboard.press("End")
    assert asked(sent.value)["weights"] == {"image": 1, "text": 0}
    expect(slider).to_have_attribute("aria-valuetext", "100 % picture")
    settled(page)
    expect(page).to_have_url(re.compile("share=1"))

    page.get_by_role("button", name="Clear").click()
    expect(cards(page).first.locator(".card-reason")).to_have_text("Found by words")
    page.get_by_label("Words to search for").fill("")
    page.keyboard.press("Enter")
    expect(page.locator("#start")).to_be_visible()


def test_filters_show_as_chips_that_remove_them(page: Page, live_server: str) -> None:
    tag = some_tag(page, live_server)
    at_random(page)
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Tags, any of them").fill(tag)
    with page.expect_request(SEARCH_PATH):
        page.keyboard.press("Tab")
    with page.expect_request(SEARCH_PATH) as sent:
        page.get_by_label("Least width, px").fill("100")
        page.keyboard.press("Tab")
    assert asked(sent.value)["filter"] == {"tags": {"any": [tag]}, "width": {"gte": 100}}
    assert "query_id" in asked(sent.value), "the picture is not sent again"
    settled(page)
    expect(page.locator("#chips .chip")).to_have_text([f"Tag: {tag}", "At least 100 px wide"])
    images = page.request.get(f"{live_server}/images?limit=60").json()["images"]
    expect(cards(page)).to_have_count(sum(tag in image["tags"] for image in images))

    page.get_by_label("Added until").fill("2001-01-01")
    expect(page.get_by_text("Nothing in the library fits.")).to_be_visible()
    page.get_by_role("button", name="Remove: Until 2001-01-01").click()
    expect(cards(page).first).to_be_visible()
    page.get_by_label("Kind of match").select_option("identical")
    expect(page.get_by_role("button", name="Remove: Same picture")).to_be_visible()
    settled(page)
    assert cards(page).count() <= 1
    page.reload()
    expect(page.locator("#chips .chip")).to_have_count(3)
    page.get_by_role("button", name="Filters").click()
    expect(page.get_by_label("Tags, any of them")).to_have_value(tag)


def test_less_like_this(page: Page) -> None:
    at_random(page)
    third = cards(page).nth(2)
    unliked = third.get_attribute("data-id")
    with page.expect_request(SEARCH_PATH) as sent:
        third.get_by_role("button", name="Less like this").click()
    assert asked(sent.value)["negative_ids"] == [unliked]
    settled(page)
    expect(page).to_have_url(re.compile(re.escape(f"not={unliked}")))
    page.get_by_role("button", name=re.compile("^Remove: Unlike")).click()
    settled(page)
    expect(page.locator("#chips")).to_be_hidden()


def test_back_and_forward_walk_through_the_questions(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    expect(page.get_by_text("a link to this page does not carry it")).to_be_visible()
    second = cards(page).nth(1).get_attribute("data-id") or ""
    cards(page).nth(1).get_by_role("button", name="Search with this").click()
    expect(cards(page).first).to_have_attribute("data-id", second)
    page.go_back()
    expect(page.locator("#query .query-name")).to_have_text(sample_image.name)
    expect(cards(page).first.locator(".card-reason")).to_have_text("Same picture")
    page.go_back()
    expect(page.locator("#start")).to_be_visible()
    page.go_forward()
    page.go_forward()
    expect(cards(page).first).to_have_attribute("data-id", second)


def test_the_skip_link_keeps_an_uploaded_picture(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()
    expect(page.locator("#query .query-name")).to_have_text(sample_image.name)
    expect(cards(page).first.locator(".card-reason")).to_have_text("Same picture")


def test_a_reloaded_upload_is_said_to_be_gone(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    page.reload()
    expect(page.get_by_text("cannot be kept in a link. Please give it again.")).to_be_visible()
    expect(page.locator("#start")).to_be_visible()


def test_a_pasted_address_is_searched_with(page: Page, console: Console) -> None:
    console.allow("Failed to load resource")
    with page.expect_request(SEARCH_PATH) as sent:
        page.evaluate(
            """() => {
              const data = new DataTransfer();
              data.setData("text/plain", "http://127.0.0.1/cat.png");
              const options = { bubbles: true, cancelable: true, clipboardData: data };
              document.body.dispatchEvent(new ClipboardEvent("paste", options));
            }"""
        )
    assert asked(sent.value)["image_url"] == "http://127.0.0.1/cat.png"
    expect(page.get_by_role("alert")).to_contain_text("could not be fetched")
