"""Which model runs: the one that a library was built with, the one that is named, or the one of the package."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx (requirements-dev.txt) is not installed")

import image_search.datasets.hdf5 as hdf5
from image_search.config import Settings
from image_search.embedding import models
from image_search.embedding.models import (
    AUTO,
    DEFAULT_MODEL,
    REGISTRY,
    derived_names,
    derived_path,
    find_model,
    find_model_by_id,
    note_model,
)
from image_search.embedding.projection import ProjectionFolder
from image_search.embedding.provider import ModelProvider
from image_search.errors import EmbedderError, ImageSearchError, ModelMismatch
from image_search.storage.local_store import LocalImageStore
from image_search.vectors.memory_store import MemoryVectorStore
from image_search.wiring import Services
from tests.support import draw, jpeg
from tests.unit.onnx_files import DIM, write_model

MAX_BYTES = 8_388_608


def provider_of(model: str, folder: Path) -> ModelProvider:
    return ModelProvider(
        model, cache_dir=folder / "models", projections=ProjectionFolder(folder / "projections"), threads=1
    )


@pytest.fixture
def library(settings: Settings) -> Iterator[Services]:
    """A library in memory; `use` names the model that it is opened with."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    made = Services(
        settings=settings,
        store=MemoryVectorStore(),
        images=LocalImageStore(settings.data_dir / "images"),
        provider=provider_of(AUTO, settings.data_dir),
        shards=hdf5,
        max_pixels=settings.imaging.max_pixels,
        network_threads=1,
    )
    yield made
    made.close()


def use(library: Services, model: str) -> Services:
    """The same stores, opened by a process that is configured with `model`."""
    return Services(
        settings=library.settings,
        store=library.store,
        images=library.images,
        provider=provider_of(model, library.settings.data_dir),
        shards=hdf5,
        max_pixels=library.max_pixels,
        network_threads=1,
    )


# The network that comes with the package


def test_the_packaged_network_is_whole_small_and_gives_unit_vectors(tmp_path: Path) -> None:
    found = find_model(DEFAULT_MODEL, tmp_path)
    assert found.path.stat().st_size <= MAX_BYTES
    assert found.sha256 == REGISTRY[DEFAULT_MODEL].sha256
    embedder = provider_of(DEFAULT_MODEL, tmp_path).get("none")
    assert embedder.dim <= 256
    rows = embedder.embed([draw((200, 30, 30)), draw((200, 30, 30), mark=1), draw((20, 40, 220))])
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-4)
    assert rows[0] @ rows[1] > rows[0] @ rows[2], "red is nearer to red than to blue"
    assert not any(tmp_path.iterdir()), "nothing is downloaded and nothing noted"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:100_000]),
            "another one.*install the package again",
        ),
        (lambda path: path.write_bytes(b""), "another one.*install the package again"),
        (lambda path: path.unlink(), "its file is gone: install the package again"),
    ],
    ids=["cut", "empty", "gone"],
)
def test_a_damaged_package_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: object, reason: str
) -> None:
    copy = shutil.copy(find_model(DEFAULT_MODEL, tmp_path).path, tmp_path / "compact.onnx")
    monkeypatch.setattr(models, "_WEIGHTS", tmp_path)
    damage(Path(copy))  # type: ignore[operator]
    with pytest.raises(EmbedderError, match=reason) as raised:
        find_model(DEFAULT_MODEL, tmp_path)
    assert str(tmp_path) not in str(raised.value)


# By its id


def test_a_model_is_found_again_where_it_was_noted(tmp_path: Path) -> None:
    file = find_model(str(write_model(tmp_path / "mine")), tmp_path)
    cache = tmp_path / "models"
    with pytest.raises(EmbedderError, match=r"tiny@[0-9a-f]{12} is not here: set embedding.model to its \.onnx file"):
        find_model_by_id(file.model_id, cache)
    note_model(file, cache)
    assert find_model_by_id(file.model_id, cache) == file
    note_model(file, cache)
    (note,) = (cache / "noted").iterdir()
    note.write_bytes(b"\xff\xfe")
    with pytest.raises(EmbedderError, match="is not here"):
        find_model_by_id(file.model_id, cache)
    note_model(file, cache)
    assert find_model_by_id(file.model_id, cache) == file, "a note that cannot be read is written anew"


def test_a_noted_file_that_changed_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    path = write_model(tmp_path / "mine")
    file = find_model(str(path), tmp_path)
    note_model(file, tmp_path / "models")
    path.write_bytes(path.read_bytes() + b"\x00")
    with pytest.raises(EmbedderError, match="is not here"):
        find_model_by_id(file.model_id, tmp_path / "models")
    path.unlink()
    with pytest.raises(EmbedderError, match="is not here"):
        find_model_by_id(file.model_id, tmp_path / "models")


