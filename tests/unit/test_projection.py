"""PCA and random projection against NumPy's own SVD, and as artefacts on the disk."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from image_search.embedding.projection import (
    Projection,
    ProjectionFolder,
    check_fits,
    fit_pca,
    make_random,
    normalise,
    projection_from_bytes,
)
from image_search.errors import EmbedderError, InvalidParameter, ModelMismatch

MODEL = "m@0123456789ab"


def vectors(count: int = 400, dim: int = 24, seed: int = 0) -> NDArray[np.float32]:
    """Vectors whose variance falls from axis to axis of a turned space, away from the origin."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
    return ((rng.standard_normal((count, dim)) * 0.8 ** np.arange(dim)) @ turn + 0.3).astype(np.float32)


def test_normalise() -> None:
    unit = normalise(np.array([[3, 4], [0, 0], [1e-3, 0]], np.float32))
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [1, 0]], atol=1e-6)


def test_pca_spans_what_the_svd_of_numpy_spans() -> None:
    raw = vectors()
    fitted = fit_pca([raw], 6, MODEL)
    unit = normalise(raw).astype(np.float64)
    _, _, axes = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(fitted.matrix @ fitted.matrix.T, axes[:6].T @ axes[:6], atol=2e-4)
    np.testing.assert_allclose(np.abs(np.sum(fitted.matrix.T * axes[:6], axis=1)), 1, atol=1e-3)
    np.testing.assert_allclose(fitted.mean, unit.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(fitted.apply(raw), (unit - unit.mean(axis=0)) @ fitted.matrix, atol=1e-5)


def test_pca_loses_the_least_variance_possible() -> None:
    raw = vectors()
    kept = fit_pca([raw], 6, MODEL).apply(raw).var(axis=0)
    assert (np.diff(kept) <= 1e-6).all(), "axes come by falling variance"
    assert kept.sum() > make_random(24, 6, MODEL).apply(raw).var(axis=0).sum()


def test_batches_do_not_matter_and_the_same_pictures_give_the_same_artefact() -> None:
    raw = vectors()
    whole = fit_pca([raw], 6, MODEL)
    parts = fit_pca([raw[:7], raw[7:7], raw[7:200], raw[200:]], 6, MODEL)
    np.testing.assert_allclose(whole.matrix, parts.matrix, atol=1e-4)
    assert fit_pca([raw.copy()], 6, MODEL).projection_id == whole.projection_id
    assert fit_pca([raw], 6, "another@0123456789ab").projection_id != whole.projection_id
    assert whole.projection_id.startswith("pca:6@")


@pytest.mark.parametrize(
    ("count", "dim", "reason"),
    [(59, 6, "pca:5 is sound"), (400, 25, "25 dimensions cannot be made of 24"), (0, 4, "wants")],
)
def test_pca_refuses_too_few_vectors_and_too_many_dimensions(count: int, dim: int, reason: str) -> None:
    with pytest.raises(InvalidParameter, match=reason):
        fit_pca([vectors()[:count]], dim, MODEL)


def test_pca_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="no vectors"):
        fit_pca([], 4, MODEL)


def test_pca_of_vectors_that_are_all_alike_is_finite() -> None:
    fitted = fit_pca([np.ones((50, 8), np.float32)], 4, MODEL)
    assert np.isfinite(fitted.matrix).all()
    np.testing.assert_allclose(fitted.matrix.T @ fitted.matrix, np.eye(4), atol=1e-5)


def test_random_is_orthonormal_and_always_the_same() -> None:
    made = make_random(64, 16, MODEL)
    np.testing.assert_allclose(made.matrix.T @ made.matrix, np.eye(16), atol=1e-5)
    again = make_random(64, 16, MODEL)
    assert made.projection_id == again.projection_id
    assert (made.matrix == again.matrix).all()
    assert make_random(64, 16, "other@0123456789ab").projection_id != made.projection_id
    assert not made.mean.any()
    with pytest.raises(InvalidParameter):
        make_random(16, 17, MODEL)


def test_random_keeps_who_is_near_whom() -> None:
    raw = vectors(300, 64)
    made = make_random(64, 48, MODEL)
    before, after = normalise(raw) @ normalise(raw).T, normalise(made.apply(raw)) @ normalise(made.apply(raw)).T
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("made", [fit_pca([vectors()], 6, MODEL), make_random(24, 6, MODEL)], ids=["pca", "random"])
def test_save_and_load(tmp_path: Path, made: Projection) -> None:
    folder = ProjectionFolder(tmp_path / "not" / "there" / "yet")
    folder.save(made)
    folder.save(made)
    loaded = folder.load(made.projection_id)
    assert loaded.projection_id == made.projection_id
    assert (loaded.kind, loaded.model_id, loaded.dim, loaded.raw_dim) == (made.kind, made.model_id, 6, 24)
    raw = vectors(5)
    assert (loaded.apply(raw) == made.apply(raw)).all()
    assert len(list((tmp_path / "not/there/yet").iterdir())) == 1, "nothing unfinished is left"


