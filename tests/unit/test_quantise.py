"""int8 forms of networks: real ones of a few kilobytes, quantised with drawn pictures."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx (requirements-quantise.txt) is not installed")

import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from image_search.embedding import int8, quantise
from image_search.embedding.models import ModelFile, derived_names, find_model, find_model_by_id
from image_search.embedding.network import Network
from image_search.embedding.preprocess import preprocess
from image_search.embedding.projection import normalise
from image_search.errors import ConfigError, EmbedderError, InvalidInput, InvalidParameter
from image_search.interfaces import FloatArray
from image_search.services.measuring.quantising import QuantisingService, _split, _spread
from image_search.services.preparing import Preparer
from tests.support import draw, jpeg

EDGE, DIM = 32, 24


def write_conv_network(
    folder: Path, name: str = "convs", *, half: bool = False, constant: bool = False, opset: int = 17, batch: Any = "n"
) -> Path:
    """Three convolutions, a pool and a matrix, with a second output; returns the .onnx.

    `half`: weights in float16 behind a cast. `constant`: the last matrix is nought, so that only its bias comes out.
    """
    random = np.random.default_rng(3)
    nodes, weights = [], []

    def weight(name: str, *shape: int, scale: float = 1.0) -> str:
        values = (random.standard_normal(shape) * scale / np.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32)
        if half:
            weights.append(numpy_helper.from_array(values.astype(np.float16), f"half_{name}"))
            nodes.append(helper.make_node("Cast", [f"half_{name}"], [name], to=TensorProto.FLOAT))
        else:
            weights.append(numpy_helper.from_array(values, name))
        return name

    last, channels = "image", 3
    for number, wide in enumerate((16, 32, 32)):
        inputs = [last, weight(f"w{number}", wide, channels, 3, 3, scale=1.4), weight(f"b{number}", wide, scale=0.1)]
        nodes.append(helper.make_node("Conv", inputs, [f"c{number}"], strides=[2, 2], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        last, channels = f"r{number}", wide
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"], axis=1))
    head = weight("head", channels, DIM, scale=0.0 if constant else 3.0)
    nodes.append(helper.make_node("Gemm", ["flat", head, weight("head_bias", DIM)], ["embedding"]))
    nodes.append(helper.make_node("Softmax", ["embedding"], ["classes"], axis=1))
    outputs = [helper.make_tensor_value_info(o, TensorProto.FLOAT, [batch, DIM]) for o in ("classes", "embedding")]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, EDGE, EDGE])
    graph = helper.make_graph(nodes, name, [image], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save(model, str(path))
    spec = {"name": name, "dim": DIM, "resize_shortest_px": EDGE, "crop_px": EDGE, "output": "embedding"}
    path.with_suffix(".json").write_text(json.dumps(spec | {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}))
    return path


def drawn(number: int) -> Image.Image:
    """A picture like no other."""
    random = np.random.default_rng(number)
    image = draw(tuple(int(c) for c in random.integers(30, 255, 3)), size=(48, 40), mark=number)  # type: ignore[arg-type]
    image.paste(tuple(int(c) for c in random.integers(0, 255, 3)), (0, 0, 8 + number % 30, 8 + number % 20))
    return image


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def source(tmp_path: Path) -> ModelFile:
    return find_model(str(write_conv_network(tmp_path)), tmp_path)


@pytest.fixture(scope="module")
def pictures() -> FloatArray:
    """(90, 3, EDGE, EDGE)"""
    from image_search.embedding.models import ModelSpec

    spec = ModelSpec("any", DIM, EDGE, EDGE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return np.stack([preprocess(drawn(number), spec) for number in range(90)])


def run(model: ModelFile, pictures: FloatArray, cache: Path, **more: Any) -> quantise.QuantiseReport:
    return quantise.quantise(model, pictures[:40], pictures[40:], cache, **more)


def embeddings(file: ModelFile, pictures: FloatArray) -> FloatArray:
    return normalise(Network(file.path, file.spec, threads=1).run(pictures))


# What is made


def test_it_is_found_by_its_name_and_says_what_it_is(source: ModelFile, pictures: FloatArray, cache: Path) -> None:
    report = run(source, pictures, cache)
    file = find_model("convs-int8", cache)
    assert file.spec == replace(
        source.spec, name="convs-int8", sha256=file.sha256, source=f"quantised to int8 from {source.model_id}"
    )
    assert derived_names(cache) == ["convs-int8"]
    assert report.int8_model_id == file.model_id != report.model_id == source.model_id
    assert (report.name, Path(report.path)) == ("convs-int8", file.path)
    assert (report.calibration_pictures, report.report_pictures) == (40, 50)
    assert (report.file_bytes, report.int8_file_bytes) == (source.path.stat().st_size, file.path.stat().st_size)


def test_its_vectors_are_near_and_the_report_says_how_near(
    source: ModelFile, pictures: FloatArray, cache: Path
) -> None:
    report = run(source, pictures, cache)
    exact, rough = embeddings(source, pictures[40:]), embeddings(find_model("convs-int8", cache), pictures[40:])
    np.testing.assert_allclose(np.linalg.norm(rough, axis=1), 1, atol=1e-5)
    assert not np.array_equal(exact, rough)
    cosines = (exact * rough).sum(axis=1)
    assert report.mean_cosine == pytest.approx(cosines.mean(), abs=2e-5) and report.mean_cosine > 0.98
    assert report.worst_cosine == pytest.approx(cosines.min(), abs=2e-5)
    nearest = [np.argsort(-np.where(np.eye(50), -9, e @ e.T), axis=1)[:, :10] for e in (exact, rough)]
    kept = np.mean([len({*a} & {*b}) / 10 for a, b in zip(*nearest, strict=True)])
    # The report counts ties, which an argsort does not.
    assert report.neighbours_kept == pytest.approx(kept, abs=0.01)
    assert report.faithful == (report.mean_cosine >= 0.98 and report.neighbours_kept >= 0.9)
    assert report.pays == (max(report.speed_ratio_one_thread, report.speed_ratio_all_cores) >= 1.1)
    assert min(report.speed_ratio_one_thread, report.speed_ratio_all_cores) > 0


@pytest.mark.parametrize(
    "kind", [{"half": True}, {"opset": 11}, {"batch": 1}], ids=["float16 weights", "old opset", "fixed batch"]
)
def test_weights_become_int8_however_they_are_kept(
    tmp_path: Path, pictures: FloatArray, cache: Path, kind: dict[str, Any]
) -> None:
    model = find_model(str(write_conv_network(tmp_path, **kind)), tmp_path)
    report = run(model, pictures, cache)
    made = onnx.load(report.path)
    stored = {tuple(t.dims): t.data_type for t in made.graph.initializer if len(t.dims) == 4}
    # The first convolution stays as it is.
    assert stored == {
        (16, 3, 3, 3): TensorProto.FLOAT,
        (32, 16, 3, 3): TensorProto.INT8,
        (32, 32, 3, 3): TensorProto.INT8,
    }
    assert [output.name for output in made.graph.output] == ["embedding"]
    assert report.mean_cosine > 0.98


def test_a_constant_network_is_quantised_too(tmp_path: Path, pictures: FloatArray, cache: Path) -> None:
    model = find_model(str(write_conv_network(tmp_path, constant=True)), tmp_path)
    report = run(model, pictures, cache)
    assert (report.mean_cosine, report.neighbours_kept) == (pytest.approx(1, abs=1e-4), 1)
    assert np.isfinite(embeddings(find_model("convs-int8", cache), pictures)).all()


def test_a_network_without_anything_to_quantise_does_not_become_another(
    tmp_path: Path, cache: Path, pictures: FloatArray
) -> None:
    from tests.live import write_tiny_model

    model = find_model(str(write_tiny_model(tmp_path)), tmp_path)
    report = run(model, pictures, cache)
    assert report.worst_cosine > 0.99
    assert find_model("tiles-int8", cache).spec.dim == 48


def test_neighbours_kept_counts_others_only() -> None:
    rows = normalise(np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32))
    assert quantise.neighbours_kept(rows, rows) == 1
    assert quantise.neighbours_kept(rows, rows[::-1].copy()) < 0.6
    same = np.ones((12, 4), np.float32) / 2
    assert quantise.neighbours_kept(same, same) == 1


# Again, stopped, failed


def test_a_second_run_replaces(tmp_path: Path, pictures: FloatArray, cache: Path) -> None:
    write_conv_network(tmp_path)
    first = run(find_model(str(tmp_path / "convs.onnx"), cache), pictures, cache)
    write_conv_network(tmp_path, constant=True)
    second = run(find_model(str(tmp_path / "convs.onnx"), cache), pictures, cache)
    assert find_model("convs-int8", cache).model_id == second.int8_model_id != first.int8_model_id
    kept = first.int8_model_id.partition("@")[2]
    assert sorted(p.name for p in (cache / "convs-int8").iterdir()) == sorted(
        [kept, "convs-int8.json", "convs-int8.onnx", "lock"]
    )
    # Libraries that were built with either go on with it.
    for report in (first, second):
        assert find_model_by_id(report.int8_model_id, cache).model_id == report.int8_model_id
    assert derived_names(cache) == ["convs-int8"]


def test_two_at_once_leave_one_of_them_whole(source: ModelFile, cache: Path) -> None:
    contents = [bytes([number]) * 50_000 for number in range(6)]
    threads = [threading.Thread(target=quantise._write, args=(source, data, cache)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # find_model compares the checksum in the description with the file.
    assert find_model("convs-int8", cache).path.read_bytes() in contents


@pytest.mark.parametrize("stage", ["embedding", "calibrating", "quantising", "choosing", "comparing"])
def test_stopped_in_the_middle_it_leaves_nothing(
    source: ModelFile, pictures: FloatArray, cache: Path, stage: str
) -> None:
    stop = threading.Event()
    with pytest.raises(InvalidInput, match="stopped; nothing was written"):
        run(source, pictures, cache, on_step=lambda now, *_: stop.set() if now == stage else None, stop=stop)
    assert not cache.exists()


@pytest.mark.parametrize("written", [1, 2, 3])
def test_killed_while_writing_it_leaves_no_model(
    source: ModelFile, cache: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    calls = 0

    def count(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > written:
                raise KeyboardInterrupt
            return call(*arguments)

        return counted

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", count(Path.write_bytes))
        patch.setattr(Path, "replace", count(Path.replace))
        with pytest.raises(KeyboardInterrupt):
            quantise._write(source, b"network", cache)
    with pytest.raises(ConfigError, match="unknown model 'convs-int8'"):
        find_model("convs-int8", cache)
    assert not derived_names(cache)
    assert not list(cache.rglob("*.part"))


def test_a_file_that_is_no_network_is_named(source: ModelFile, pictures: FloatArray, cache: Path) -> None:
    source.path.write_bytes(b"no network")
    with pytest.raises(EmbedderError, match=r"convs\.onnx.*no valid ONNX network"):
        run(source, pictures, cache)
    assert not cache.exists()


def test_what_the_tools_raise_is_told_in_one_line(
    source: ModelFile, pictures: FloatArray, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(quantise, "write_int8", broken)
    with pytest.raises(EmbedderError, match=r"model 'convs' cannot be quantised: RuntimeError: first$"):
        run(source, pictures, cache)


def test_a_cache_that_cannot_be_written_is_told(source: ModelFile, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(EmbedderError, match="model cache cannot be written"):
        quantise._write(source, b"", cache)


# Which model


def test_int8_forms_and_strange_names_are_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InvalidParameter, match="int8 form already"):
        quantise.find_source("compact-int8", cache)
    with pytest.raises(InvalidParameter, match="int8 form already"):
        quantise.find_source(str(write_conv_network(tmp_path, "some-int8")), cache)
    path = write_conv_network(tmp_path)
    path.with_suffix(".json").write_text(path.with_suffix(".json").read_text().replace('"convs"', '"a/b"'))
    with pytest.raises(InvalidParameter, match="'a/b'"):
        quantise.find_source(str(path), cache)
    with pytest.raises(ConfigError, match="unknown model 'nothing'"):
        quantise.find_source("nothing", cache)


def test_without_onnx_it_says_what_to_install(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbedderError, match=r"pip install 'image-search\[quantise\]'"):
        quantise.find_source("compact", cache)


# Which pictures


def read(folder: Path, **more: Any) -> Any:
    def small(image: Image.Image) -> FloatArray:
        return np.asarray(image.resize((2, 2)), np.float32).transpose(2, 0, 1)

    return QuantisingService(Preparer(64, 10**6, 10**6), 2).read(folder, small, 8, **more)


def test_every_beginning_of_the_order_is_spread() -> None:
    for count in (0, 1, 2, 7, 1000):
        assert sorted(_spread(count)) == list(range(count))
    gaps = np.diff(sorted(_spread(1000)[:100]))
    assert gaps.min() >= 5
    assert gaps.max() <= 20


@pytest.mark.parametrize(
    ("count", "expected"), [(32, (21, 11)), (300, (200, 100)), (600, (256, 344)), (756, (256, 500))]
)
def test_a_third_at_least_is_held_out(count: int, expected: tuple[int, int]) -> None:
    tensors = [np.full((1,), number, np.float32) for number in range(count)]
    calibration, held_out = _split(tensors)
    assert (len(calibration), len(held_out)) == expected
    assert sorted(float(t[0]) for t in (*calibration, *held_out)) == list(range(count))


def test_broken_files_and_copies_are_left_out(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(drawn(number)))
    (tmp_path / "below").mkdir()
    (tmp_path / "below/copy.jpg").write_bytes((tmp_path / "7.jpg").read_bytes())
    (tmp_path / "below/text.jpg").write_text("no picture")
    (tmp_path / "below/cut.jpg").write_bytes((tmp_path / "8.jpg").read_bytes()[:300])
    pictures = read(tmp_path)
    assert (len(pictures.calibration), len(pictures.held_out)) == (26, 14)
    assert {failure.path for failure in pictures.failed} == {"below/text.jpg", "below/cut.jpg"}


def test_too_few_are_refused_with_their_number(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds 0 pictures"):
        read(tmp_path)
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(drawn(number)))
    with pytest.raises(InvalidInput, match=r"holds 3 pictures .*at least 32"):
        read(tmp_path)
    with pytest.raises(InvalidInput, match="does not exist"):
        read(tmp_path / "nothing")


def test_reading_can_be_stopped(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(jpeg(drawn(1)))
    stop = threading.Event()
    stop.set()
    with pytest.raises(InvalidInput, match="stopped"):
        read(tmp_path, stop=stop)


# A real network


def test_mobilenet_stays_faithful(mobilenet: Path, cache: Path, tmp_path: Path) -> None:
    model = quantise.find_source(str(mobilenet), cache)
    tensors = np.stack([preprocess(drawn(number), model.spec) for number in range(40)])
    report = quantise.quantise(model, tensors[:16], tensors[16:], cache)
    assert report.mean_cosine > 0.95
    assert report.int8_file_bytes < report.file_bytes / 3
    assert find_model("mobilenet_v2_imagenet-int8", cache).spec.dim == 1280
