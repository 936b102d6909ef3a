"""The live search in a real browser: camera, video file and screen, against the real service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, Route, expect

if TYPE_CHECKING:
    from conftest import Console

SEARCH_PATH = re.compile(r"/search/?(\?|$)")
PACE = re.compile(r"^\d+\.\d searches a second · [\d.]+ m?s each$")

# What was lent to the page is kept here, so that a test can see whether it was given back, or take it away.
KEEP_TRACKS = """
window.tracks = [];
for (const ask of navigator.mediaDevices ? ["getUserMedia", "getDisplayMedia"] : []) {
  const real = navigator.mediaDevices[ask].bind(navigator.mediaDevices);
  navigator.mediaDevices[ask] = async (wanted) => {
    const stream = await real(wanted);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
}
"""

# A video of one second, made here so that the repository holds none: a red half and a blue one, and a moving bar.
RECORD = """
async () => {
  const canvas = document.createElement("canvas");
  canvas.width = 320;
  canvas.height = 240;
  const context = canvas.getContext("2d");
  const recorder = new MediaRecorder(canvas.captureStream(30), { mimeType: "video/webm;codecs=vp8" });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const ended = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  for (let step = 0; step < 30; step += 1) {
    context.fillStyle = "red";
    context.fillRect(0, 0, 160, 240);
    context.fillStyle = "blue";
    context.fillRect(160, 0, 160, 240);
    context.fillStyle = "white";
    context.fillRect(step * 10, 100, 10, 40);
    await new Promise((resolve) => setTimeout(resolve, 33));
  }
  recorder.stop();
  await ended;
  return Array.from(new Uint8Array(await new Blob(parts).arrayBuffer()));
}
"""


@pytest.fixture(autouse=True)
def tracks(page: Page) -> None:
    page.add_init_script(KEEP_TRACKS)
    page.reload()
    page.locator('#status-button[data-phase="ready"]').wait_for()


@pytest.fixture
def sharing(sharing_browser: Browser, console: Console, live_server: str) -> Page:
    """The page where the screen is shared without asking."""
    page = sharing_browser.new_page(locale="en-US", viewport={"width": 1280, "height": 800})
    page.on("console", lambda message: console.errors.append(message.text) if message.type == "error" else None)
    page.add_init_script(KEEP_TRACKS)
    page.goto(live_server)
    page.locator('#status-button[data-phase="ready"]').wait_for()
    return page


@pytest.fixture
def camera(page: Page) -> None:
    """The camera, allowed and on, and answers coming."""
    page.context.grant_permissions(["camera"])
    page.get_by_role("button", name="Camera").click()
    expect(pace(page)).to_have_text(PACE)


@pytest.fixture
def searches(page: Page) -> Iterator[list[Request]]:
    """The searches that the page sends."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if SEARCH_PATH.search(request.url) else None)
    yield sent


def cards(page: Page) -> Locator:
    return page.locator("#grid > .card:not(.skeleton)")


def pace(page: Page) -> Locator:
    return page.locator(".live-pace")


def expect_tracks(page: Page, states: list[str]) -> None:
    """Wait until the cameras' tracks are in these states."""
    page.wait_for_function(
        "(wanted) => window.tracks.map((track) => track.readyState).join() === wanted", arg=",".join(states)
    )


def test_results_follow_the_camera(page: Page, searches: list[Request], camera: None) -> None:
    expect(cards(page)).to_have_count(12)
    first = searches[0]
    assert first.method == "POST"
    assert first.headers["content-type"] == "image/jpeg", "the frame itself, with no form around it"
    assert parse_qs(urlsplit(first.url).query)["top_k"] == ["12"]
    page.wait_for_timeout(500)
    assert len(searches) > 3
    expect(page.locator("#live")).to_have_text("Live search is running; the results follow what is shown.")
    assert page.evaluate("document.querySelector('#live-query video').videoWidth") > 0


def test_the_results_are_beside_it_on_a_wide_screen_and_below_it_on_a_phone(page: Page, camera: None) -> None:
    expect(cards(page)).to_have_count(12)
    boxes = "[...document.querySelectorAll('#live-query, #results')].map((one) => one.getBoundingClientRect().toJSON())"
    live, results = page.evaluate(boxes)
    assert results["left"] >= live["right"]
    assert results["top"] == pytest.approx(live["top"], abs=2)
    page.set_viewport_size({"width": 390, "height": 844})
    live, results = page.evaluate(boxes)
    assert results["top"] >= live["bottom"]


def test_one_search_at_a_time_and_frames_are_small(page: Page, camera: None) -> None:
    sizes = page.evaluate(
        """async () => {
          const real = window.fetch;
          const seen = { most: 0, edges: [] };
          let under = 0;
          window.fetch = async (address, options) => {
            if (!String(address).includes("/search")) return real(address, options);
            under += 1;
            seen.most = Math.max(seen.most, under);
            const picture = await createImageBitmap(options.body);
            seen.edges.push(Math.min(picture.width, picture.height));
            try {
              return await real(address, options);
            } finally {
              under -= 1;
            }
          };
          await new Promise((resolve) => setTimeout(resolve, 1500));
          window.fetch = real;
          return seen;
        }"""
    )
    assert sizes["most"] == 1
    assert set(sizes["edges"]) == {256}


def test_a_frozen_frame_is_a_picture_as_any_other(page: Page, searches: list[Request], camera: None) -> None:
    page.get_by_role("button", name="Freeze").click()
    expect(page.locator("#query .query-name")).to_contain_text("Camera")
    expect(pace(page)).to_have_text("Frozen: the search is about this one frame.")
    expect(page.get_by_role("button", name="Go on")).to_be_focused()
    expect(page.locator('#grid[aria-busy="false"]')).to_be_visible()
    page.wait_for_timeout(300)
    sent = len(searches)
    page.wait_for_timeout(500)
    assert len(searches) == sent, "nothing is asked while it is frozen"

    page.get_by_role("button", name="Select a region").click()
    expect(page.locator("#query .crop-frame")).to_be_visible()
    with page.expect_request(SEARCH_PATH) as cropped:
        page.keyboard.press("ArrowLeft")
    assert "multipart/form-data" in cropped.value.headers["content-type"]

    page.get_by_role("button", name="Go on").click()
    expect(pace(page)).to_have_text(PACE)
    expect(page.locator("#live-query .crop-frame")).to_be_visible()
    expect_tracks(page, ["live"])


def test_the_region_is_what_is_asked_about(page: Page, camera: None) -> None:
    page.get_by_role("button", name="Select a region").click()
    frame = page.get_by_role("button", name=re.compile("^Region from 25 to 75 % across"))
    expect(frame).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name=re.compile("^Region from 27 to 77 % across"))).to_be_focused()
    box = page.locator("#live-query .crop-size").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 5, box["y"] - 60, steps=4)
    page.mouse.up()
    shape = page.locator("#live-query .crop-frame").evaluate("(f) => f.offsetWidth / f.offsetHeight")
    body = page.evaluate(
        """() => new Promise((resolve) => {
          const real = window.fetch;
          window.fetch = async (address, options) => {
            if (!String(address).includes("/search")) return real(address, options);
            window.fetch = real;
            const picture = await createImageBitmap(options.body);
            resolve(picture.width / picture.height);
            return real(address, options);
          };
        })"""
    )
    assert body == pytest.approx(shape, rel=0.05)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Select a region")).to_be_visible()