def test_a_missing_artefact_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="pca:6@aaaaaaaaaaaa"):
        ProjectionFolder(tmp_path).load("pca:6@aaaaaaaaaaaa")


def test_an_id_stays_in_its_folder(tmp_path: Path) -> None:
    made = make_random(8, 4, MODEL)
    folder = ProjectionFolder(tmp_path / "projections")
    folder.save(made)
    assert [path.parent.name for path in tmp_path.rglob("*.npz")] == ["projections"]


def test_a_disk_that_refuses_is_one_of_our_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbedderError, match="cannot be saved"):
        ProjectionFolder(tmp_path / "file" / "projections").save(make_random(8, 4, MODEL))


def test_many_threads_save_one_artefact(tmp_path: Path) -> None:
    folder, made = ProjectionFolder(tmp_path), make_random(64, 32, MODEL)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: folder.save(made), range(32)))
    assert folder.load(made.projection_id).projection_id == made.projection_id
    assert len(list(tmp_path.iterdir())) == 1


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


GOOD = make_random(24, 6, MODEL)
PARTS = {
    "kind": np.array("random"),
    "model_id": np.array(MODEL),
    "projection_id": np.array(GOOD.projection_id),
    "mean": GOOD.mean,
    "matrix": GOOD.matrix,
}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"no artefact at all",
        GOOD.to_bytes()[:100],
        GOOD.to_bytes()[:-40],
        npy(np.zeros((3, 3))),
        npz(**{name: part for name, part in PARTS.items() if name != "mean"}),
        npz(**(PARTS | {"matrix": GOOD.matrix[:, 0]})),
        npz(**(PARTS | {"matrix": np.array(5.0)})),
        npz(**(PARTS | {"mean": GOOD.mean[:-1]})),
        npz(**(PARTS | {"mean": np.array([object()], dtype=object)})),
    ],
    ids=["empty", "two bytes", "text", "head", "cut", "npy", "no mean", "1-D", "0-D", "short mean", "pickle"],
)
def test_what_is_no_artefact_is_refused(data: bytes) -> None:
    with pytest.raises(EmbedderError, match="damaged"):
        projection_from_bytes(data)


def test_other_numbers_under_the_same_id_are_refused() -> None:
    changed = GOOD.matrix.copy()
    changed[0, 0] += 1e-3
    with pytest.raises(EmbedderError, match="its numbers are not those"):
        projection_from_bytes(replace(GOOD, matrix=changed).to_bytes())


@settings(max_examples=150, deadline=None, derandomize=True)
@given(place=st.integers(0, len(GOOD.to_bytes()) - 1), value=st.integers(0, 255))
def test_one_wrong_byte_is_noticed_or_does_not_matter(place: int, value: int) -> None:
    data = bytearray(GOOD.to_bytes())
    data[place] = value
    try:
        loaded = projection_from_bytes(bytes(data))
    except EmbedderError:
        return
    assert loaded.projection_id == GOOD.projection_id
    assert (loaded.matrix == GOOD.matrix).all()
    assert (loaded.mean == GOOD.mean).all()


def test_a_damaged_file_in_the_folder(tmp_path: Path) -> None:
    folder = ProjectionFolder(tmp_path)
    folder.save(GOOD)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(EmbedderError, match="damaged"):
        folder.load(GOOD.projection_id)
    assert not zipfile.is_zipfile(path)


def test_a_projection_of_another_model_does_not_fit() -> None:
    check_fits(GOOD, MODEL, 24)
    with pytest.raises(ModelMismatch, match=MODEL):
        check_fits(GOOD, "other@0123456789ab", 24)
    with pytest.raises(ModelMismatch):
        check_fits(GOOD, MODEL, 25)


class Bucket:
    """What machines have in common."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.puts = 0

    def get(self, projection_id: str) -> bytes | None:
        return self.held.get(projection_id)

    def put(self, projection_id: str, data: bytes) -> None:
        self.puts += 1
        self.held[projection_id] = data


def test_what_one_machine_fits_another_loads(tmp_path: Path) -> None:
    bucket, made = Bucket(), make_random(8, 4, MODEL)
    one, other = (ProjectionFolder(tmp_path / name, bucket) for name in ("one", "other"))
    one.save(made)
    one.save(made)
    assert bucket.puts == 1
    np.testing.assert_array_equal(other.load(made.projection_id).matrix, made.matrix)
    bucket.held.clear()
    assert other.load(made.projection_id).projection_id == made.projection_id, "it has one of its own now"
    with pytest.raises(EmbedderError, match="missing"):
        ProjectionFolder(tmp_path / "third", bucket).load(made.projection_id)


def test_a_shared_projection_that_is_damaged_is_not_kept(tmp_path: Path) -> None:
    bucket, made = Bucket(), make_random(8, 4, MODEL)
    bucket.put(made.projection_id, made.to_bytes()[:-40])
    folder = ProjectionFolder(tmp_path / "here", bucket)
    with pytest.raises(EmbedderError, match="damaged"):
        folder.load(made.projection_id)
    assert not list(tmp_path.rglob("*.npz"))
