"""The library's own page: browsing, adding, changing, deleting and undoing, the trash, indexing, keys, collections."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests.live import ADMIN_KEY, own_service

if TYPE_CHECKING:
    from conftest import Console

COUNT = 70

DROP_FILE = """
([name, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type: "image/png" }));
  for (const kind of ["dragenter", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
    if (kind === "dragenter") window.dragWords = document.querySelector("#drag").textContent.trim();
  }
}
"""


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service of these tests' own, which they change; ADMIN_KEY is its admin key."""
    with own_service(tmp_path_factory.mktemp("library"), COUNT) as address:
        yield address


def cards(page: Page) -> Locator:
    return page.locator("#library .grid > .card")


def open_library(page: Page) -> None:
    page.get_by_role("link", name="Library").click()
    expect(cards(page).first).to_be_visible()


def picture(folder: Path, name: str, colour: tuple[int, int, int]) -> Path:
    path = folder / name
    Image.new("RGB", (64, 48), colour).save(path)
    return path


def toast(page: Page) -> Locator:
    return page.locator(".toast")


def edit_first(page: Page) -> str:
    first = cards(page).first
    first.get_by_role("button", name="Edit").click()
    expect(page.get_by_role("dialog", name="Edit")).to_be_visible()
    return first.get_attribute("data-id") or ""


def test_browsing_fills_as_one_scrolls_and_the_address_reopens_it(page: Page) -> None:
    open_library(page)
    expect(page.locator("#ask")).to_be_hidden()
    expect(page.get_by_role("link", name="Library")).to_have_attribute("aria-current", "page")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(cards(page)).to_have_count(COUNT)
    ids = [card.get_attribute("data-id") for card in cards(page).all()]
    assert ids == sorted(ids, key=str)
    expect(page).to_have_url(re.compile("library=all"))

    page.get_by_role("button", name="Newest first").click()
    expect(page.get_by_role("button", name="Newest first")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_role("button", name="Newest first")).to_have_attribute("aria-pressed", "true")
    expect(cards(page).first).to_be_visible()
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.locator("#ask")).to_be_visible()
    expect(page.locator("#library")).to_be_hidden()
    page.go_back()
    expect(page.locator("#library")).to_be_visible()


def test_random_pictures_are_others_each_time(page: Page) -> None:
    open_library(page)
    page.get_by_role("button", name="At random").click()
    expect(page.locator("#library .library-head .fine")).to_have_text("60 shown")
    before = [card.get_attribute("data-id") for card in cards(page).all()]
    page.get_by_role("button", name="Other ones").click()
    page.wait_for_function("(id) => document.querySelector('#library .card')?.dataset.id !== id", arg=before[0])
    expect(page.locator("#library .library-head .fine")).to_have_text("60 shown")


def test_a_picture_of_the_library_is_viewed_and_searched_with(page: Page) -> None:
    open_library(page)
    picked = cards(page).nth(1).get_attribute("data-id")
    cards(page).first.locator(".card-pick").click()
    viewer = page.locator("#viewer")
    expect(viewer.locator("img")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(f"view={picked}"))
    viewer.get_by_role("button", name="Search with this").click()
    expect(page.locator("#library")).to_be_hidden()
    expect(page.locator("#grid > .card").first).to_have_attribute("data-id", picked or "")


def test_the_admin_key_is_asked_for_once_and_kept_for_the_session_only(page: Page, console: Console) -> None:
    console.allow("401")
    open_library(page)
    trigger = page.get_by_role("button", name="Trash", exact=True)
    trigger.click()
    dialog = page.get_by_role("dialog", name="This needs the admin key")
    field = dialog.get_by_label("Admin key")
    expect(field).to_be_focused()
    field.fill("wrong")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("That key was not accepted. Please check it and try again.")
    field.fill(ADMIN_KEY)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(page.locator("#library").get_by_text("The trash is empty.")).to_be_visible()
    expect(trigger).to_be_focused()
    page.get_by_role("button", name="Index", exact=True).click()
    expect(page.locator("#indexing")).to_be_visible()
    expect(dialog).to_be_hidden()
    assert ADMIN_KEY in page.evaluate("Object.values(sessionStorage)")
    assert ADMIN_KEY not in page.evaluate("Object.values(localStorage)")
    assert page.context.cookies() == []
    page.locator("#status-button").click()
    page.get_by_role("button", name="Forget").click()
    assert ADMIN_KEY not in page.evaluate("Object.values(sessionStorage)")


