"""From the arrival of an answer to its 50 results on the screen, in a real browser.

python -m benchmarks page [--pictures 2000] [--repeats 15] [--model compact]

On the screen: the cards are in the page, every thumbnail that is in sight is loaded and decoded, and a frame with them
has been drawn. It is counted from the last byte of the answer, as the browser notes it. `all 50`: on a screen so large
that all are in sight; `in sight`: on a laptop's, where those below it may come later. `cold`: the browser has none of
the thumbnails; `warm`: it has them all. The peer is a bare page that is given 50 `<img>` of the same size at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks.report import publish
from benchmarks.served import chromium, photo_service

GOAL_MS = 100
SHOWN = 50
SCREENS = {"all 50": {"width": 1920, "height": 1600}, "in sight": {"width": 1440, "height": 900}}
THUMB_PX = {"all 50": 132, "in sight": 192}

# Told in the page, by its own clock. A frame that was asked for after the last decoding has been drawn when a task that
# was queued in the one after it runs.
WATCH = """
(count) => {
  const grid = document.querySelector("#grid");
  const before = new Set(grid.children);
  performance.clearResourceTimings();
  performance.setResourceTimingBufferSize(10000);
  const inSight = (image) => {
    const { top, bottom } = image.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };
  window.drawn = new Promise((resolve) => {
    const watch = new MutationObserver(async () => {
      const cards = [...grid.children].filter((card) => !before.has(card) && !card.classList.contains("skeleton"));
      if (cards.length < count) return;
      watch.disconnect();
      const inserted = performance.now();
      const images = cards.map((card) => card.querySelector("img")).filter((image) => image && inSight(image));
      const frame = () => new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
      await frame();
      const worded = performance.now();
      await Promise.all(images.map((image) => image.decode()));
      const decoded = performance.now();
      await frame();
      const drawn = performance.now();
      const fetched = performance.getEntriesByType("resource");
      const answer = fetched.find(({ name }) => new URL(name).pathname === "/search");
      const thumbnails = fetched.filter(({ name }) => name.includes("/thumbnail"));
      const took = (at) => at - answer.responseEnd;
      resolve({
        inserted: took(inserted), worded: took(worded), decoded: took(decoded), drawn: took(drawn),
        images: images.length,
        fetched: thumbnails.filter(({ transferSize }) => transferSize > 0).length,
        bytes: thumbnails.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
        addresses: cards.map((card) => card.querySelector("img").src),
      });
    });
    watch.observe(grid, { childList: true });
  });
}
"""
PEER = """
async ([addresses, width]) => {
  const began = performance.now();
  const body = document.createElement("body");
  for (const address of addresses) {
    const image = document.createElement("img");
    image.src = address;
    image.width = image.height = width;
    body.append(image);
  }
  document.body.replaceWith(body);
  await Promise.all([...body.children].map((image) => image.decode()));
  await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
  return performance.now() - began;
}
"""


def main(arguments: Sequence[str]) -> None:
    """Serve a library, search in it with a browser, and time what is shown."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    count, repeats = int(options.get("--pictures", 2000)), int(options.get("--repeats", 15))
    model = options.get("--model", "compact")
    rows: list[dict[str, Any]] = []
    with photo_service(model, count) as address, chromium() as browser:
        for screen in SCREENS:
            times: dict[str, list[dict[str, float]]] = {}
            # The first one warms the service and is not counted.
            for repeat in range(repeats + 1):
                for name, measured in _once(browser, address, screen).items():
                    times.setdefault(name, []).extend([measured] if repeat else [])
            rows += [_row(f"{screen}, {name}", measured) for name, measured in times.items()]
    publish(
        "page", f"From an answer's arrival to {SHOWN} results on screen, {repeats} searches, {count} pictures", rows
    )


def _once(browser: Browser, address: str, screen: str) -> dict[str, dict[str, float]]:
    """What one search took with cold and with warm thumbnails, and what the peer took."""
    context = browser.new_context(locale="en-US", viewport=SCREENS[screen])  # type: ignore[arg-type]
    context.add_init_script(f"localStorage.setItem('image-search.thumb', '{THUMB_PX[screen]}')")
    page = context.new_page()
    page.goto(f"{address}/?n={SHOWN}")
    page.locator('#status-button[data-phase="ready"]').wait_for()
    page.locator('#start [data-by="random"]').click()
    _settle(page)
    _forget(context, page)
    cold = _searched(page, page.locator("#grid > .card").nth(SHOWN // 2))
    _settle(page)
    # The first of them is what was searched with: the same question, and the same results.
    warm = _searched(page, page.locator("#grid > .card").first)
    _settle(page)
    addresses = cold.pop("addresses")
    warm.pop("addresses")
    result = {"cold": cold, "warm": warm}
    if screen == "all 50":
        bare = context.new_page()
        bare.goto(f"{address}/livez")
        for name in ("cold", "warm"):
            if name == "cold":
                _forget(context, bare)
            result[f"peer, {name}"] = {"drawn": bare.evaluate(PEER, [addresses, THUMB_PX[screen]])}
    context.close()
    return result


def _searched(page: Page, card: Any) -> dict[str, Any]:
    page.evaluate("window.scrollTo(0, 0)")
    page.evaluate(WATCH, SHOWN)
    card.locator(".icon-button").first.evaluate("(button) => button.click()")
    measured: dict[str, Any] = page.evaluate("window.drawn")
    return measured


def _settle(page: Page) -> None:
    page.locator('#grid[aria-busy="false"] > .card:not(.skeleton)').nth(SHOWN - 1).wait_for(state="attached")
    page.wait_for_load_state("networkidle")


def _forget(context: BrowserContext, page: Page) -> None:
    """Empty the browser's cache."""
    session = context.new_cdp_session(page)
    session.send("Network.clearBrowserCache")
    session.detach()


def _row(name: str, measured: list[dict[str, float]]) -> dict[str, Any]:
    def middle(step: str) -> float | str:
        return float(np.median([one[step] for one in measured])) if step in measured[0] else "-"

    drawn = [one["drawn"] for one in measured]
    return {
        "what": name,
        "on screen ms, p50": float(np.median(drawn)),
        "p90": float(np.percentile(drawn, 90)),
        "goal": "-" if "peer" in name else GOAL_MS,
        "cards in the page": middle("inserted"),
        "their words drawn": middle("worded"),
        "pictures in sight": middle("images"),
        "fetched": middle("fetched"),
        "KB": middle("bytes") / 1000 if "bytes" in measured[0] else "-",  # type: ignore[operator]
    }
