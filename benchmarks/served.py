"""A service over shared photos and a browser for it, for the benchmarks of the page."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from benchmarks.report import unpacked
from tests.live import COMMAND, environment, serving


@contextlib.contextmanager
def photo_service(model: str, count: int) -> Iterator[str]:
    """Address of a service of its own, with so many of the shared photos."""
    with tempfile.TemporaryDirectory(prefix="bench-served-") as scratch:
        env = environment(Path(model), Path(scratch) / "library")
        pictures = _pictures(Path(scratch) / "pictures", count)
        subprocess.run([*COMMAND, "ingest", str(pictures)], env=env, check=True)
        with serving(env) as (address, _process):
            yield address


@contextlib.contextmanager
def chromium(flags: Sequence[str] = ()) -> Iterator[Browser]:
    """The machine's Chromium without a window. Ends the program where there is none."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        sys.exit("Chromium is missing: `apt-get install chromium` (Debian, Ubuntu) provides it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=["--no-sandbox", *flags])
        yield browser
        browser.close()


def _pictures(folder: Path, count: int) -> Path:
    """A folder with so many of the shared photos."""
    folder.mkdir()
    files = (file for name in ("flickr", "caltech") for file in sorted(unpacked(name).rglob("*.jpg")))
    for place, file in enumerate(islice(files, count)):
        shutil.copy(file, folder / f"{place:05}.jpg")
    return folder
