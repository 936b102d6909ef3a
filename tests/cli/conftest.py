"""The command line as scripts see it: most tests over stand-ins, a few over the real stores and a tiny network."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from image_search.cli import main
from image_search.config import Settings
from image_search.vectors.memory_store import MemoryVectorStore
from tests.support import MeanColourProvider, draw, jpeg

DIM = 16
EDGE_PX = 32


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout; anything beside it is an error."""
        return json.loads(self.out)


Cli: TypeAlias = Callable[..., Outcome]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def cli(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run one command in this process, on the library of this test."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["image-search", "--data-dir", str(data_dir), *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        assert isinstance(code, int), code
        return Outcome(code, out, err)

    return run


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact search in memory and the mean-colour embedder in place of Milvus and a network."""
    stores: dict[str, MemoryVectorStore] = {}
    provider = MeanColourProvider()

    def open_store(settings: Settings) -> MemoryVectorStore:
        # A library is told by its file.
        Path(settings.milvus_uri).touch()
        return stores.setdefault(settings.milvus_uri, MemoryVectorStore())

    monkeypatch.setattr("image_search.adapters.vector_store", open_store)
    monkeypatch.setattr("image_search.adapters.embedder_provider", lambda *_: provider)


@pytest.fixture
def library(cli: Cli, gallery: Path) -> Path:
    """The gallery's folder, ingested."""
    assert cli("ingest", gallery).code == 0
    return gallery


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Give the next command these bytes on stdin, which is no terminal then."""

    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def check_error(outcome: Outcome, code: int, part: str) -> dict[str, Any]:
    """The error document of a command that was run with --json."""
    assert outcome.code == code, outcome
    document = outcome.json
    assert set(document) == {"error"}
    assert set(document["error"]) == {"type", "message"}
    assert part in document["error"]["message"]
    assert document["error"]["message"] in outcome.err
    assert "Traceback" not in outcome.err
    return dict(document)


def ids(cli: Cli, *more: object) -> dict[str, str]:
    """The ids of the library's pictures by their names."""
    return {image["source_name"]: image["id"] for image in cli("list", "--json", *more).json["images"]}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file of a few kilobytes, with the JSON beside it: two convolutions and a global average."""
    onnx = pytest.importorskip("onnx", reason="onnx is missing: requirements-dev.txt has it")
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(5)

    def weights(name: str, *shape: int) -> Any:
        return numpy_helper.from_array((random.standard_normal(shape) / 3).astype(np.float32), name)

    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["pixels", "w1", "b1"], ["c1"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c1"], ["r1"]),
            helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("GlobalAveragePool", ["c2"], ["pooled"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 3, EDGE_PX, EDGE_PX])],
        [helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["n", DIM, 1, 1])],
        [weights("w1", DIM, 3, 3, 3), weights("b1", DIM), weights("w2", DIM, DIM, 3, 3), weights("b2", DIM)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    onnx.save(model, str(path))
    description = {
        "name": "tiny",
        "dim": DIM,
        "resize_shortest_px": EDGE_PX,
        "crop_px": EDGE_PX,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
    }
    path.with_suffix(".json").write_text(json.dumps(description))
    return path


@pytest.fixture
def real(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Milvus Lite and the tiny network, configured through the environment."""
    if importlib.util.find_spec("milvus_lite") is None:
        pytest.skip("milvus_lite is not installed")
    monkeypatch.setenv("IMAGE_SEARCH_EMBEDDING__MODEL", str(tiny_model))


Start: TypeAlias = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(data_dir: Path, real: None) -> Any:
    """Start one command in a process of its own; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "image_search", "--data-dir", str(data_dir), *map(str, arguments)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 400 small pictures, no two the same."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(400):
        image = draw((number * 3 % 256, number * 11 % 256, number // 3), mark=number)
        (folder / f"{number:03}.jpg").write_bytes(jpeg(image) + number.to_bytes(2))
    return folder