def test_who_gives_no_key_is_told_and_may_give_it_later(page: Page) -> None:
    open_library(page)
    page.get_by_role("button", name="Trash", exact=True).click()
    page.keyboard.press("Escape")
    expect(page.locator("#library").get_by_role("alert")).to_contain_text("This needs a key.")
    page.get_by_role("button", name="Give the key").click()
    page.get_by_role("textbox", name="Admin key").fill(ADMIN_KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#library").get_by_text("The trash is empty.")).to_be_visible()


def test_pictures_are_added_each_with_its_outcome(keyed: Page, console: Console, tmp_path: Path) -> None:
    console.allow("422")
    page = keyed
    open_library(page)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    notes = tmp_path / "notes.txt"
    notes.write_text("words")
    given = [picture(tmp_path, f"new-{n}.png", (n * 40, 90, 200 - n * 30)) for n in range(5)]
    page.set_input_files("#add-chooser", [*given, broken, notes])
    adding = page.locator("#adding")
    expect(adding.locator("li")).to_have_count(7)
    expect(adding.locator('[data-phase="created"]')).to_have_count(5)
    expect(adding.locator('[data-phase="failed"]')).to_have_count(2)
    expect(adding.locator("li", has_text="notes.txt")).to_contain_text("is not a picture")
    assert len(adding.locator("li", has_text="broken.jpg").inner_text()) > len("broken.jpg") + 5
    expect(adding).to_contain_text("5 added · 2 failed")
    expect(page.locator("#live")).to_contain_text("5 added, 2 failed")
    expect(page.locator("#status-button")).to_have_text(f"{COUNT + 5} pictures")
    page.set_input_files("#add-chooser", given[0])
    expect(adding.locator('[data-phase="duplicate"]')).to_have_count(1)
    adding.get_by_role("button", name="new-1.png").click()
    expect(page.locator("#viewer-title")).to_have_text("new-1.png")
    page.keyboard.press("Escape")
    adding.get_by_role("button", name="Done").click()
    expect(adding).to_be_hidden()
    expect(page.locator("#add")).to_be_focused()


def test_a_dropped_picture_is_added_while_the_library_is_shown(keyed: Page, tmp_path: Path) -> None:
    open_library(keyed)
    dropped = picture(tmp_path, "dropped.png", (1, 2, 3))
    keyed.evaluate(DROP_FILE, [dropped.name, base64.b64encode(dropped.read_bytes()).decode()])
    assert keyed.evaluate("window.dragWords") == "Release to add to the library"
    expect(keyed.locator('#adding [data-phase="created"]')).to_contain_text("dropped.png")


def test_at_most_three_go_at_once_and_the_rest_can_be_stopped_and_tried_again(keyed: Page, tmp_path: Path) -> None:
    page = keyed
    open_library(page)
    held: list[Route] = []
    page.route("**/insert", lambda route: held.append(route))
    page.set_input_files("#add-chooser", [picture(tmp_path, f"stop-{n}.png", (9, n * 30, 250)) for n in range(6)])
    expect(page.locator('#adding [data-phase="sending"]')).to_have_count(3)
    page.wait_for_timeout(200)
    assert len(held) == 3
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator('#adding [data-phase="stopped"]')).to_have_count(6)
    page.unroute("**/insert")
    page.get_by_role("button", name="Try the rest again").click()
    expect(page.locator('#adding [data-phase="created"]')).to_have_count(6)


