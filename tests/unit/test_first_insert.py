"""Two processes that make the same collection at the same moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Barrier, Thread

import pytest

from image_search.wiring import Services
from tests.support import interrupt


def test_two_first_inserts_make_one_collection(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    # Services of their own over the same stores, as another process has.
    other = replace(services)
    opened = []
    second = Thread(target=lambda: opened.append(other.collections.open_or_create("default")))
    interrupt(monkeypatch, services.store, "create_collection", second)
    first = services.collections.open_or_create("default")
    second.join()
    assert [each.physical for each in opened] == [first.physical]
    assert services.store.list_collections() == [first.physical]


@pytest.mark.parametrize("step", ["list_collections", "create_collection"])
def test_two_machines_make_one_collection(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Each has a data folder, and so a gate, of its own: both find nothing, or one is there before it has its name."""
    library = replace(services.settings.library, data_dir=str(tmp_path / "other"))
    (tmp_path / "other").mkdir()
    other = replace(services, settings=replace(services.settings, library=library))
    together = Barrier(2)
    real = getattr(services.store, step)
    waited: list[object] = []

    def wait_once(*arguments: object) -> object:
        done = real(*arguments)
        if len(waited) < 2:
            waited.append(arguments)
            together.wait()
        return done

    monkeypatch.setattr(services.store, step, wait_once)
    opened = []
    threads = [
        Thread(target=lambda s=s: opened.append(s.collections.open_or_create("default"))) for s in (services, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(opened) == 2
    assert {each.physical for each in opened} == set(services.store.list_collections())
