"""Pictures of the page's main states for the README.

`make screenshots`, or python -m tests.browser.screenshots [FOLDER]. Of a real service over the drawn sample library, in
the machine's Chromium. Writes FOLDER/<state>.webp (default: docs/screenshots). Chinese wants a font that has it
(Debian, Ubuntu: `apt-get install fonts-noto-cjk`).

It lies beside the browser's tests because it drives the page as they do, with what they install; it is none of them, as
how a page looks is judged by eye.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from image_search.samples import draw_samples
from tests.live import environment, serving

TARGET = Path(__file__).parents[2] / "docs" / "screenshots"
COUNT = 720
KEY = "only-for-screenshots"
QUALITY = 78
LONGEST_MS = 60_000
CAMERA_PX = (640, 480)

# Those out of sight are not fetched before one scrolls there: they would be waited for for ever.
DECODED = """
() => {
  const there = [...document.images].filter(({ complete, naturalWidth }) => complete && naturalWidth);
  return Promise.all(there.map((image) => image.decode()));
}
"""

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


@dataclass(frozen=True)
class Shot:
    """One state, and the screen that it is shown on."""

    name: str
    reach: Callable[[Page, Path], None]
    viewport: dict[str, int]
    locale: str = "en-US"
    scheme: str = "light"
    scale: float = 1


def start(page: Page, samples: Path) -> None:
    """As it opens."""
    expect(page.locator("#choose")).to_be_visible()


def results(page: Page, samples: Path) -> None:
    """Searched with a picture."""
    page.set_input_files("#chooser", samples / "cat" / "cat_003.jpg")
    _shown(page)


def both(page: Page, samples: Path) -> None:
    """With a picture and a word."""
    results(page, samples)
    page.locator("#words").fill("orange")
    with page.expect_response(lambda answer: "/search" in answer.url):
        page.keyboard.press("Enter")
    _shown(page)


def viewer(page: Page, samples: Path) -> None:
    """A result in full."""
    results(page, samples)
    page.locator("#grid > .card").nth(2).locator(".card-pick").click()
    page.locator("#viewer").wait_for()
    page.wait_for_load_state("networkidle")


def live(page: Page, samples: Path) -> None:
    """What a camera sees."""
    page.locator('[data-by="camera"]').click()
    expect(page.locator(".live-pace")).to_contain_text("searches a second")
    _shown(page)
    page.get_by_role("button", name="Freeze").hover()


def library(page: Page, samples: Path) -> None:
    """The library, with a picture that was just moved to the trash."""
    page.locator('[data-place="library"]').click()
    page.locator("#library .grid > .card").nth(20).wait_for()
    page.locator('#library [data-act="bin"]').nth(1).click()
    page.locator(".toast .notice").wait_for()
    page.mouse.move(5, 5)
    page.wait_for_load_state("networkidle")


def rows(page: Page, samples: Path) -> None:
    """Several pictures at once."""
    given = [samples / kind / f"{kind}_005.jpg" for kind in ("sailing_boat", "house", "flower")]
    page.set_input_files("#chooser", given)
    page.locator(".row .card").last.wait_for()
    page.wait_for_load_state("networkidle")


SHOTS = (
    Shot("start", start, WIDE),
    Shot("results", results, WIDE),
    Shot("both", both, WIDE, scheme="dark"),
    Shot("viewer", viewer, WIDE),
    Shot("rows", rows, WIDE),
    Shot("live", live, WIDE),
    Shot("library", library, WIDE, scheme="dark"),
    Shot("chinese", both, WIDE, locale="zh-CN"),
    Shot("phone", results, PHONE, scale=1.5),
    Shot("phone-dark", viewer, PHONE, locale="zh-CN", scheme="dark", scale=1.5),
)


def main() -> None:
    """Draw the samples, serve them, and take every picture."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is missing: `apt-get install chromium` (Debian, Ubuntu) provides it")
    if not _has_chinese():
        print("No font has Chinese here: `apt-get install fonts-noto-cjk` provides one", file=sys.stderr)
    expect.set_options(timeout=LONGEST_MS)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as scratch:
        folder = Path(scratch)
        samples = folder / "samples"
        draw_samples(samples, count=COUNT)
        camera = _camera(folder / "camera.mjpeg", samples / "hot_air_balloon" / "hot_air_balloon_002.jpg")
        env = environment(Path("compact"), folder / "library", IMAGE_SEARCH_SECURITY__ADMIN_KEY=KEY)
        with serving(env, "--images", str(samples)) as (address, _process), sync_playwright() as playwright:
            flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
            flags.append(f"--use-file-for-fake-video-capture={camera}")
            browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=flags)
            target.mkdir(parents=True, exist_ok=True)
            for shot in SHOTS:
                path = _take(browser, address, samples, shot, target)
                print(f"{path}: {path.stat().st_size / 1000:.0f} KB")
            browser.close()


def _take(browser: Browser, address: str, samples: Path, shot: Shot, target: Path) -> Path:
    options: dict[str, Any] = {"viewport": shot.viewport, "device_scale_factor": shot.scale}
    if shot.viewport is PHONE:
        options |= {"has_touch": True, "is_mobile": True}
    context = browser.new_context(
        locale=shot.locale,
        color_scheme=shot.scheme,
        reduced_motion="reduce",
        **options,  # type: ignore[arg-type]
    )
    context.set_default_timeout(LONGEST_MS)
    context.add_init_script(f"sessionStorage.setItem('image-search.admin-key', '{KEY}')")
    page = context.new_page()
    page.goto(address)
    page.locator('#status-button[data-phase="ready"]').wait_for()
    shot.reach(page, samples)
    page.evaluate(DECODED)
    png = page.screenshot()
    context.close()
    path = target / f"{shot.name}.webp"
    Image.open(io.BytesIO(png)).convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
    return path


def _shown(page: Page) -> None:
    """Return when results and their pictures are there."""
    page.locator("#grid > .card:not(.skeleton)").first.wait_for()
    page.locator('#grid[aria-busy="false"]').wait_for()
    page.evaluate("window.scrollTo(0, 0)")
    page.mouse.move(5, 5)
    page.wait_for_timeout(1000)


def _camera(path: Path, picture: Path) -> Path:
    """A film for Chromium's camera: the picture, which moves a little."""
    width, height = CAMERA_PX
    large = Image.open(picture).convert("RGB").resize((width + 40, height + 40))
    with path.open("wb") as film:
        for step in [*range(0, 40, 2), *range(40, 0, -2)]:
            large.crop((step, step, step + width, step + height)).save(film, "JPEG", quality=90)
    return path


def _has_chinese() -> bool:
    """Whether the machine knows a font for Chinese, as far as fontconfig tells."""
    if shutil.which("fc-list") is None:
        return True
    found = subprocess.run(["fc-list", ":lang=zh"], capture_output=True, text=True, check=False)
    return bool(found.stdout.strip())


if __name__ == "__main__":
    main()