def test_title_tags_and_text_are_edited(keyed: Page, live_server: str, console: Console) -> None:
    console.allow("422")
    page = keyed
    open_library(page)
    image_id = edit_first(page)
    dialog = page.get_by_role("dialog", name="Edit")
    dialog.get_by_label("Title").fill("x" * 5000)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("title")
    hostile = '<img src=x onerror="window.hacked=1">'
    dialog.get_by_label("Title").fill(hostile)
    dialog.get_by_label("Tags, between commas").fill("cat, garden,cat")
    dialog.get_by_label("Text").fill("Two\nlines")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    expect(toast(page)).to_contain_text("Saved: <img src=x")
    expect(cards(page).first.locator(".card-title")).to_have_text(hostile)
    expect(cards(page).first.locator('[data-act="edit"]')).to_be_focused()
    stored = page.request.get(f"{live_server}/images/{image_id}").json()
    assert (stored["title"], stored["tags"], stored["text"]) == (hostile, ["cat", "garden"], "Two\nlines")

    cards(page).first.locator(".card-pick").click()
    page.locator("#viewer").get_by_role("button", name="Edit").click()
    dialog.get_by_label("Title").fill("From the viewer")
    page.keyboard.press("Enter")
    expect(page.locator("#viewer-title")).to_have_text("From the viewer")
    expect(page.locator("#viewer").get_by_role("button", name="Edit")).to_be_focused()
    assert page.evaluate("window.hacked") is None


def test_a_deleted_picture_is_brought_back_by_undo(keyed: Page, live_server: str) -> None:
    page = keyed
    open_library(page)
    first = cards(page).first
    image_id = first.get_attribute("data-id") or ""
    gone = page.locator(f'#library [data-id="{image_id}"]')
    first.get_by_role("button", name="Delete").click()
    expect(gone).to_have_count(0)
    expect(toast(page)).to_contain_text("Moved to the trash")
    expect(cards(page).first.locator(".card-pick")).to_be_focused()
    assert page.request.get(f"{live_server}/images/{image_id}").status == 404
    toast(page).get_by_role("button", name="Undo").click()
    expect(toast(page)).to_contain_text("Restored")
    expect(cards(page).first).to_have_attribute("data-id", image_id)
    assert page.request.get(f"{live_server}/images/{image_id}").status == 200


def test_a_picture_is_deleted_in_the_viewer_and_restored_from_the_trash(keyed: Page) -> None:
    page = keyed
    open_library(page)
    image_id = cards(page).nth(2).get_attribute("data-id") or ""
    cards(page).nth(2).locator(".card-pick").click()
    page.locator("#viewer").get_by_role("button", name="Delete").click()
    expect(page.locator("#viewer")).to_be_hidden()
    expect(toast(page).get_by_role("button", name="Undo")).to_be_visible()
    page.get_by_role("button", name="Trash", exact=True).click()
    lying = page.locator(f'#library [data-id="{image_id}"]')
    expect(lying).to_contain_text("Deleted")
    lying.get_by_role("button", name="Restore").click()
    expect(lying).to_have_count(0)
    expect(page.locator("#library").get_by_text("The trash is empty.")).to_be_visible()
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.locator(f'#library [data-id="{image_id}"]')).to_be_visible()


def test_a_failure_to_delete_is_told_in_the_service_s_words(keyed: Page, console: Console) -> None:
    console.allow("409")
    problem = {"title": "Conflict", "status": 409, "detail": "It is being used.", "code": "conflict"}
    body = json.dumps(problem)
    keyed.route(
        "**/images/*",
        lambda route: (
            route.fulfill(status=409, content_type="application/problem+json", body=body)
            if route.request.method == "DELETE"
            else route.continue_()
        ),
    )
    open_library(keyed)
    cards(keyed).first.get_by_role("button", name="Delete").click()
    expect(toast(keyed)).to_contain_text("It is being used.")
    expect(toast(keyed).get_by_role("button", name="Undo")).to_be_hidden()


def test_indexing_is_started_and_watched_to_its_end(keyed: Page) -> None:
    page = keyed
    open_library(page)
    page.get_by_role("button", name="Index", exact=True).click()
    panel = page.locator("#indexing")
    panel.get_by_label("Vectors").select_option("pca")
    panel.get_by_label("Numbers in each").fill("4")
    panel.get_by_role("button", name="Start indexing").click()
    expect(panel.locator(".job strong")).to_have_text("Done", timeout=60_000)
    expect(page.locator("#status-panel")).to_contain_text("pca")
    panel.get_by_label("Numbers in each").fill("40")
    panel.get_by_role("button", name="Start indexing").click()
    expect(panel.locator(".job strong")).to_have_text("Failed", timeout=60_000)
    expect(panel.locator(".job .bad")).to_contain_text("at least 400 pictures")
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator(".job .bad")).to_contain_text("at least 400 pictures", timeout=60_000)


