"""The page's live search in a real browser with a drawn camera: searches a second, and from a frame to its results.

python -m benchmarks live [--pictures 2000] [--seconds 20] [--model compact]

Browser and service share this machine. What the page itself shows is read, and beside it what its requests took.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from playwright.sync_api import Page

from benchmarks.report import publish
from benchmarks.served import chromium, photo_service

GOAL_PER_S = 10
WARM_UP_MS = 5_000
FLAGS = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]

# Each answer sets the line anew, also to the same words: every change is an answer.
WATCH = """
() => {
  performance.clearResourceTimings();
  performance.setResourceTimingBufferSize(10000);
  window.answers = [];
  const line = document.querySelector(".live-pace");
  const note = () => window.answers.push([performance.now(), line.textContent]);
  new MutationObserver(note).observe(line, { childList: true });
}
"""
READ = """
() => ({
  answers: window.answers,
  requests: performance.getEntriesByType("resource")
    .filter(({ name }) => name.includes("/search?")).map(({ duration }) => duration),
})
"""


def main(arguments: Sequence[str]) -> None:
    """Serve a library, point the page's camera search at it, and count."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    count, seconds = int(options.get("--pictures", 2000)), float(options.get("--seconds", 20))
    model = options.get("--model", "compact")
    with photo_service(model, count) as address, chromium(FLAGS) as browser:
        page = browser.new_page(locale="en-US", viewport={"width": 1280, "height": 800})
        page.goto(address)
        images = page.request.get(f"{address}/status").json()["images"]
        row = {"model": model, "pictures": images} | _measure(page, seconds)
    publish("live", f"The page's live search, one camera, {seconds:.0f} s, browser and service on this machine", [row])


def _measure(page: Page, seconds: float) -> dict[str, Any]:
    page.locator('#status-button[data-phase="ready"]').wait_for()
    page.locator('[data-by="camera"]').click()
    page.locator("#grid > .card:not(.skeleton)").first.wait_for(timeout=30_000)
    page.wait_for_timeout(WARM_UP_MS)
    page.evaluate(WATCH)
    page.wait_for_timeout(seconds * 1000)
    read = page.evaluate(READ)
    times = [time for time, _ in read["answers"]]
    shown = [_milliseconds(words) for _, words in read["answers"]]
    return {
        "searches/s": 1000 * (len(times) - 1) / (times[-1] - times[0]),
        "goal": GOAL_PER_S,
        "frame to results ms, p50": float(np.median(shown)),
        "p95": float(np.percentile(shown, 95)),
        "request ms, p50": float(np.median(read["requests"])),
    }


def _milliseconds(words: str) -> float:
    """The last number of `9.8 searches a second · 95 ms each`, in milliseconds."""
    number, unit = words.split(" · ")[1].split()[:2]
    return float(number.replace(",", "")) * {"ms": 1, "s": 1000}[unit]
