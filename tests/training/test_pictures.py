"""Folders become packs; views, targets and what is kept out. Nothing here needs the training framework."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.copies import KINDS, found_first
from benchmarks.exam import Exam, held_out_classes
from image_search.embedding.models import REGISTRY, ModelFile
from image_search.embedding.network import Network
from image_search.embedding.preprocess import preprocess
from image_search.embedding.projection import normalise
from image_search.imaging import decode, reduce_to_shortest
from tests.support import draw
from tests.training.conftest import COLOURS, PER_CLASS
from training import pictures as packing
from training.augment import view
from training.material import Folder, gather
from training.pictures import EDGE_PX, TrainingError, list_pictures, make_pack
from training.targets import Targets


def test_a_pack_holds_what_can_be_read(
    pictures: Path, teacher: ModelFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        pack = make_pack(pictures, teacher, tmp_path)
    assert len(pack) == len(COLOURS) * PER_CLASS
    assert "left out red/broken.jpg" in caplog.text
    assert f"2 of {len(COLOURS) * PER_CLASS + 2} left out" in caplog.text
    row = pack.paths.index("blue/05.jpg")
    original = decode((pictures / "blue/05.jpg").read_bytes(), max_pixels=10**6).image
    assert np.array_equal(np.asarray(pack.picture(row)), np.asarray(reduce_to_shortest(original, EDGE_PX)))
    network = Network(teacher.path, teacher.spec)
    both = np.stack([preprocess(original, teacher.spec), preprocess(original, teacher.spec)[:, :, ::-1]])
    expected = normalise(normalise(network.run(both)).mean(axis=0, keepdims=True))[0]
    assert pack.teacher[row] == pytest.approx(expected, abs=2e-3), "the mean of the picture and its mirror image"


def test_a_pack_goes_on_where_a_killed_run_stopped(
    pictures: Path, teacher: ModelFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "CHUNK", 10)
    whole = make_pack(pictures, teacher, tmp_path / "whole")
    decode_all = packing._decoded
    calls = 0

    def killed(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return decode_all(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(packing, "_decoded", killed)
    with pytest.raises(KeyboardInterrupt):
        make_pack(pictures, teacher, tmp_path / "again")
    monkeypatch.setattr(packing, "_decoded", decode_all)
    chunks = sorted((tmp_path / "again").rglob("*.npz"))
    assert len(chunks) == 3
    before = [path.stat().st_mtime_ns for path in chunks]
    again = make_pack(pictures, teacher, tmp_path / "again")
    assert [path.stat().st_mtime_ns for path in chunks] == before, "what was there is not made again"
    assert again.paths == whole.paths
    assert np.array_equal(again.teacher, whole.teacher)
    assert all(np.array_equal(np.asarray(again.picture(i)), np.asarray(whole.picture(i))) for i in range(len(whole)))


def test_a_part_of_a_folder_is_spread_evenly(pictures: Path, teacher: ModelFile, tmp_path: Path) -> None:
    pack = make_pack(pictures, teacher, tmp_path, limit=12)
    assert 8 <= len(pack) <= 12
    assert {path.split("/")[0] for path in pack.paths} == set(COLOURS)


def test_folders_without_pictures_are_refused(teacher: ModelFile, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is not a folder"):
        make_pack(tmp_path / "nowhere", teacher, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds no pictures"):
        make_pack(tmp_path / "empty", teacher, tmp_path)
    (tmp_path / "empty" / "one.jpg").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="none of the 1 pictures in empty can be read"):
        make_pack(tmp_path / "empty", teacher, tmp_path)


@pytest.mark.parametrize("text", ["a=", "a=x", "a=1:x", "a=0", "a=-1", "a=nan", "a=1:-5"])
def test_a_folder_is_given_with_how_often_it_comes(text: str) -> None:
    assert Folder.parse("some/folder") == Folder(Path("some/folder"))
    assert Folder.parse("some/folder=0.5:100") == Folder(Path("some/folder"), 0.5, 100)
    with pytest.raises(TrainingError, match="--pictures"):
        Folder.parse(text)


def test_classes_and_photos_are_kept_out_of_training(pictures: Path, teacher: ModelFile, tmp_path: Path) -> None:
    material = gather([Folder(pictures)], teacher, tmp_path, labelled=pictures, photos=None)
    (kept,) = material.kept_out
    assert {path.split("/")[0] for path, out in zip(material.packs[0].paths, kept, strict=True) if out} == {
        "blue",
        "grey",
    }
    assert {path.parent.name for path in material.asked} == {"blue", "grey"}
    assert {path.parent.name for path in material.distractors} == {"green", "red"}
    with pytest.raises(TrainingError, match="at least 1280 are needed"):
        material.targets(128, 0.25)
    one = tmp_path / "one"
    (one / "only").mkdir(parents=True)
    (one / "only" / "a.jpg").write_bytes((pictures / "red/00.jpg").read_bytes())
    with pytest.raises(TrainingError, match="too few classes"):
        gather([Folder(one)], teacher, tmp_path, labelled=one, photos=None)
    photos = gather([Folder(pictures)], teacher, tmp_path, labelled=None, photos=pictures)
    assert len(photos.photos) == int(photos.kept_out[0].sum()) == -(-len(COLOURS) * PER_CLASS // 5)


def test_large_classes_and_backgrounds_are_never_asked_for() -> None:
    paths = [f"{name}/{i}.jpg" for name in ("a", "b", "c", "BACKGROUND_Google") for i in range(5)]
    assert held_out_classes(paths + [f"aa/{i}.jpg" for i in range(401)]) == {"a", "c"}


def test_targets_are_a_damped_pca() -> None:
    rng = np.random.default_rng(0)
    rows = normalise(rng.standard_normal((500, 12)).astype(np.float32) * np.linspace(3, 0.3, 12, dtype=np.float32))
    plain, white = Targets(rows, 6, 0.0), Targets(rows, 6, 1.0)
    assert plain.matrix.T @ plain.matrix == pytest.approx(np.eye(6), abs=1e-4)
    spread = ((rows - white.mean) @ white.matrix).std(axis=0)
    assert spread == pytest.approx(1, rel=0.01), "whitened axes are equally wide"
    between = ((rows - plain.mean) @ Targets(rows, 6, 0.5).matrix).std(axis=0)
    assert all(a > b for a, b in pairwise(between)), "damped axes keep their order"
    assert np.linalg.norm(plain(rows), axis=1) == pytest.approx(1, abs=1e-5)


def test_views_are_the_same_for_a_seed_and_of_use_to_a_student() -> None:
    spec = replace(REGISTRY["compact"], resize_shortest_px=32, crop_px=32)
    small, wide = draw((200, 60, 30), size=(64, 64)), draw((30, 60, 200), size=(300, 110))
    for picture in (small, wide):
        for seed in range(200):
            one = view(picture, np.random.default_rng(seed), 32)
            assert one.mode == "RGB"
            assert min(one.size) >= 32
            assert np.array_equal(np.asarray(one), np.asarray(view(picture, np.random.default_rng(seed), 32)))
            assert np.isfinite(preprocess(one, spec)).all()
    assert len({view(small, np.random.default_rng(seed), 32).tobytes() for seed in range(50)}) > 45


def test_every_kind_of_copy_is_one() -> None:
    picture = draw((200, 60, 30), size=(160, 120), mark=3)
    before = picture.tobytes()
    for kind, edit in KINDS.items():
        copy = edit(picture)
        assert copy.mode == "RGB", kind
        assert (copy.size, copy.tobytes()) != (picture.size, before), kind
        assert picture.tobytes() == before, f"{kind} leaves the original alone"
    assert len(KINDS) == 13


def test_the_exam_finds_what_is_there(pictures: Path) -> None:
    spec = replace(REGISTRY["compact"], resize_shortest_px=16, crop_px=16)
    asked = [pictures / path for path in list_pictures(pictures) if path.split("/")[0] in ("red", "blue")]
    asked = [path for path in asked if path.stem.isdigit()]
    photos = [pictures / "green" / f"{mark:02}.jpg" for mark in range(5)]
    exam = Exam(asked, photos, [pictures / "grey/00.jpg"], spec)
    found = exam.hold(lambda batch: batch.mean(axis=(2, 3)))
    assert found["precision@1"] == 1.0, "red and blue are told apart by their mean colour"
    assert found["kinds"]["mirrored"] == 1.0
    assert found["kinds"]["grey"] < 1.0, "a mean colour does not survive its loss"
    assert found["copies"] == pytest.approx(np.mean(list(found["kinds"].values())), abs=1e-3)


def test_a_copy_is_found_by_its_nearest_picture() -> None:
    gallery = np.eye(4, dtype=np.float32)
    assert found_first(gallery, np.array([0, 1]), np.array([[1, 0, 0, 0], [0, 0, 1, 0]], np.float32)) == 0.5


def test_jpeg_10_is_a_real_recompression() -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG", quality=10)
    assert np.array_equal(np.asarray(KINDS["JPEG 10"](noise)), np.asarray(Image.open(buffer).convert("RGB")))


def test_what_is_to_be_kept_out_must_be_one_of_the_folders_and_in_no_other(
    pictures: Path, teacher: ModelFile, tmp_path: Path
) -> None:
    everything = [Folder(pictures)]
    for labelled, photos, said in (
        (pictures / "red", None, "--labelled red"),
        (None, pictures / "red", "--photos red"),
    ):
        with pytest.raises(TrainingError, match=said):
            gather(everything, teacher, tmp_path, labelled=labelled, photos=photos)
    with pytest.raises(TrainingError, match="red lies in"):
        gather([*everything, Folder(pictures / "red")], teacher, tmp_path, labelled=None, photos=None)
