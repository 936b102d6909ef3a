"""Several pictures of the library at once, for good, newest first, and all that an edit can change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.live import ADMIN_KEY, own_service

if TYPE_CHECKING:
    from conftest import Console

COUNT = 14


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service of these tests' own, which they change; ADMIN_KEY is its admin key."""
    with own_service(tmp_path_factory.mktemp("library"), COUNT) as address:
        yield address


@pytest.fixture
def library(keyed: Page) -> Page:
    """The library, with the admin key given before."""
    page = keyed
    page.get_by_role("link", name="Library").click()
    expect(cards(page).first).to_be_visible()
    return page


def cards(page: Page) -> Locator:
    return page.locator("#library .grid > .card")


def toast(page: Page) -> Locator:
    return page.locator(".toast")


def select(page: Page, *places: int) -> list[str]:
    """Selects these cards; gives their ids."""
    page.get_by_role("button", name="Select", exact=True).click()
    for place in places:
        cards(page).nth(place).get_by_role("checkbox").check()
    expect(page.locator("#selection")).to_contain_text(f"{len(places)} selected")
    return [cards(page).nth(place).get_attribute("data-id") or "" for place in places]


def there(page: Page, image_id: str) -> Locator:
    return page.locator(f'#library [data-id="{image_id}"]')


def test_a_selection_is_deleted_and_brought_back_by_one_undo(library: Page) -> None:
    page = library
    ids = select(page, 0, 2, 5)
    page.locator("#selection").get_by_role("button", name="Delete", exact=True).click()
    expect(toast(page)).to_contain_text("Moved to the trash: 3 pictures")
    for image_id in ids:
        expect(there(page, image_id)).to_have_count(0)
    expect(page.locator("#selection")).to_contain_text("0 selected")
    toast(page).get_by_role("button", name="Undo", exact=True).click()
    expect(toast(page)).to_contain_text("Restored: 3 pictures")
    for image_id in ids:
        expect(there(page, image_id)).to_be_visible()
    page.get_by_role("button", name="Done selecting").click()
    expect(cards(page).first.get_by_role("checkbox")).to_have_count(0)


def test_all_that_are_selected_get_a_tag(library: Page, live_server: str) -> None:
    page = library
    ids = select(page, 1, 3)
    page.get_by_label("Tags to add").fill("holiday, sea")
    page.keyboard.press("Enter")
    expect(toast(page)).to_contain_text("Tagged: 2 pictures")
    for image_id in ids:
        assert {"holiday", "sea"} <= set(page.request.get(f"{live_server}/images/{image_id}").json()["tags"])
    page.get_by_role("button", name="All shown").click()
    expect(page.locator("#selection")).to_contain_text(f"{cards(page).count()} selected")
    page.locator("#selection").get_by_role("button", name="None", exact=True).click()
    expect(page.locator("#selection")).to_contain_text("0 selected")


