"""A library taken to a target in which people work meanwhile."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import image_search.services.migrating as migrating
from image_search.errors import Conflict, ModelMismatch
from image_search.services.library.changes import Changes
from image_search.services.locking import locked
from image_search.services.progress import Progress, ProgressListener
from image_search.services.scanning import Source
from image_search.storage.local_store import LocalImageStore
from image_search.vectors.memory_store import MemoryVectorStore
from image_search.wiring import Services, migration
from tests.support import draw, jpeg

NOW = fcntl.LOCK_EX | fcntl.LOCK_NB
ROWS = "default: rows"


@pytest.fixture
def target(services: Services, gallery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """An empty library beside the one with the gallery's 15 pictures, which come four at a time."""
    monkeypatch.setattr(migrating, "BATCH", 4)
    services.ingest.run(Source(gallery), "default")
    settings = replace(services.settings, library=replace(services.settings.library, data_dir=str(tmp_path / "target")))
    settings.data_dir.mkdir()
    images = LocalImageStore(settings.data_dir / "images")
    made = replace(services, settings=settings, store=MemoryVectorStore(), images=images)
    made.indexing._grace_s = 0
    return made


def once(action: Callable[[], object], stage: str = ROWS) -> ProgressListener:
    """What does it after the first batch of a stage."""
    done: list[object] = []

    def listen(progress: Progress) -> None:
        if progress.stage == stage and not done:
            done.append(action())

    return listen


def ids(services: Services) -> set[str]:
    return {record.image_id for records, _ in services.store.iterate("default") for record in records}


def test_no_rebuild_takes_the_collection_away_meanwhile(services: Services, target: Services) -> None:
    target.library.insert("default", jpeg(draw((1, 2, 3), mark=9)))

    def rebuild() -> None:
        with pytest.raises(Conflict, match="try again when that is done"):
            target.indexing.rebuild("default")

    report = migration(services, target).run(on_progress=once(rebuild))
    assert report.complete
    assert target.indexing.rebuild("default").images == 16
    with target.collections.gate.rebuilding(), pytest.raises(Conflict, match="try again when that is done"):
        migration(services, target).run()


def test_what_is_inserted_before_the_collection_is_there_stays(services: Services, target: Services) -> None:
    early = jpeg(draw((1, 2, 3), mark=9))
    with pytest.raises(Conflict, match="start the same command again"):
        migration(services, target).run(on_progress=once(lambda: target.library.insert("default", early)))
    assert len(ids(target)) == 1
    assert migration(services, target).run().complete
    assert ids(target) > ids(services)
    assert len(ids(target)) == 16
    assert target.collections.leftovers("default") == []


def test_what_comes_into_being_for_another_projection_is_named(services: Services, target: Services) -> None:
    services.indexing.rebuild("default", projection="random:8")
    early = jpeg(draw((1, 2, 3), mark=9))
    with pytest.raises(ModelMismatch, match=r"of the target holds vectors of .* projection none"):
        migration(services, target).run(on_progress=once(lambda: target.library.insert("default", early)))
    assert len(ids(target)) == 1
    assert target.collections.leftovers("default") == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_rows_are_compared_and_written_while_nobody_else_changes_them(
    services: Services, target: Services, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    migration(services, target).run()
    image_id = min(ids(services))
    services.library.update("default", image_id, Changes(title="here"))
    services.library.delete("default", [max(ids(services))])
    held: list[bool] = []

    for name in ("upsert", "delete"):
        write = getattr(target.store, name)

        def checked(physical: str, what: list[object], *more: object, write: Callable[..., object] = write) -> object:
            for one in what:
                number = int(str(getattr(one, "image_id", one))[:2], 16) % target.locks.FILES
                try:
                    with locked(target.settings.data_dir / "locks" / f"{number:02d}", NOW):
                        held.append(False)
                except BlockingIOError:
                    held.append(True)
            return write(physical, what, *more)

        monkeypatch.setattr(target.store, name, checked)
    migration(services, target).run(overwrite=overwrite)
    assert all(held)
    assert bool(held) is overwrite