def test_filters_narrow_it_while_it_runs(page: Page, camera: None) -> None:
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Least width, px").fill("99999")
    page.keyboard.press("Enter")
    expect(cards(page)).to_have_count(0)
    expect(page.get_by_text("Nothing in the library fits.")).to_be_visible()
    page.locator("#chips .chip").click()
    expect(cards(page)).to_have_count(12)
    expect(pace(page)).to_have_text(PACE)


def test_another_camera_can_be_chosen(page: Page, camera: None) -> None:
    choice = page.get_by_role("combobox", name="Camera")
    expect(choice.locator("option")).to_have_count(2)
    before = choice.input_value()
    choice.select_option(index=1)
    expect(choice).not_to_have_value(before)
    expect(pace(page)).to_have_text(PACE)
    expect_tracks(page, ["ended", "live"])


@pytest.mark.parametrize("leave", ["end", "clear", "another", "back"])
def test_leaving_gives_the_camera_back(page: Page, camera: None, sample_image: Path, leave: str) -> None:
    if leave == "end":
        page.get_by_role("button", name="End").click()
        expect(page.locator("#start")).to_be_visible()
    elif leave == "clear":
        page.get_by_role("button", name="Freeze").click()
        page.get_by_role("button", name="Clear").click()
        expect(page.locator("#start")).to_be_visible()
    elif leave == "another":
        page.set_input_files("#chooser", sample_image)
        expect(page.locator("#query .query-name")).to_have_text(sample_image.name)
    else:
        page.get_by_role("button", name="Freeze").click()
        expect(page.get_by_role("button", name="Go on")).to_be_visible()
        page.go_back()
        expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#live-query")).to_be_hidden()
    expect_tracks(page, ["ended"])


def test_a_result_in_full_holds_it(page: Page, searches: list[Request], camera: None) -> None:
    cards(page).first.locator(".card-pick").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.wait_for_timeout(300)
    sent = len(searches)
    page.wait_for_timeout(400)
    assert len(searches) == sent
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.wait_for_timeout(500)
    assert len(searches) > sent


