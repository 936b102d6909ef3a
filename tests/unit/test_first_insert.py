"""Two processes that make the same collection at the same moment."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread

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
