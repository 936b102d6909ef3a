"""Which model a library is used with, as the command line and the service say it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Start
from tests.live import free_port

pytestmark = pytest.mark.usefixtures("real")


@pytest.fixture
def own_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny network where this test can take it away."""
    for suffix in (".onnx", ".json"):
        shutil.copy(tiny_model.with_suffix(suffix), tmp_path / f"own{suffix}")
    return tmp_path / "own.onnx"


def test_a_library_keeps_its_model_and_a_new_one_takes_the_packaged(
    cli: Cli, gallery: Path, own_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMAGE_SEARCH_EMBEDDING__MODEL")
    new = cli("models", "which", "--json").json
    assert (new["model_id"].partition("@")[0], new["why"]) == ("compact", "default")
    ingested = cli("--set", f"embedding.model={own_model}", "ingest", gallery, "--json").json
    assert ingested["model_id"].startswith("tiny@")

    # Nothing is named any more: the library says which model it was built with, and where that lay is known.
    found = cli("models", "which", "--json").json
    assert (found["model_id"], found["why"]) == (ingested["model_id"], "library")
    hits = cli("search", gallery / "red/red_0.jpg", "--json").json["results"]
    assert hits[0]["source_name"] == "red/red_0.jpg"
    assert cli("ingest", gallery, "--json").json["unchanged"] == 15
    assert "collection 'default' was built with it" in cli("models", "which").out

    # A second collection beside it is new: it takes the packaged network, and both are searched by their own.
    assert cli("ingest", gallery, "--collection", "second", "--json").json["model_id"].startswith("compact@")
    for collection in ("default", "second"):
        outcome = cli("search", gallery / "blue/blue_0.jpg", "--collection", collection, "--json")
        assert outcome.json["results"][0]["source_name"] == "blue/blue_0.jpg", outcome.err
    status = cli("status", "--json").json
    assert status["model_choice"]["why"] == "library"

    own_model.unlink()
    for command in (("models", "which"), ("search", gallery / "red/red_0.jpg"), ("ingest", gallery)):
        outcome = cli(*command, "--json")
        assert outcome.code == 1, outcome
        assert f"model {ingested['model_id']} is not here" in outcome.json["error"]["message"]
        assert "set embedding.model" in outcome.json["error"]["message"]
    status = cli("status", "--json").json
    assert (status["images"], status["model_choice"]["why"]) == (15, "unusable")
    assert cli("search", gallery / "red/red_0.jpg", "--collection", "second").code == 0


def test_the_service_says_its_model_and_refuses_to_start_without(
    cli: Cli, start: Start, gallery: Path, own_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("--set", f"embedding.model={own_model}", "ingest", gallery).code == 0
    monkeypatch.delenv("IMAGE_SEARCH_EMBEDDING__MODEL")
    port = free_port()
    service = start("serve", "--port", port, "--json")
    assert service.stderr is not None
    assert service.stdout is not None
    line = service.stderr.readline()
    assert line.startswith("Model: tiny@")
    assert "collection 'default' was built with it" in line
    text = ""
    while not text.endswith("}\n}\n"):
        text += service.stdout.readline()
    ready = json.loads(text)
    assert ready["model"]["why"] == "library"
    service.send_signal(signal.SIGTERM)
    service.communicate(timeout=30)

    own_model.unlink()
    refused = start("serve", "--port", port)
    out, err = refused.communicate(timeout=60)
    assert (refused.returncode, out) == (1, "")
    assert "is not here" in err
    assert "set embedding.model to its .onnx file" in err
    assert "Traceback" not in err
    assert str(own_model) not in err


def test_a_name_that_is_none_is_misuse(cli: Cli, start: Start) -> None:
    process = start("--set", "embedding.model=compct", "serve", "--port", free_port())
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert "unknown model 'compct': known are compact, resnet50" in err


def test_models_are_listed(cli: Cli) -> None:
    listed = {model["name"]: model for model in cli("models", "list", "--json").json}
    assert (listed["compact"]["here"], listed["resnet50"]["here"]) == (True, False)
    assert "compact" in cli("models", "list").out
    pulled = cli("models", "pull", "compact", "--json")
    assert pulled.json["model_id"].startswith("compact@"), "it is here: nothing is fetched"