def test_a_hidden_page_pauses(page: Page, searches: list[Request], camera: None) -> None:
    hide = """(state) => {
      Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, "hidden")
    page.wait_for_timeout(300)
    sent = len(searches)
    page.wait_for_timeout(500)
    assert len(searches) == sent
    page.evaluate(hide, "visible")
    page.wait_for_timeout(500)
    assert len(searches) > sent
    expect_tracks(page, ["live"])


def test_a_camera_that_is_gone_is_told(page: Page, camera: None) -> None:
    page.evaluate("window.tracks[0].dispatchEvent(new Event('ended'))")
    expect(page.get_by_text("The camera is gone, so the live search has ended.")).to_be_visible()
    expect(page.locator("#start")).to_be_visible()


def test_a_camera_that_is_not_allowed_is_told(page: Page) -> None:
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_text("The browser does not let this page use the camera.")).to_be_visible()
    expect(page.locator("#start")).to_be_visible()


def test_it_waits_for_a_service_that_is_away(page: Page, console: Console, camera: None) -> None:
    console.allow("net::ERR_FAILED")
    console.allow("ERR_ABORTED")
    paths = re.compile(r"/(search|status|readyz)/?(\?|$)")
    page.route(paths, lambda route: route.abort())
    expect(page.get_by_text("The service is not answering.")).to_be_visible()
    page.unroute(paths)
    expect(cards(page)).to_have_count(12)
    expect(page.get_by_text("The service is not answering.")).to_be_hidden()
    expect_tracks(page, ["live"])


def test_it_slows_down_where_the_service_asks_for_it(page: Page, console: Console, camera: None) -> None:
    console.allow("429")
    refused: list[str] = []

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=429, headers={"Retry-After": "1"}, json={"status": 429, "code": "too_many_requests"})

    page.route(SEARCH_PATH, refuse)
    page.wait_for_timeout(2500)
    assert 1 <= len(refused) <= 3
    page.unroute(SEARCH_PATH)
    with page.expect_response(SEARCH_PATH) as answered:
        pass
    assert answered.value.status == 200
    expect(page.get_by_role("alert")).to_be_empty()


def test_another_language_does_not_interrupt_it(page: Page, searches: list[Request], camera: None) -> None:
    page.get_by_role("button", name="中文").click()
    expect(pace(page)).to_have_text(re.compile("^每秒搜索 "))
    expect(page.get_by_role("button", name="定格")).to_be_visible()
    sent = len(searches)
    page.wait_for_timeout(800)
    assert len(searches) > sent


@pytest.mark.parametrize("way", ["button", "as a picture"])
def test_a_video_file_is_searched_as_it_plays(page: Page, searches: list[Request], tmp_path: Path, way: str) -> None:
    video = tmp_path / "bars.webm"
    video.write_bytes(bytes(page.evaluate(RECORD)))
    if way == "button":
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Video").click()
        chooser.value.set_files(video)
    else:
        page.set_input_files("#chooser", video)
    expect(pace(page)).to_have_text(PACE)
    expect(page.locator("#live-query .overline")).to_have_text("bars.webm")
    expect(cards(page)).to_have_count(12)
    page.wait_for_timeout(1500)
    assert len(searches) > 4, "it begins anew at its end"


def test_a_video_that_cannot_be_played_is_told(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.webm"
    broken.write_bytes(b"no video")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Video").click()
    chooser.value.set_files(broken)
    expect(page.get_by_text("This browser cannot play “broken.webm”.")).to_be_visible()


def test_a_part_of_the_screen_is_searched(sharing: Page, console: Console) -> None:
    sharing.get_by_role("button", name="Screen").click()
    expect(pace(sharing)).to_have_text(PACE)
    expect(sharing.locator("#live-query .crop-frame")).to_be_visible()
    expect(cards(sharing)).to_have_count(12)
    sharing.evaluate("window.tracks[0].dispatchEvent(new Event('ended'))")
    expect(sharing.get_by_text("The screen is no longer shared, so the live search has ended.")).to_be_visible()
    expect_tracks(sharing, ["ended"])
    assert console.unexpected == []


def test_a_screen_that_is_not_shared_is_told(page: Page) -> None:
    # Chromium without a window has no dialog to refuse in; the page hears the same from it.
    page.evaluate(
        """() => {
          navigator.mediaDevices.getDisplayMedia = () => Promise.reject(new DOMException("", "NotAllowedError"));
        }"""
    )
    page.get_by_role("button", name="Screen").click()
    expect(page.get_by_text("Nothing was shared: the browser or you did not allow it.")).to_be_visible()


def test_over_plain_http_it_says_why_camera_and_screen_are_off(page: Page, live_server: str) -> None:
    page.goto(live_server.replace("127.0.0.1", "elsewhere.test"))
    expect(page.get_by_text("Camera and screen are off: browsers lend them only to pages")).to_be_visible()
    expect(page.get_by_role("button", name="Camera")).to_be_disabled()
    expect(page.get_by_role("button", name="Screen")).to_be_disabled()
    expect(page.get_by_role("button", name="Video")).to_be_enabled()
