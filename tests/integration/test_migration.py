"""A library from the embedded stores to servers and back: everything comes along, whatever interrupts it."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from deploy.servers import ACCESS_KEY, SECRET_KEY, MilvusServer, RcloneServer
from image_search.config import load_settings
from image_search.metadata.words import Words
from image_search.services.library.changes import Changes
from image_search.services.searching.query import Query
from image_search.storage.keys import original_key, thumbnail_key, vector_key
from image_search.types import CollectionSpec, SearchParams
from image_search.wiring import Services, build_services, migration
from tests.live import COMMAND, environment, run_command, write_tiny_model
from tests.support import draw, jpeg, write_gallery
from tests.vectors import collection_name


class Place:
    """Where a library may lie, and how a command is told."""

    def __init__(self, model: Path, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.env = environment(model, data_dir, **settings)
        self._settings = {name: value for name, value in self.env.items() if name.startswith("IMAGE_SEARCH_")}

    def open(self) -> Services:
        return build_services(load_settings(environ=self._settings))


@pytest.fixture
def name() -> str:
    """A collection of this test's own: the Milvus server is everybody's."""
    return f"c{collection_name()}".replace("_", "x")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path)


@pytest.fixture
def laptop(model: Path, tmp_path: Path, name: str) -> Place:
    """A library of fifteen pictures: a projection was made, one was inserted alone, one deleted, one has words."""
    place = Place(model, tmp_path / "laptop", IMAGE_SEARCH_LIBRARY__COLLECTION=name)
    write_gallery(tmp_path / "gallery", per_colour=5)
    done = run_command(place.env, "ingest", str(tmp_path / "gallery"))
    assert done.returncode == 0, done.stderr
    services = place.open()
    services.indexing.rebuild(name, projection="random:8")
    alone = services.library.insert(name, jpeg(draw((200, 200, 20), mark=40)), words=Words(title="alone", tags=("t",)))
    doomed = services.library.insert(name, jpeg(draw((20, 200, 200), mark=41)))
    services.library.delete(name, [doomed.record.image_id])
    assert alone.status == "created"
    services.close()
    return place


@pytest.fixture
def stack(model: Path, tmp_path: Path, name: str, milvus_server: MilvusServer, rclone_server: RcloneServer) -> Place:
    """The same application with servers, and a data folder in which nothing is."""
    return Place(
        model,
        tmp_path / "stack",
        IMAGE_SEARCH_LIBRARY__COLLECTION=name,
        IMAGE_SEARCH_MILVUS__URI=milvus_server.uri,
        IMAGE_SEARCH_STORAGE__BACKEND="minio",
        IMAGE_SEARCH_STORAGE__BUCKET=f"b{name.lower()}"[:60],
        IMAGE_SEARCH_STORAGE__ENDPOINT=rclone_server.endpoint,
        IMAGE_SEARCH_STORAGE__ACCESS_KEY=ACCESS_KEY,
        IMAGE_SEARCH_STORAGE__SECRET_KEY=SECRET_KEY,
        IMAGE_SEARCH_STORAGE__SECURE="false",
    )


def reaching(source: Place, target: Place) -> dict[str, str]:
    """The source's environment, with what it needs to know of the target's S3 server."""
    known = ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY", "SECURE")
    return source.env | {f"IMAGE_SEARCH_STORAGE__{key}": target.env[f"IMAGE_SEARCH_STORAGE__{key}"] for key in known}


def arguments(stack: Place) -> list[str]:
    env = stack.env
    bucket = env["IMAGE_SEARCH_STORAGE__BUCKET"]
    return ["migrate", "--to-milvus", env["IMAGE_SEARCH_MILVUS__URI"], "--to-store", f"s3://{bucket}", "--json"]


def snapshot(services: Services, name: str) -> dict[str, Any]:
    """Everything of a collection that must be the same wherever it lies."""
    store, images = services.store, services.images
    physical = store.resolve(name)
    spec = store.describe_collection(physical)
    rows = {
        record.image_id: (record, vector.round(5).tolist())
        for records, vectors in store.iterate(physical)
        for record, vector in zip(records, vectors, strict=True)
    }
    return {
        "made_for": (spec.model_id, spec.projection_id, spec.dim),
        "rows": rows,
        "originals": {i: images.get(original_key(i)) for i in rows},
        "thumbnails": {i: images.get(thumbnail_key(i)) for i in rows},
        "deleted": services.library.list_deleted(name).entries,
    }


def migrate(source: Place, target: Place, *options: str) -> dict[str, Any]:
    done = run_command(reaching(source, target), *arguments(target), *options)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_library_moves_to_the_stack_and_is_whole_there(laptop: Place, stack: Place, name: str) -> None:
    report = migrate(laptop, stack)
    [collection] = report["collections"]
    assert (collection["images"], collection["there"], collection["copied"]) == (16, 16, 16)
    assert collection["deleted"] == 1
    assert report["objects_missing"] == 0
    assert report["failed"] == []
    here, there = laptop.open(), stack.open()
    before, after = snapshot(here, name), snapshot(there, name)
    assert after == before
    assert there.store.describe_collection(name).index.kind == "HNSW"
    assert here.store.describe_collection(name).index.kind == "FLAT"

    # The projection came along by the bucket: the stack's own folder had none.
    query = Query(image=jpeg(draw((220, 30, 30), mark=2)))
    found = [services.search.search(name, query, SearchParams(5)) for services in (here, there)]
    assert [hit.hit.record for hit in found[0].hits] == [hit.hit.record for hit in found[1].hits]
    assert there.library.restore(name, before["deleted"][0].record.image_id) == before["deleted"][0].record
    assert there.store.count(name) == 17
    # Raw vectors came along too: the stack makes another projection of them without the network.
    raw = there.images.get(vector_key(next(iter(before["rows"])), before["made_for"][0]))
    assert len(raw) == 2 * 48
    assert there.indexing.rebuild(name, projection="random:12").dim == 12
    here.close()
    there.close()


def test_twice_changes_nothing_and_brings_what_is_new(laptop: Place, stack: Place, name: str) -> None:
    migrate(laptop, stack)
    again = migrate(laptop, stack)
    assert again["objects_copied"] == 0
    assert again["collections"][0]["copied"] == 0
    services = laptop.open()
    new = services.library.insert(name, jpeg(draw((9, 9, 200), mark=50)))
    doomed = next(services.store.iterate(services.store.resolve(name)))[0][0]
    services.library.delete(name, [doomed.image_id])
    edited = next(r for r in services.library.list_images(name).records if r.image_id != new.record.image_id)
    services.library.update(name, edited.image_id, Changes(title="renamed"))
    before = snapshot(services, name)
    services.close()
    report = migrate(laptop, stack)
    assert (report["collections"][0]["copied"], report["collections"][0]["different"]) == (1, 2)
    there = stack.open()
    after = snapshot(there, name)["rows"]
    assert set(after) == {*before["rows"], doomed.image_id}, "what the target shows is not deleted by a repetition"
    assert after[edited.image_id][0].title != "renamed"
    there.close()
    migrate(laptop, stack, "--overwrite")
    there = stack.open()
    assert snapshot(there, name) == before
    there.close()


def test_what_was_changed_in_the_target_stays(laptop: Place, model: Path, name: str, tmp_path: Path) -> None:
    home = Place(model, tmp_path / "home", IMAGE_SEARCH_LIBRARY__COLLECTION=name)
    source, target = laptop.open(), home.open()
    assert migration(source, target).run().complete
    edited, deleted, destroyed = target.library.list_images(name).records[:3]
    target.library.update(name, edited.image_id, Changes(title="of the target"))
    target.library.delete(name, [deleted.image_id])
    restored = target.library.list_deleted(name).entries[0].record
    if restored.image_id == deleted.image_id:
        restored = target.library.list_deleted(name).entries[1].record
    target.library.restore(name, restored.image_id)
    again = migration(source, target).run()
    assert again.complete
    rows = snapshot(target, name)["rows"]
    assert rows[edited.image_id][0].title == "of the target"
    assert deleted.image_id not in rows
    assert restored.image_id in rows, "what lies in the source's trash was restored in the target"
    assert again.collections[0].different == 3
    assert destroyed.image_id in rows
    source.close()
    target.close()


def test_a_migration_that_is_killed_goes_on_where_it_was(laptop: Place, model: Path, name: str, tmp_path: Path) -> None:
    write_gallery(tmp_path / "more", per_colour=60)
    assert run_command(laptop.env, "ingest", str(tmp_path / "more")).returncode == 0
    # Between folders: rclone, unlike other S3 servers, never answers again for a key whose upload broke off.
    home = Place(model, tmp_path / "home", IMAGE_SEARCH_LIBRARY__COLLECTION=name)
    command = ["migrate", "--to-data-dir", str(home.data_dir), "--json"]

    def copied() -> int:
        return sum(1 for path in (home.data_dir / "images").rglob("*") if path.is_file())

    for wanted in (20, 150, 300):
        process = subprocess.Popen([*COMMAND, *command], env=laptop.env, stdout=subprocess.DEVNULL)
        while process.poll() is None and copied() < wanted:
            time.sleep(0.01)
        process.kill()
        process.wait()
        services = home.open()
        # Half of a collection is shown to nobody.
        assert services.collections.exists(name) is (process.returncode == 0)
        services.close()
    there = copied()
    assert there >= 150
    done = run_command(laptop.env, *command)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["objects_copied"] <= report["objects"] - there / 2, "what was there is passed over"
    assert report["objects_missing"] == 0
    source, target = laptop.open(), home.open()
    assert snapshot(target, name) == snapshot(source, name)
    assert target.collections.leftovers(name) == []
    source.close()
    target.close()


def test_raw_vectors_come_along_where_there_is_no_projection_yet(model: Path, name: str, tmp_path: Path) -> None:
    here = Place(model, tmp_path / "here", IMAGE_SEARCH_LIBRARY__COLLECTION=name)
    there = Place(model, tmp_path / "there", IMAGE_SEARCH_LIBRARY__COLLECTION=name)
    write_gallery(tmp_path / "gallery", per_colour=5)
    assert run_command(here.env, "ingest", str(tmp_path / "gallery")).returncode == 0
    source, target = here.open(), there.open()
    assert migration(source, target).run().complete
    target.indexing.rebuild(name, projection="random:8")
    for record in target.library.list_images(name).records:
        target.images.delete(record.object_key)
    # Nothing can be embedded again, and nothing has to be.
    assert target.indexing.rebuild(name, projection="none").dim == 48
    assert target.store.count(target.store.resolve(name)) == 15
    source.close()
    target.close()


def test_and_back_again(laptop: Place, stack: Place, name: str, tmp_path: Path, model: Path) -> None:
    migrate(laptop, stack)
    home = Place(model, tmp_path / "home", IMAGE_SEARCH_LIBRARY__COLLECTION=name)
    # Of the server's collections this test's own is enough: others fill it at the same time.
    source, target = stack.open(), home.open()
    report = migration(source, target).run(only=[name])
    assert report.complete
    assert snapshot(target, name) == snapshot(source, name)
    source.close()
    target.close()


def test_an_original_that_is_gone_is_told_and_the_rest_comes_along(laptop: Place, stack: Place, name: str) -> None:
    services = laptop.open()
    lost = services.library.list_images(name).records[0]
    services.images.delete(original_key(lost.image_id))
    services.close()
    report = migrate(laptop, stack)
    assert report["collections"][0]["there"] == 16
    assert report["objects_missing"] == 0


def test_a_collection_of_another_model_there_is_refused_before_anything_is_copied(
    laptop: Place, stack: Place, name: str
) -> None:
    services = stack.open()
    services.collections.create(name, CollectionSpec("other@0123456789ab", 8))
    done = run_command(reaching(laptop, stack), *arguments(stack))
    assert done.returncode == 1
    assert "other@0123456789ab" in done.stderr
    assert list(services.images.iter_keys("originals/")) == []
    services.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "--to-milvus"),
        (["--to-store", "bucket"], "s3://BUCKET"),
        (["--to-store", "s3://a/b"], "s3://BUCKET"),
        (["--to-milvus", "milvus.lan"], "no place of a vector database"),
    ],
)
def test_a_target_that_is_none(laptop: Place, given: list[str], said: str) -> None:
    done = run_command(laptop.env, "migrate", *given)
    assert done.returncode == 2
    assert said in done.stderr


def test_the_same_place_is_refused(laptop: Place) -> None:
    done = run_command(laptop.env, "migrate", "--to-data-dir", str(laptop.data_dir))
    assert done.returncode == 2
    assert "where the library is" in done.stderr