def test_a_job_shows_its_progress_and_can_be_cancelled(keyed: Page) -> None:
    page = keyed
    job = {"id": "j1", "kind": "rebuild", "state": "running", "total": 200, "done": 50, "failed": 2, "rate": 10.0}
    job |= {"eta_s": 15.0, "error": None, "collection": "birds", "can_retry": False}
    failures = {"ok": True, "failures": [{"number": 1, "item": "a<b>.jpg", "reason": "truncated"}], "next": None}

    def answer(route: Route) -> None:
        url = route.request.url
        if "/cancel" in url:
            job.update(state="cancelled", can_retry=True)
        elif "/failures" in url:
            route.fulfill(json=failures)
            return
        route.fulfill(json={"ok": True, "jobs": [job], **job})

    page.route(re.compile(r"/jobs(\?|/)"), answer)
    open_library(page)
    page.get_by_role("button", name="Index", exact=True).click()
    panel = page.locator("#indexing")
    expect(panel).to_contain_text("birds · 50 of 200 · 10 per second · about 15 seconds left · 2 failed")
    assert panel.get_by_role("progressbar").evaluate("(bar) => bar.position") == 0.25
    panel.get_by_role("button", name="What failed").click()
    expect(panel.get_by_role("list")).to_contain_text("a<b>.jpg")
    job["done"] = 100
    expect(panel).to_contain_text("100 of 200")
    panel.get_by_role("button", name="Cancel").click()
    expect(panel.locator(".job strong")).to_have_text("Cancelled")
    expect(panel.get_by_role("button", name="Try again")).to_be_visible()


def test_another_collection_is_chosen_and_stays_in_the_address(keyed: Page, live_server: str, tmp_path: Path) -> None:
    page = keyed
    other = picture(tmp_path, "other.png", (200, 10, 10))
    page.request.post(
        f"{live_server}/insert?collection=birds",
        headers={"X-API-Key": ADMIN_KEY},
        multipart={"image": {"name": other.name, "mimeType": "image/png", "buffer": other.read_bytes()}},
    )
    page.reload()
    open_library(page)
    page.get_by_role("combobox", name="Collection").select_option("birds")
    expect(cards(page)).to_have_count(1)
    expect(cards(page).first).to_contain_text("other.png")
    page.wait_for_function("document.querySelector('#library .card img').naturalWidth > 0")
    expect(page.locator("#status-button")).to_have_text("1 picture")
    expect(page).to_have_url(re.compile("collection=birds"))
    page.get_by_role("link", name="Search", exact=True).click()
    page.set_input_files("#chooser", other)
    expect(page.locator("#grid > .card")).to_have_count(1)
    page.goto(f"{live_server}/?library=all&collection=birds")
    expect(cards(page)).to_have_count(1)


def test_the_library_waits_for_the_service_and_goes_on_by_itself(page: Page, console: Console) -> None:
    console.allow("net::ERR_FAILED")
    open_library(page)
    away = re.compile(r"/(images|status|readyz)(/random)?(\?|$)")
    page.route(away, lambda route: route.abort())
    page.get_by_role("button", name="At random").click()
    expect(page.locator("#library").get_by_role("alert")).to_contain_text("did not answer")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator("#status-button")).to_contain_text("Not answering")
    page.unroute(away)
    expect(cards(page).first).to_be_visible()


def test_a_phone_needs_no_sideways_scrolling_in_either_language(keyed: Page, tmp_path: Path) -> None:
    page = keyed
    page.set_viewport_size({"width": 360, "height": 740})
    open_library(page)
    page.get_by_role("button", name="Index", exact=True).click()
    page.set_input_files("#add-chooser", picture(tmp_path, f"{'long-name-' * 18}.png", (7, 7, 7)))
    expect(page.locator('#adding [data-phase="created"]')).to_have_count(1)
    for language in ("中文", "EN", "中文"):
        page.get_by_role("button", name=language, exact=True).click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), language
    expect(page.get_by_role("heading", level=1, name="图库")).to_be_visible()
    expect(page.get_by_role("button", name="回收站")).to_be_visible()
    page.locator('#library [data-act="edit"]').first.click()
    expect(page.get_by_role("dialog", name="编辑").get_by_label("标题")).to_be_visible()
