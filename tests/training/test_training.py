"""Training, killed and resumed, and the file that comes out. Needs the extra `training`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch (the extra `training`, requirements-training.txt) is not installed")

import torch

from image_search.embedding.models import REGISTRY, ModelFile, ModelSpec, find_model
from image_search.embedding.network import Network
from image_search.embedding.preprocess import preprocess
from training.export import build, export
from training.finish import finish
from training.material import Folder, Material, gather
from training.network import Shape, Student
from training.pictures import TrainingError
from training.recipe import MAX_BYTES, PLAN, SPEC
from training.run import Plan, load_student, make_order, save_finished, train
from training.warm_start import warm_start

SHAPE = Shape(stem=8, widths=(8, 16), depths=(1, 2), dim=8)
TINY = Plan(samples=960, batch=32, sizes=((16, 0.5), (32, 0.5)), shape=SHAPE, warm_up=0.1)
TINY_SPEC = replace(REGISTRY["compact"], dim=8, resize_shortest_px=32, crop_px=32)


@pytest.fixture(scope="module")
def material(pictures: Path, teacher: ModelFile, tmp_path_factory: pytest.TempPathFactory) -> Material:
    return gather([Folder(pictures)], teacher, tmp_path_factory.mktemp("cache"), labelled=None, photos=pictures)


def run(material: Material, out: Path, plan: Plan = TINY, spec: ModelSpec = TINY_SPEC, **more: object) -> Student:
    return train(material, material.targets(8, plan.damping), plan, spec, out, workers=0, **more)[0]  # type: ignore[arg-type]


def losses(out: Path) -> list[float]:
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def weights(student: Student) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in student.parameters()])


def test_a_student_learns_and_a_resumed_run_ends_the_same(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    whole = run(material, tmp_path / "whole", exam=material.exam(TINY_SPEC), exams=2)
    log = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    exams = [row for row in log if "copies" in row]
    assert len(exams) == 2
    with pytest.raises(TrainingError, match="begun with other settings"):
        run(material, tmp_path / "whole", replace(TINY, seed=2))
    # Stopped as early as can be, then again, then left to its end.
    steps = 0
    while steps < 30:
        run(material, tmp_path / "parts", minutes=1e-9 if steps < 2 else 0)
        before, steps = steps, torch.load(tmp_path / "parts/checkpoint.pt", weights_only=True)["step"]
        assert steps > before
    parts = load_student(tmp_path / "parts")
    assert weights(parts) == pytest.approx(weights(whole), abs=1e-4)
    assert weights(run(material, tmp_path / "whole")) == pytest.approx(weights(whole)), "a finished run stays as it is"
    untrained = Student(SHAPE)
    assert not np.allclose(weights(untrained), weights(whole))


def test_the_loss_falls(material: Material, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    plan = replace(TINY, samples=32 * 200, sizes=((16, 1.0),))
    run(material, tmp_path, plan)
    first, last = losses(tmp_path)
    assert last < 0.8 * first


def shake(student: Student) -> Student:
    """Its normalisations as after training: nothing in the folding may cancel out."""
    for module in student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_()
    return student


def test_the_exported_file_is_the_student(tmp_path: Path) -> None:
    torch.manual_seed(3)
    student = shake(Student(SHAPE)).eval()
    pictures = torch.randn(5, 3, 32, 32)
    with torch.inference_mode():
        expected = student(pictures).numpy()
    report = export(student, tmp_path / "tiny.onnx", 32, max_bytes=MAX_BYTES)
    assert report["worst_cosine"] > 0.9999
    assert report["bytes"] == (tmp_path / "tiny.onnx").stat().st_size
    spec = replace(TINY_SPEC, name="tiny", filename="", sha256=str(report["sha256"]))
    network = Network(tmp_path / "tiny.onnx", spec)
    found = network.run(pictures.numpy())
    assert np.sum(found * expected, axis=1) == pytest.approx(1, abs=1e-4)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert network.run(pictures.numpy()[:1]) == pytest.approx(found[:1], abs=1e-5), "any number of pictures at once"
    with pytest.raises(TrainingError, match="at most 1,000: make it thinner"):
        export(Student(SHAPE), tmp_path / "other.onnx", 32, max_bytes=1000)
    assert not (tmp_path / "other.onnx").exists()


def test_training_goes_on_from_an_exported_file(material: Material, tmp_path: Path) -> None:
    torch.manual_seed(3)
    shaken = shake(Student(SHAPE)).eval()
    file = tmp_path / "first.onnx"
    export(shaken, file, 32, max_bytes=MAX_BYTES)
    pictures = torch.randn(64, 3, 32, 32)
    again = Student(SHAPE)
    warm_start(again, file, pictures)
    assert again.training
    with torch.inference_mode():
        likeness = (again.eval()(pictures) * shaken(pictures)).sum(dim=1)
        # The statistics are those of these pictures: what training sees is what the file gives.
        seen = (again.train()(pictures) * shaken(pictures)).sum(dim=1)
    assert likeness.min() > 0.999
    assert seen.min() > 0.999
    begun = run(material, tmp_path / "run", replace(TINY, samples=32, muon_lr=0.0, adam_lr=0.0), initial=file)
    with torch.inference_mode():
        assert (begun.eval()(pictures) * shaken(pictures)).sum(dim=1).mean() > 0.95
    with pytest.raises(TrainingError, match="of another shape"):
        warm_start(Student(replace(SHAPE, stem=16)), file, pictures)
    file.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="is no ONNX file"):
        warm_start(Student(SHAPE), file, pictures)


def test_a_finished_student_is_whitened_and_exported_so(material: Material, tmp_path: Path) -> None:
    student = shake(Student(SHAPE))
    finish(student, material, TINY_SPEC)
    pictures = torch.from_numpy(
        np.stack([preprocess(material.packs[0].picture(row), TINY_SPEC) for row in range(len(material.packs[0]))])
    )
    with torch.inference_mode():
        vectors = student(pictures).numpy()
        maps = student.head(student.roots(pictures))[~torch.from_numpy(material.kept_out[0])].numpy()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    covariance = np.cov(maps.T)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3 * np.diag(covariance).max()
    save_finished(student, TINY, tmp_path)
    again = load_student(tmp_path)
    report = export(again, tmp_path / "tiny.onnx", 32, max_bytes=MAX_BYTES)
    network = Network(tmp_path / "tiny.onnx", replace(TINY_SPEC, name="tiny", sha256=str(report["sha256"])))
    assert np.sum(network.run(pictures.numpy()) * vectors, axis=1) == pytest.approx(1, abs=1e-4)
    begun = Student(SHAPE)
    warm_start(begun, tmp_path / "tiny.onnx", pictures)
    assert not begun.finished
    few = replace(material, kept_out=[np.arange(len(material.packs[0])) > 50])
    with pytest.raises(TrainingError, match="at least 80 are needed"):
        finish(Student(SHAPE), few, TINY_SPEC)


def test_a_wrong_fold_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = build

    def forgets(student: Student, edge_px: int) -> object:
        student.head.bias.data += 1.0
        return right(student, edge_px)

    monkeypatch.setattr("training.export.build", forgets)
    with pytest.raises(TrainingError, match="does not agree with the student"):
        export(Student(SHAPE), tmp_path / "tiny.onnx", 32, max_bytes=MAX_BYTES)
    assert not (tmp_path / "tiny.onnx").exists()


def test_the_shipped_file_is_of_the_recipe(tmp_path: Path) -> None:
    found = find_model("compact", tmp_path)
    onnx = pytest.importorskip("onnx")
    shipped = {tuple(t.dims) for t in onnx.load(str(found.path)).graph.initializer if len(t.dims) > 1}
    student = Student(PLAN.shape)
    convolutions = {m.shape for m in student.modules() if hasattr(m, "stride") and hasattr(m, "shape")}
    assert shipped == convolutions | {(PLAN.shape.dim, sum(PLAN.shape.widths[-2:]))}
    assert SPEC.dim == PLAN.shape.dim


def test_the_rate_and_the_size_follow_the_plan() -> None:
    assert TINY.rate(0, 1000) == pytest.approx(0.005)
    assert TINY.rate(500, 1000) == 1.0
    assert TINY.rate(999, 1000) < 0.01
    assert [TINY.edge(step, 10) for step in (0, 4, 5, 9)] == [16, 16, 32, 32]


def test_every_picture_comes_as_often_as_was_asked() -> None:
    order = make_order([(np.arange(10), 1.0), (np.arange(10, 20), 2.5)], 350, seed=1)
    counts = np.bincount(order, minlength=20)
    assert (counts[:10] == 10).all()
    assert counts[10:].sum() == 250
    assert set(counts[10:]) <= set(range(20, 31))
    assert np.array_equal(order, make_order([(np.arange(10), 1.0), (np.arange(10, 20), 2.5)], 350, seed=1))


def test_a_run_without_pictures_is_refused(material: Material, tmp_path: Path) -> None:
    empty = replace(material, kept_out=[np.ones(len(material.packs[0]), bool)])
    with pytest.raises(TrainingError, match="no pictures are left"):
        train(empty, material.targets(8, 0.25), TINY, TINY_SPEC, tmp_path, workers=0)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    run_ = [sys.executable, "-m", "training", *map(str, arguments)]
    return subprocess.run(run_, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_says_what_is_wrong(pictures: Path, teacher: ModelFile, tmp_path: Path) -> None:
    given = ("train", "--pictures", pictures, "--out", tmp_path / "out")
    missing = command(*given, "--teacher", tmp_path / "none.onnx")
    assert (missing.returncode, missing.stderr.count("Traceback")) == (1, 0)
    assert "does not exist" in missing.stderr
    few = command(*given, "--teacher", teacher.path)
    assert "error: 112 pictures to learn from; at least 2560 are needed" in few.stderr
    assert "holds no checkpoint" in command("export", tmp_path, tmp_path / "x.onnx").stderr
