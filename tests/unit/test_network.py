"""An ONNX file that is what its description says, or one clear line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="onnx (requirements-dev.txt) is not installed")

from image_search.embedding.models import ModelSpec
from image_search.embedding.network import Network
from image_search.errors import EmbedderError
from tests.unit.onnx_files import DIM, EDGE, write_network


def spec(**changes: Any) -> ModelSpec:
    values: dict[str, Any] = {"name": "tiny", "dim": DIM, "resize_shortest_px": 20, "crop_px": EDGE}
    return ModelSpec(**(values | {"mean": (0.5,) * 3, "std": (0.5,) * 3} | changes))


def tensors(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, 3, EDGE, EDGE), dtype=np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_network(tmp_path / "tiny.onnx")


def expected(given: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same network in NumPy."""
    tiles = given.reshape(len(given), 3, 4, 4, 4, 4).mean(axis=(3, 5)).reshape(len(given), 48)
    return tiles @ np.random.default_rng(1).standard_normal((48, DIM)).astype(np.float32)


def test_it_computes_what_the_file_says(path: Path) -> None:
    network = Network(path, spec())
    given = tensors(5)
    result = network.run(given)
    assert (result.shape, result.dtype, network.dim) == ((5, DIM), np.float32, DIM)
    np.testing.assert_allclose(result, expected(given), atol=1e-4)


def test_a_batch_equals_one_by_one(path: Path) -> None:
    network, given = Network(path, spec()), tensors(7)
    np.testing.assert_allclose(network.run(given), np.concatenate([network.run(t[None]) for t in given]), atol=1e-5)


def test_what_is_pooled_to_one_pixel_is_flattened(tmp_path: Path) -> None:
    network = Network(write_network(tmp_path / "p.onnx", pooled=True), spec())
    np.testing.assert_allclose(network.run(tensors(3)), expected(tensors(3)), atol=1e-4)


def test_any_layout_and_kind_of_array_is_taken(path: Path) -> None:
    network, given = Network(path, spec()), tensors(2)
    np.testing.assert_allclose(network.run(given.astype(np.float64)), network.run(given), atol=1e-6)  # type: ignore[arg-type]
    turned = np.asfortranarray(given)
    np.testing.assert_allclose(network.run(turned), network.run(given), atol=1e-6)


def test_a_wrong_length_is_refused_with_both_numbers(path: Path) -> None:
    with pytest.raises(EmbedderError, match=rf"gives {DIM} numbers, its description says 99"):
        Network(path, spec(dim=99))


@pytest.mark.parametrize("what", ["input", "output"])
def test_a_wrong_name_is_refused_with_the_right_ones(path: Path, what: str) -> None:
    right = {"input": "image", "output": "embedding"}[what]
    assert Network(path, spec(**{what: right})).dim == DIM
    with pytest.raises(EmbedderError, match=rf"no {what} 'wrong'; it has {right}"):
        Network(path, spec(**{what: "wrong"}))


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x08\x07" * 400, None], ids=["empty", "garbage", "noise", "cut"])
def test_what_is_no_network_is_refused(path: Path, data: bytes | None) -> None:
    path.write_bytes(path.read_bytes()[:-200] if data is None else data)
    with pytest.raises(EmbedderError, match=r"tiny\.onnx' cannot be loaded"):
        Network(path, spec())


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="absent"):
        Network(tmp_path / "absent.onnx", spec())


def test_another_size_of_picture_is_refused(path: Path) -> None:
    with pytest.raises(EmbedderError, match="failed on 1 pictures"):
        Network(path, spec(crop_px=EDGE + 4, resize_shortest_px=EDGE + 4))


def test_numbers_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="not finite"):
        Network(write_network(tmp_path / "nan.onnx", nan=True), spec())


def test_not_finite_input_is_an_error_and_the_network_lives_on(path: Path) -> None:
    network, given = Network(path, spec()), tensors(2)
    given[1, 0, 0, 0] = np.nan
    with pytest.raises(EmbedderError, match="not finite"):
        network.run(given)
    assert np.isfinite(network.run(tensors(2))).all()


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_eight_threads_at_once(path: Path, threads: int) -> None:
    network = Network(path, spec(), threads=threads)
    given = [tensors(4, seed) for seed in range(40)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(network.run, given))
    for one, result in zip(given, results, strict=True):
        np.testing.assert_allclose(result, expected(one), atol=1e-4)