def test_what_lies_in_the_trash_goes_for_good_after_a_question(library: Page, live_server: str) -> None:
    page = library
    ids = select(page, 0, 1, 2)
    page.locator("#selection").get_by_role("button", name="Delete", exact=True).click()
    expect(toast(page)).to_contain_text("3 pictures")
    page.get_by_role("button", name="Trash", exact=True).click()
    lying = there(page, ids[0])
    lying.get_by_role("button", name="Delete for good").click()
    sure = page.get_by_role("alertdialog", name="Delete for good?")
    expect(sure.get_by_role("button", name="Cancel", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(sure).to_be_hidden()
    expect(lying).to_be_visible()
    lying.get_by_role("button", name="Delete for good").click()
    sure.get_by_role("button", name="Delete for good", exact=True).click()
    expect(toast(page)).to_contain_text("Deleted for good")
    expect(lying).to_have_count(0)

    page.get_by_role("button", name="Select", exact=True).click()
    page.get_by_role("button", name="All shown").click()
    page.locator("#selection").get_by_role("button", name="Delete for good", exact=True).click()
    expect(sure).to_contain_text("2 pictures and their files")
    sure.get_by_role("button", name="Delete for good", exact=True).click()
    expect(page.locator("#library").get_by_text("The trash is empty.")).to_be_visible()
    page.get_by_role("button", name="Done selecting").click()
    expect(page.get_by_role("button", name="Select", exact=True)).to_be_hidden()
    expect(page.locator("#library-title")).to_be_focused()
    for image_id in ids:
        response = page.request.post(f"{live_server}/images/{image_id}/restore", headers={"X-API-Key": ADMIN_KEY})
        assert response.status == 404


def test_the_newest_come_first(library: Page, tmp_path: Path) -> None:
    page = library
    newest = tmp_path / "newest.png"
    Image.new("RGB", (50, 40), (3, 200, 90)).save(newest)
    page.get_by_role("button", name="Newest first").click()
    expect(page).to_have_url(re.compile("library=new"))
    page.set_input_files("#add-chooser", newest)
    expect(page.locator('#adding [data-phase="created"]')).to_have_count(1)
    expect(cards(page).first).to_contain_text("newest.png")
    page.reload()
    expect(cards(page).first).to_contain_text("newest.png")
    listed = page.evaluate("fetch('images?order=newest').then((answer) => answer.json())")["images"]
    times = [image["created_at"] for image in listed]
    assert times == sorted(times, reverse=True)
    assert [card.get_attribute("data-id") for card in cards(page).all()] == [image["id"] for image in listed]


def test_source_and_fields_are_edited_and_what_is_no_field_is_told(library: Page, live_server: str) -> None:
    page = library
    image_id = cards(page).first.get_attribute("data-id") or ""
    cards(page).first.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog", name="Edit", exact=True)
    dialog.get_by_label("Source").fill("https://example.org/a?b=c")
    own = dialog.get_by_label("Other fields")
    own.fill("camera: X100\nyear 2020")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("year 2020")
    expect(own).to_be_focused()
    own.fill("camera: X100\nyear: 2020\nok: true")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(toast(page)).to_contain_text("Saved")
    stored = page.request.get(f"{live_server}/images/{image_id}").json()
    assert stored["source_url"] == "https://example.org/a?b=c"
    assert stored["fields"] == {"camera": "X100", "year": 2020, "ok": True}

    cards(page).first.get_by_role("button", name="Edit").click()
    expect(own).to_have_value(
        "camera: X100\nok: true\nyear: 2020".replace("ok: true\nyear: 2020", "year: 2020\nok: true")
    )
    own.fill("year: 2021")
    dialog.get_by_role("button", name="Save", exact=True).click()
    expect(dialog).to_be_hidden()
    assert page.request.get(f"{live_server}/images/{image_id}").json()["fields"] == {"year": 2021}


def test_what_is_said_of_an_edit_can_be_pressed_above_the_viewer(library: Page) -> None:
    page = library
    cards(page).first.locator(".card-pick").click()
    viewer = page.locator("#viewer")
    viewer.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_role("dialog", name="Edit", exact=True).get_by_label("Title").fill("Said above")
    page.keyboard.press("Enter")
    expect(toast(page)).to_contain_text("Saved: Said above")
    toast(page).get_by_role("button", name="Dismiss").click()
    expect(toast(page)).to_be_empty()
    viewer.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_role("dialog", name="Edit", exact=True).get_by_label("Title").fill("Said again")
    page.keyboard.press("Enter")
    expect(toast(page)).to_contain_text("Saved: Said again")
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    expect(toast(page)).to_contain_text("Saved: Said again")


def test_the_library_opens_by_forward_with_the_search_that_stood_behind_it(library: Page, live_server: str) -> None:
    page = library
    page.goto(live_server)
    page.get_by_role("searchbox").fill("boat")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=boat"))
    page.get_by_role("link", name="Library").click()
    expect(page).to_have_url(re.compile("library=all"))
    page.go_back()
    expect(page).to_have_url(re.compile("q=boat"))
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("")
    page.go_forward()
    expect(page).to_have_url(re.compile("q=boat"))
    page.go_forward()
    expect(page).to_have_url(re.compile("library=all"))
    page.reload()
    expect(cards(page).first).to_be_visible()
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.get_by_role("searchbox")).to_have_value("boat")
    expect(page).to_have_url(re.compile("q=boat"))


def test_a_phone_needs_no_sideways_scrolling_while_selecting(library: Page, console: Console) -> None:
    page = library
    page.set_viewport_size({"width": 360, "height": 740})
    select(page, 0)
    page.get_by_role("button", name="Vectors", exact=True).click()
    expect(page.locator("#vectors")).to_be_visible()
    for language in ("中文", "EN", "中文"):
        page.get_by_role("button", name=language, exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), language
    assert console.errors == []