def test_another_edition_of_a_named_model_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"compact@000000000000 is not here: what has that name.*other weights"):
        find_model_by_id("compact@000000000000", tmp_path)
    with pytest.raises(EmbedderError, match=r"resnet50@000000000000 is not here:.*models pull resnet50"):
        find_model_by_id("resnet50@000000000000", tmp_path)
    with pytest.raises(EmbedderError, match="is not here"):
        find_model_by_id("no id at all", tmp_path)


def test_a_model_in_the_cache_goes_by_its_name(tmp_path: Path) -> None:
    path = derived_path("tiny-int8", tmp_path)
    assert path is not None
    plain = write_model(path.parent, name="tiny-int8")
    plain.rename(path)
    plain.with_suffix(".json").rename(path.with_suffix(".json"))
    file = find_model("tiny-int8", tmp_path)
    assert derived_names(tmp_path) == ["tiny-int8"]
    assert find_model_by_id(file.model_id, tmp_path) == file
    note_model(file, tmp_path)
    assert not (tmp_path / "noted").exists(), "what lies in the cache needs no note"
    for name in ("../tiny-int8", "a/b", "", ".", "x" * 100):
        assert derived_path(name, tmp_path) is None


# Which one a library is used with


def test_auto_takes_the_packaged_model_for_a_new_library_only(library: Services, tmp_path: Path) -> None:
    chosen = library.library.choose_model("default")
    assert (chosen.model_id.partition("@")[0], chosen.reason) == ("compact", "the default of a new library")
    named = use(library, str(write_model(tmp_path / "mine")))
    picture = jpeg(draw((200, 30, 30)))
    named.library.insert("default", picture)
    assert named.library.choose_model("default").reason == "named in the configuration"
    assert library.store.describe_collection("default__1").model_id == named.provider.model_id

    again = use(library, AUTO)
    chosen = again.library.choose_model("default")
    assert (chosen.model_id, chosen.reason) == (
        named.provider.model_id,
        "collection 'default' was built with it",
    )
    opened = again.collections.open("default")
    assert (opened.embedder.model_id, opened.embedder.dim) == (named.provider.model_id, DIM)
    # Another collection beside it is new, and two models live side by side without meeting.
    again.library.insert("other", picture)
    assert again.collections.spec("other").model_id.startswith("compact@")
    assert again.collections.open("default").spec.model_id == named.provider.model_id


def test_a_library_whose_model_is_gone_says_what_to_do(library: Services, tmp_path: Path) -> None:
    path = write_model(tmp_path / "mine")
    use(library, str(path)).library.insert("default", jpeg(draw((200, 30, 30))))
    path.unlink()
    again = use(library, AUTO)
    for action in (
        lambda: again.library.choose_model("default"),
        lambda: again.library.check_ready("default"),
        lambda: again.library.insert("default", jpeg(draw((20, 200, 30)))),
    ):
        with pytest.raises(EmbedderError, match=r"collection 'default' .*tiny@\w+ is not here.*begin a new library"):
            action()
    status = again.library.status("default")
    assert (status.images, status.chosen.model_id) == (1, "")
    assert "is not here" in status.chosen.reason
    assert again.library.delete("default", [next(iter(record_ids(again)))]) == 1, "deleting needs no model"


def record_ids(services: Services) -> list[str]:
    physical = services.store.resolve("default")
    return [record.image_id for records, _ in services.store.iterate(physical) for record in records]


def test_a_model_that_is_named_refuses_a_library_of_another(library: Services, tmp_path: Path) -> None:
    use(library, DEFAULT_MODEL).library.insert("default", jpeg(draw((200, 30, 30))))
    named = use(library, str(write_model(tmp_path / "mine")))
    with pytest.raises(ModelMismatch, match=r"collection 'default' was built with model compact@.*tiny@.* or auto"):
        named.library.choose_model("default")


def test_int8_is_a_model_of_its_own(library: Services, tmp_path: Path) -> None:
    plain = find_model(str(write_model(tmp_path / "mine")), tmp_path)
    other = write_model(tmp_path / "int8", name="tiny-int8")
    int8 = find_model(str(other), tmp_path)
    assert int8.sha256 == plain.sha256, "the same bytes under another name"
    assert int8.model_id != plain.model_id
    use(library, str(plain.path)).library.insert("default", jpeg(draw((200, 30, 30))))
    with pytest.raises(ModelMismatch):
        use(library, str(other)).collections.open("default")


def test_a_wrong_configuration_is_an_error_at_once(library: Services) -> None:
    with pytest.raises(ImageSearchError, match="unknown model 'compct'"):
        use(library, "compct").library.choose_model("default")


def test_the_registry_pins_what_it_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.REGISTRY, DEFAULT_MODEL, replace(REGISTRY[DEFAULT_MODEL], sha256="1" * 64))
    with pytest.raises(EmbedderError, match="expected 111111111111"):
        find_model(DEFAULT_MODEL, tmp_path)
