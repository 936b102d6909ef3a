"""The page as a user meets it, against the real service."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Browser, Locator, Page, Route, expect

if TYPE_CHECKING:
    from conftest import Console

SERVICE_PATHS = re.compile(r"/(search|status|readyz)/?(\?|$)")
SEARCH_PATH = re.compile(r"/search/?(\?|$)")

# A File can only be made inside the page; its bytes travel there as base64.
GIVE_FILE = """
([kind, name, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type: "image/png" }));
  const options = { bubbles: true, cancelable: true };
  const event = kind === "paste"
    ? new ClipboardEvent(kind, { ...options, clipboardData: data })
    : new DragEvent(kind, { ...options, dataTransfer: data });
  document.body.dispatchEvent(event);
}
"""


def cards(page: Page) -> Locator:
    return page.locator("#grid > .card:not(.skeleton)")


def search_with(page: Page, picture: Path) -> None:
    page.set_input_files("#chooser", picture)
    expect(cards(page).first).to_be_visible()


def give_file(page: Page, kind: str, picture: Path) -> None:
    page.evaluate(GIVE_FILE, [kind, picture.name, base64.b64encode(picture.read_bytes()).decode()])


def assert_first_is_the_same(page: Page) -> None:
    first = cards(page).first
    expect(first.locator(".card-reason")).to_have_text("Same picture")
    assert float(first.locator(".score").inner_text()) > 0.99
    expect(first.locator(".rank")).to_have_text("1")


def test_a_chosen_file_finds_itself_first(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    assert_first_is_the_same(page)
    expect(cards(page)).to_have_count(20)
    scores = [float(text) for text in page.locator("#grid .score").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    expect(page.locator("#results-title")).to_have_text("20 similar pictures")
    expect(page.locator("#live")).to_contain_text("20 similar pictures")
    expect(page.locator("#query .query-name")).to_have_text(sample_image.name)


def test_a_result_shows_its_thumbnail_and_name(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    first = cards(page).first
    thumbnail = first.locator("img")
    expect(thumbnail).to_have_attribute("loading", "eager")
    expect(cards(page).last.locator("img")).to_have_attribute("loading", "lazy")
    page.wait_for_function("document.querySelector('#grid .card img').naturalWidth > 0")
    assert int(thumbnail.get_attribute("width") or 0) > 0
    assert int(thumbnail.get_attribute("height") or 0) > 0
    assert first.locator(".card-title").inner_text().strip()


def test_timings_are_shown(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    for step in ("decode", "embed", "search", "total", "round-trip"):
        expect(page.locator(f'.timings [data-step="{step}"] dd')).to_have_text(re.compile(r"^[\d.]+ m?s$"))


def test_any_result_can_be_searched_with(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    third = cards(page).nth(2)
    picked = third.get_attribute("data-id")
    third.get_by_role("button", name="Search with this").click()
    expect(page.locator("#query .overline").first).to_have_text("From the library")
    expect(cards(page).first).to_have_attribute("data-id", picked or "")
    assert_first_is_the_same(page)


def test_a_pasted_picture_is_searched_with(page: Page, sample_image: Path) -> None:
    give_file(page, "paste", sample_image)
    assert_first_is_the_same(page)


def test_a_dropped_picture_is_searched_with(page: Page, sample_image: Path) -> None:
    give_file(page, "dragenter", sample_image)
    expect(page.locator("#drag")).to_be_visible()
    give_file(page, "drop", sample_image)
    expect(page.locator("#drag")).to_be_hidden()
    assert_first_is_the_same(page)


def test_the_keyboard_alone_is_enough(page: Page, sample_image: Path) -> None:
    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"Tab does not reach {selector}")

    # Listening from the start: Chromium is told to hand its dialogs over, and Enter would overtake that.
    page.on("filechooser", lambda chooser: chooser.set_files(sample_image))
    tab_to("#choose")
    page.keyboard.press("Enter")
    expect(page.locator("#results-title")).to_be_focused()
    expect(cards(page)).to_have_count(20)

    tab_to(".card:nth-child(2) .card-line .icon-button")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "the focus must be seen"
    picked = cards(page).nth(1).get_attribute("data-id")
    page.keyboard.press("Enter")
    expect(cards(page).first).to_have_attribute("data-id", picked or "")
    expect(page.locator("#results-title")).to_be_focused()


def test_the_skip_link_leads_to_the_content(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def test_clear_returns_to_the_start(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#work")).to_be_hidden()
    expect(page.locator("#choose")).to_be_focused()


def test_the_status_is_shown(page: Page, live_server: str) -> None:
    status: dict[str, Any] = page.request.get(f"{live_server.rstrip('/')}/status").json()
    button = page.locator("#status-button")
    expect(button).to_have_text(f"{status['images']:,} pictures")
    button.focus()
    page.keyboard.press("Enter")
    panel = page.locator("#status-panel")
    expect(panel).to_be_visible()
    for shown in (
        status["model"]["name"],
        f"{status['model']['dim']:,}",
        status["index"]["kind"],
        status["stores"]["vectors"],
        status["stores"]["images"],
        status["version"],
    ):
        expect(panel).to_contain_text(shown)
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_the_page_says_when_the_service_is_away_and_goes_on_by_itself(
    page: Page, console: Console, sample_image: Path
) -> None:
    console.allow("net::ERR_FAILED")
    page.route(SERVICE_PATHS, lambda route: route.abort())
    page.set_input_files("#chooser", sample_image)
    expect(page.get_by_text("The service is not answering.")).to_be_visible()
    expect(page.get_by_text("Your search starts again as soon as the service is back.")).to_be_visible()
    expect(page.locator("#status-button")).to_contain_text("Not answering")

    page.unroute(SERVICE_PATHS)
    expect(page.get_by_text("The service is back.")).to_be_visible()
    assert_first_is_the_same(page)
    expect(page.get_by_text("The service is not answering.")).to_be_hidden()


def test_a_broken_picture_gets_the_service_s_words(page: Page, console: Console, tmp_path: Path) -> None:
    console.allow("Failed to load resource")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    with page.expect_response(SEARCH_PATH) as refused:
        page.set_input_files("#chooser", broken)
    problem = refused.value.json()
    assert refused.value.status in (415, 422)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(problem["detail"])
    alert.get_by_role("button", name="Dismiss").click()
    expect(alert).to_be_empty()


def test_a_file_that_is_no_picture_is_not_sent(page: Page, tmp_path: Path) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if SEARCH_PATH.search(request.url) else None)
    text = tmp_path / "notes.txt"
    text.write_text("words")
    page.set_input_files("#chooser", text)
    expect(page.get_by_text("“notes.txt” is not a picture.")).to_be_visible()
    assert sent == []


def test_a_key_is_asked_for_and_kept_for_the_session_only(page: Page, console: Console, sample_image: Path) -> None:
    console.allow("401")

    def guard(route: Route) -> None:
        if route.request.headers.get("x-api-key") == "right":
            route.continue_()
            return
        problem = {"title": "Unauthorized", "status": 401, "detail": "Invalid Key.", "code": "invalid_key"}
        route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(problem))

    page.route(SEARCH_PATH, guard)
    page.set_input_files("#chooser", sample_image)
    field = page.get_by_label("Search key")
    expect(field).to_be_focused()
    field.fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("That key was not accepted.")).to_be_visible()
    page.get_by_label("Search key").fill("right")
    page.keyboard.press("Enter")
    assert_first_is_the_same(page)
    assert "right" in page.evaluate("Object.values(sessionStorage)")
    assert "right" not in page.evaluate("Object.values(localStorage)")
    assert page.context.cookies() == []


def test_hostile_words_stay_words(page: Page, sample_image: Path) -> None:
    hostile = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>' + "x" * 5000 + "\u202e"

    def poison(route: Route) -> None:
        response = route.fetch()
        answer = response.json()
        for result in answer["results"]:
            result.update(title=hostile, text=hostile, source_name=hostile, sources=[hostile], tags=[hostile])
            result.update(url="javascript:window.hacked=1", source_url="javascript:window.hacked=1")
        route.fulfill(response=response, json=answer)

    # A file's bytes are not shown to a route, so the poisoned answer is one to a stored picture.
    search_with(page, sample_image)
    page.route(SEARCH_PATH, poison)
    cards(page).nth(1).get_by_role("button", name="Search with this").click()
    expect(cards(page).first.locator(".card-title")).to_contain_text("<img src=x")
    assert cards(page).first.locator(".card-title").text_content() == hostile.strip()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        cards(page).first.locator(".card-pick").click()
        viewer = page.get_by_role("dialog")
        expect(viewer.locator("dd", has_text="<img src=x").first).to_be_visible()
        assert viewer.evaluate("(dialog) => dialog.scrollWidth <= dialog.clientWidth")
        assert page.locator("#grid script, #grid a, #viewer script, #viewer a").count() == 0
        assert page.locator("#viewer img").count() == 1, "only the query's own picture has an address that may be used"
        page.keyboard.press("Escape")
        cards(page).nth(1).get_by_role("button", name="Less like this").click()
        expect(page.locator("#chips .chip")).to_have_count(1)
        expect(page.locator('#grid[aria-busy="false"]')).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.locator("#chips .chip").click()
        expect(page.locator("#chips")).to_be_hidden()
        expect(page.locator('#grid[aria-busy="false"]')).to_be_visible()
    assert page.evaluate("window.hacked") is None


def test_an_empty_library_says_how_to_fill_it(page: Page) -> None:
    def emptied(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "images": 0})

    page.route(re.compile(r"/status/?$"), emptied)
    page.reload()
    expect(page.get_by_role("heading", name="The library is empty")).to_be_visible()
    expect(page.locator("#empty")).to_contain_text("image-search ingest")


def test_the_language_follows_the_switch_and_is_remembered(page: Page, sample_image: Path) -> None:
    search_with(page, sample_image)
    page.get_by_role("button", name="中文").click()
    expect(page.locator("#results-title")).to_have_text("20 张相似图片")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("查找相似的图片")


def test_the_browser_s_language_is_the_first_choice(page: Page, live_server: str) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(locale="zh-CN")
    chinese = context.new_page()
    chinese.goto(live_server)
    expect(chinese.get_by_role("heading", level=1)).to_have_text("查找相似的图片")
    context.close()


def test_a_phone_needs_no_sideways_scrolling(page: Page, sample_image: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    search_with(page, sample_image)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("#status-button").click()
    box = page.locator("#status-panel").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


def test_the_smallest_phone_has_its_bar_in_one_line(page: Page, sample_image: Path) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    search_with(page, sample_image)
    for language in ("中文", "EN"):
        page.get_by_role("button", name=language, exact=True).click()
        expect(page.locator('[data-locale][aria-pressed="true"]')).to_have_text(language)
        assert page.locator(".pill-text").evaluate("(words) => words.scrollWidth <= words.clientWidth"), language
        heights = page.locator(".languages button:visible").evaluate_all("(all) => all.map((one) => one.offsetHeight)")
        assert max(heights) <= 32, "no button's words are in two lines"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_nothing_in_the_bar_lies_on_another_at_any_width(page: Page) -> None:
    for width in (320, 480, 561, 620, 721, 820):
        page.set_viewport_size({"width": width, "height": 640})
        parts = page.locator(".brand, .places, .bar-tools")
        over = parts.evaluate_all("(all) => all.filter((one) => one.scrollWidth > one.clientWidth).length")
        assert over == 0, width


def test_a_link_to_a_collection_that_is_gone_says_so_and_leads_to_one_that_is_there(
    page: Page, live_server: str, console: Console
) -> None:
    console.allow("404")
    page.goto(f"{live_server}/?collection=gone&q=cat")
    told = page.locator("#notices .notice")
    expect(told).to_have_count(1)
    expect(told).to_contain_text("There is no collection “gone”.")
    page.goto(f"{live_server}/?collection=gone")
    expect(told).to_contain_text("There is no collection “gone”.")
    expect(page.locator("#empty")).to_be_hidden()
    page.get_by_role("button", name="Go to “default”").click()
    expect(told).to_have_count(0)
    expect(page.locator("#status-button")).to_have_text("60 pictures")
    expect(page).to_have_url(re.compile("collection=default"))
    page.go_back()
    expect(told).to_contain_text("There is no collection “gone”.")


def test_what_a_link_to_a_collection_that_is_gone_asks_for_is_looked_for_in_another(
    page: Page, live_server: str, console: Console
) -> None:
    console.allow("404")
    (image,) = page.request.get(f"{live_server}/images?limit=1").json()["images"]
    page.goto(f"{live_server}/?collection=gone&id={image['id']}&tags=none")
    page.get_by_role("button", name="Go to “default”").click()
    expect(page.locator("#query .overline").first).to_have_text("From the library")
    expect(page.locator("#chips .chip")).to_contain_text("none")
    expect(page).to_have_url(re.compile(f"collection=default&id={image['id']}&tags=none"))
    page.go_back()
    expect(page.locator("#notices .notice")).to_contain_text("There is no collection “gone”.")
    expect(page).to_have_url(re.compile(f"collection=gone&id={image['id']}"))
    # What a picture is to be unlike lies in one collection only.
    page.goto(f"{live_server}/?collection=gone&id={image['id']}&not={'0' * 64}")
    page.get_by_role("button", name="Go to “default”").click()
    expect(page.locator("#grid > .card:not(.skeleton)").first).to_be_visible()
    # Where the other has no such picture it says what it always says.
    unknown = "0" * 64
    page.goto(f"{live_server}/?collection=gone&id={unknown}")
    page.get_by_role("button", name="Go to “default”").click()
    expect(page.get_by_role("alert").filter(has_text="This is no longer in the library")).to_be_visible()
    expect(page).to_have_url(re.compile(f"collection=default&id={unknown}"))
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="no longer")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("id="))


def test_what_the_page_knows_of_the_service_is_said_in_its_language(
    browser: Browser, live_server: str, sample_image: Path
) -> None:
    context = browser.new_context(locale="zh-CN")
    page = context.new_page()
    page.goto(f"{live_server}/?id={'0' * 64}")
    expect(page.get_by_role("alert").filter(has_text="此集合中没有这张图片。")).to_be_visible()
    page.goto(live_server)
    page.locator('#status-button[data-phase="ready"]').wait_for()
    page.locator("#status-button").click()
    panel = page.locator("#status-panel")
    expect(panel).to_contain_text("GiB，已用")
    expect(panel).not_to_contain_text(re.compile(r"none|cores| of "))
    problem = {"code": "vector_store_unavailable", "detail": "The vector store is not available."}
    page.route("**/search", lambda route: route.fulfill(status=503, json=problem))
    page.set_input_files("#chooser", sample_image)
    expect(page.get_by_role("alert").filter(has_text="向量存储不可用。")).to_be_visible()
    problem |= {"code": "unheard_of", "detail": "Said in its own words."}
    page.get_by_role("button", name="重试").click()
    expect(page.get_by_role("alert").filter(has_text="Said in its own words.")).to_be_visible()
    context.close()


def test_inline_script_is_refused(page: Page, console: Console) -> None:
    console.allow("CSP violation")
    console.allow("Content Security Policy")
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.inlineRan = true";
          document.head.append(script);
        }"""
    )
    assert page.evaluate("window.inlineRan") is None
    assert any("CSP violation: script-src" in error for error in console.errors)
