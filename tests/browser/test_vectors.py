"""Vectors to and from files, the choice of a collection and of a server, in a real browser against real services."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from image_search.samples import draw_samples
from tests.live import ADMIN_KEY, environment, own_service, serving, write_tiny_model

if TYPE_CHECKING:
    from conftest import Console

OTHER_KEY = "another-for-these-tests"
COUNT = 12


@pytest.fixture(scope="module")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service of these tests' own; ADMIN_KEY is its admin key."""
    with own_service(tmp_path_factory.mktemp("library"), COUNT) as address:
        yield address


@pytest.fixture
def other_server(live_server: str, tmp_path: Path) -> Iterator[str]:
    """Another service, which lets the page of the first one call it."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    draw_samples(pictures, count=3)
    more = {"IMAGE_SEARCH_SECURITY__ADMIN_KEY": OTHER_KEY, "IMAGE_SEARCH_HTTP_SERVER__CORS_ORIGINS": live_server}
    env = environment(write_tiny_model(tmp_path), tmp_path / "data", **more)
    with serving(env, "--images", str(pictures)) as (address, _process):
        yield address


def cards(page: Page) -> Locator:
    return page.locator("#library .grid > .card")


def open_vectors(page: Page) -> Locator:
    page.get_by_role("link", name="Library").click()
    expect(cards(page).first).to_be_visible()
    page.get_by_role("button", name="Vectors", exact=True).click()
    panel = page.locator("#vectors")
    expect(panel).to_be_visible()
    return panel


def exported(page: Page, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator("#vectors").get_by_role("button", name="Download as HDF5").click()
    assert download.value.suggested_filename == "default.h5"
    path = folder / "library.h5"
    download.value.save_as(path)
    return path


def test_vectors_are_taken_away_and_brought_into_another_collection(keyed: Page, tmp_path: Path) -> None:
    page = keyed
    panel = open_vectors(page)
    expect(panel).to_contain_text("Nothing has been imported yet.")
    path = exported(page, tmp_path)
    with h5py.File(path) as file:
        assert file["vectors"].shape == (COUNT, 48)

    expect(panel.get_by_label("Into collection")).to_have_value("default")
    panel.get_by_label("Exported file").set_input_files(path)
    panel.get_by_label("Into collection").fill("copy")
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(panel.locator(".job")).to_contain_text(f"copy: {COUNT} added", timeout=60_000)
    expect(page.locator("#live")).to_contain_text(f"Done: copy: {COUNT} added")
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(panel.locator(".job")).to_contain_text(f"{COUNT} were there already", timeout=60_000)

    chooser = page.get_by_role("combobox", name="Collection", exact=True)
    expect(chooser.locator("option")).to_have_text([f"copy ({COUNT})", f"default ({COUNT})"])
    chooser.select_option("copy")
    expect(page).to_have_url(re.compile("library=all&collection=copy"))
    expect(cards(page)).to_have_count(COUNT)
    expect(panel.get_by_label("Into collection")).to_have_value("copy")


def test_a_file_that_is_none_is_refused_in_words_and_the_older_outcome_goes(
    keyed: Page, console: Console, tmp_path: Path
) -> None:
    console.allow("422")
    panel = open_vectors(keyed)
    panel.get_by_label("Exported file").set_input_files(exported(keyed, tmp_path))
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(panel.locator(".job")).to_contain_text(f"{COUNT} were there already", timeout=60_000)

    wrong = tmp_path / "wrong.h5"
    wrong.write_bytes(b"no dataset at all")
    panel.get_by_label("Exported file").set_input_files(wrong)
    panel.get_by_label("Into collection").fill("nothing")
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(panel.get_by_role("alert")).to_have_text("wrong.h5: is damaged or no HDF5 file")
    expect(panel.locator(".job")).to_be_hidden()
    panel.get_by_label("Exported file").set_input_files(tmp_path / "library.h5")
    panel.get_by_label("Into collection").fill("default")
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(panel.locator('[role="alert"]')).to_be_empty()
    expect(panel.locator(".job")).to_contain_text(f"{COUNT} were there already", timeout=60_000)

    panel.get_by_label("Into collection").fill("a__b")
    assert panel.get_by_label("Into collection").evaluate("(input) => !input.checkValidity()")


def test_the_file_is_chosen_as_elsewhere_on_the_page_also_by_keyboard(keyed: Page, tmp_path: Path) -> None:
    panel = open_vectors(keyed)
    button = panel.locator(".file-field .button")
    expect(button).to_have_text("Choose a file")
    download = panel.get_by_role("button", name="Download as HDF5")
    drawn = "(one) => { const s = getComputedStyle(one); return [s.fontSize, s.color, s.backgroundColor]; }"
    assert button.evaluate(drawn) == download.evaluate(drawn)
    download.focus()
    keyed.keyboard.press("Tab")
    expect(panel.get_by_label("Exported file")).to_be_focused()
    assert button.evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"
    chosen = tmp_path / "a rather long name of a file that was exported.h5"
    chosen.write_bytes(b"x")
    with keyed.expect_file_chooser() as chooser:
        keyed.keyboard.press("Enter")
    chooser.value.set_files(chosen)
    expect(button).to_have_text(chosen.name)
    with keyed.expect_file_chooser():
        button.click(force=True)
    assert panel.evaluate("(one) => one.scrollWidth <= one.clientWidth")
    keyed.get_by_role("button", name="中文").click()
    expect(button).to_have_text(chosen.name)


def test_sending_shows_its_progress_and_can_be_cancelled(keyed: Page, console: Console, tmp_path: Path) -> None:
    console.allow("net::ERR")
    panel = open_vectors(keyed)
    large = tmp_path / "large.h5"
    large.write_bytes(bytes(3_000_000))
    held: list[Route] = []
    keyed.route("**/import*", lambda route: held.append(route))
    panel.get_by_label("Exported file").set_input_files(large)
    panel.get_by_role("button", name="Import", exact=True).click()
    expect(panel).to_contain_text("large.h5: ")
    expect(panel.get_by_role("progressbar", name="Sending the file")).to_be_visible()
    panel.get_by_role("button", name="Cancel", exact=True).click()
    expect(panel.get_by_role("progressbar", name="Sending the file")).to_be_hidden()
    expect(panel.locator('[role="alert"]')).to_be_empty()
    assert len(held) == 1


def test_the_search_goes_into_the_chosen_collection(keyed: Page, live_server: str) -> None:
    page = keyed
    first = page.request.get(f"{live_server}/images?limit=1").json()["images"][0]
    data = page.request.get(first["url"]).body()
    page.request.post(
        f"{live_server}/insert?collection=single",
        headers={"X-API-Key": ADMIN_KEY},
        multipart={"image": {"name": "one.jpg", "mimeType": "image/jpeg", "buffer": data}},
    )
    page.reload()
    page.set_input_files("#chooser", {"name": "one.jpg", "mimeType": "image/jpeg", "buffer": data})
    expect(page.locator("#grid > .card")).to_have_count(COUNT)
    page.get_by_role("combobox", name="Collection", exact=True).select_option("single")
    expect(page.locator("#grid > .card")).to_have_count(1)
    expect(page).to_have_url(re.compile("collection=single"))
    page.go_back()
    expect(page.locator("#grid > .card")).to_have_count(COUNT)
    expect(page.get_by_role("combobox", name="Collection", exact=True)).to_have_value("default")


def test_one_server_and_one_collection_are_no_choice(page: Page, live_server: str) -> None:
    page.route(
        re.compile(r"/status(\?|$)"),
        lambda route: route.fulfill(json={**route.fetch().json(), "collections": ["default"]}),
    )
    page.reload()
    page.locator('#status-button[data-phase="ready"]').wait_for()
    expect(page.get_by_role("combobox", name="Server", exact=True)).to_have_count(0)
    expect(page.get_by_role("combobox", name="Collection", exact=True)).to_have_count(0)


def test_another_server_is_chosen_for_the_session_with_a_key_of_its_own(
    keyed: Page, live_server: str, other_server: str, console: Console
) -> None:
    page = keyed
    console.allow("401")
    listed = f'[{{name: "Here", base: ""}}, {{name: "Archive", base: "{other_server}/"}}]'
    body = f'export const API_BASE = "";\nexport const SERVERS = {listed};\n'
    page.route("**/config.js", lambda route: route.fulfill(content_type="text/javascript", body=body))
    page.goto(f"{live_server}/?library=all")
    chooser = page.get_by_role("combobox", name="Server", exact=True)
    expect(chooser).to_have_value("")
    expect(cards(page)).to_have_count(COUNT)
    chooser.select_option("Archive")
    expect(cards(page)).to_have_count(3)
    expect(page.locator("#status-button")).to_have_text("3 pictures")
    page.wait_for_function("document.querySelector('#library .card img').naturalWidth > 0")

    page.get_by_role("button", name="Trash", exact=True).click()
    dialog = page.get_by_role("dialog", name="This needs the admin key")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Admin key").fill(OTHER_KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#library").get_by_text("The trash is empty.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("combobox", name="Server", exact=True)).to_have_value(other_server)
    kept = page.evaluate("({...sessionStorage})")
    assert kept["image-search.admin-key"] == ADMIN_KEY
    assert kept[f"image-search.admin-key@{other_server}"] == OTHER_KEY

    page.get_by_role("combobox", name="Server", exact=True).select_option("Here")
    expect(page.locator("#status-button")).to_have_text(f"{COUNT} pictures")
