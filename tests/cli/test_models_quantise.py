"""`models quantise`, with the real quantiser over a network of a few kilobytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="onnx (requirements-quantise.txt) is not installed")

from image_search.embedding.models import find_model
from image_search.errors import ConfigError
from tests.cli.conftest import Cli
from tests.support import draw, jpeg


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 pictures, one of them cut, and a text."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.jpg").write_bytes(jpeg(draw((number * 6, 250 - number * 3, number * 5), mark=number)))
    (folder / "40.jpg").write_bytes((folder / "39.jpg").read_bytes()[:200])
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_json(cli: Cli, tiny_model: Path, folder: Path, data_dir: Path) -> None:
    outcome = cli("models", "quantise", tiny_model, "--with", folder, "--json")
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert set(report) == {
        "name",
        "model_id",
        "int8_model_id",
        "path",
        "calibration_pictures",
        "report_pictures",
        "file_bytes",
        "int8_file_bytes",
        "speed_ratio_one_thread",
        "speed_ratio_all_cores",
        "mean_cosine",
        "worst_cosine",
        "neighbours_kept",
        "pays",
        "faithful",
        "failed",
    }
    assert (report["name"], report["calibration_pictures"], report["report_pictures"]) == ("tiny-int8", 26, 14)
    assert {failure["path"] for failure in report["failed"]} == {"40.jpg", "notes.txt"}
    assert "Only 40 pictures" in outcome.err
    assert find_model("tiny-int8", data_dir / "models").model_id == report["int8_model_id"]
    listed = cli("models", "list", "--json").json
    assert [model["source"] for model in listed if model["name"] == "tiny-int8"] == [
        f"quantised to int8 from {report['model_id']}"
    ]


def test_text_says_how_to_use_it(cli: Cli, tiny_model: Path, folder: Path) -> None:
    outcome = cli("models", "quantise", tiny_model, "--with", folder)
    assert outcome.code == 0, outcome.err
    for part in ("26 pictures calibrated it, 14 others judge it, 2 files left out", "on one thread", "neighbours kept"):
        assert part in outcome.out
    assert "embedding.model = tiny-int8" in outcome.out
    assert "vectors of two models never meet" in outcome.out


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [("nothing", 2, "unknown model 'nothing'"), ("compact-int8", 2, "int8 form already")],
)
def test_models_that_cannot_be(cli: Cli, folder: Path, name: str, code: int, message: str) -> None:
    outcome = cli("models", "quantise", name, "--with", folder)
    assert outcome.code == code
    assert message in outcome.err


def test_folders_that_cannot_be(cli: Cli, tiny_model: Path, folder: Path, tmp_path: Path, data_dir: Path) -> None:
    for path in sorted(folder.glob("*.jpg"))[3:]:
        path.unlink()
    (tmp_path / "empty").mkdir()
    for given, message in (
        (folder, "holds 3 pictures"),
        (tmp_path / "empty", "holds 0 pictures"),
        (tmp_path / "gone", "not exist"),
    ):
        outcome = cli("models", "quantise", tiny_model, "--with", given, "--json")
        assert (outcome.code, outcome.json["error"]["type"]) == (1, "InvalidInput")
        assert message in outcome.err
    assert not (data_dir / "models").exists()
    assert cli("models", "quantise", tiny_model).code == 2


def test_without_onnx_it_says_what_to_install(
    cli: Cli, tiny_model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_search.embedding.quantise.has_tools", lambda: False)
    outcome = cli("models", "quantise", tiny_model, "--with", folder)
    assert outcome.code == 1
    assert outcome.err == "Error: quantising needs the onnx package: pip install 'image-search[quantise]'\n"


def test_ctrl_c_leaves_nothing(tiny_model: Path, folder: Path, data_dir: Path) -> None:
    for number in range(40, 800):
        (folder / f"{number}.jpg").write_bytes(jpeg(draw((number % 256, 99, 9), mark=number)) + number.to_bytes(2))
    command = [sys.executable, "-m", "image_search", "--data-dir", str(data_dir), "models", "quantise"]
    process = subprocess.Popen(
        [*command, str(tiny_model), "--with", str(folder), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert process.stderr is not None
    # Its first line of progress: from then on it listens to signals.
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, (first, err)
    assert "nothing was written" in json.loads(out)["error"]["message"]
    assert time.monotonic() - started < 60
    with pytest.raises(ConfigError):
        find_model("tiny-int8", data_dir / "models")
