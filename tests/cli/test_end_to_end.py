"""The commands over Milvus Lite and a real (tiny) network, each of them a whole story."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import DIM, Cli, ids
from tests.support import write_gallery

pytestmark = pytest.mark.usefixtures("real")


def found(cli: Cli, picture: Path, *more: object) -> list[tuple[str, float]]:
    outcome = cli("search", picture, "--top-k", 100, "--json", *more)
    assert outcome.code == 0, outcome.err
    return [(result["source_name"], result["score"]) for result in outcome.json["results"]]


def same(one: list[tuple[str, float]], other: list[tuple[str, float]], tolerance: float = 1e-3) -> None:
    """The same pictures with the same scores, as far as vectors of 16 bits have them."""
    assert dict(one) == pytest.approx(dict(other), abs=tolerance)


def test_a_folder_becomes_a_library_that_moves_and_changes(cli: Cli, tmp_path: Path) -> None:
    gallery = tmp_path / "larger"
    count = len(write_gallery(gallery, per_colour=8))
    report = cli("ingest", gallery, "--json").json
    assert (report["added"], report["failed"]) == (count, [])
    assert report["model_id"].startswith("tiny@")
    query = gallery / "red/red_3.jpg"
    before = found(cli, query)
    assert before[0] == ("red/red_3.jpg", pytest.approx(1, abs=1e-5))
    assert all(name.startswith("red/") for name, _ in before[:5])
    status = cli("status", "--json").json
    expected = {"images": count, "dim": DIM, "index": "FLAT", "projection": "none", "model": report["model_id"]}
    assert {key: status[key] for key in expected} == expected

    file = tmp_path / "library.h5"
    assert cli("export", file, "--json").json["images"] == count
    assert cli("import", file, "--collection", "copy", "--json").json["added"] == count
    copied = found(cli, query, "--collection", "copy")
    same(copied, before)

    fitted = cli("index", "--fit", "pca:2", "--json")
    assert fitted.code == 0, fitted.err
    assert (fitted.json["dim"], fitted.json["images"]) == (2, count)
    assert fitted.json["projection_id"].startswith("pca")
    assert all(name.startswith("red/") for name, _ in found(cli, query)[:8])
    # The copy keeps its own vectors, and a projected collection moves with its projection.
    assert found(cli, query, "--collection", "copy") == copied
    assert cli("export", tmp_path / "short.h5", "--json").json["dim"] == 2
    moved = cli("import", tmp_path / "short.h5", "--collection", "short", "--json")
    assert moved.json["added"] == count
    same(found(cli, query, "--collection", "short"), found(cli, query))

    back = cli("index", "--projection", "none", "--json").json
    assert (back["dim"], back["images"], back["projection_id"]) == (DIM, count, "none")
    same(found(cli, query), before)
    assert cli("ingest", gallery, "--json").json["unchanged"] == count


def test_pictures_are_described_found_by_words_deleted_and_brought_back(cli: Cli, gallery: Path) -> None:
    assert cli("ingest", gallery).code == 0
    red, blue = (ids(cli)[name] for name in ("red/red_0.jpg", "blue/blue_0.jpg"))
    changed = cli("update", red[:12], "--title", "Zwei Boote im Hafen", "--tags", "sea,boat", "--field", "year=2019")
    assert changed.code == 0, changed.err
    assert cli("update", blue[:12], "--title", "灯台と海").code == 0
    for words, wanted in (("boote", red), ("灯台", blue)):
        (hit,) = cli("search", "--text", words, "--json").json["results"]
        assert (hit["id"], hit["found_by"]) == (wanted, ["text"])
    where = '{"fields.year": {"gte": 2019}, "tags": {"any": ["boat"]}}'
    both = cli("search", gallery / "blue/blue_0.jpg", "--text", "Hafen", "--filter", where, "--json").json["results"]
    assert [(hit["id"], hit["found_by"]) for hit in both] == [(red, ["image", "text"])]
    assert [image["id"] for image in cli("list", "--filter", where, "--json").json["images"]] == [red]
    assert [image["id"] for image in cli("random", "--filter", where, "--json").json["images"]] == [red]

    assert cli("check", gallery / "red/red_0.jpg", "--exact").code == 0
    assert cli("delete", red[:12], "--json").json["deleted"] == 1
    assert cli("check", gallery / "red/red_0.jpg", "--exact").code == 1
    assert cli("search", "--text", "boote", "--json").json["results"] == []
    assert cli("restore", red[:12], "--json").json["restored"][0]["title"] == "Zwei Boote im Hafen"
    assert cli("search", "--text", "boote", "--json").json["results"][0]["id"] == red


@pytest.mark.parametrize(("kept", "tolerance"), [("--originals", 1e-3), ("", 0.02)], ids=["originals", "reduced"])
def test_the_three_stages_give_what_ingest_gives(cli: Cli, gallery: Path, kept: str, tolerance: float) -> None:
    assert cli("preprocess", gallery, *filter(None, [kept]), "--json").json["added"] == 15
    assert cli("embed", "--json").json["added"] == 15
    assert cli("index", "--collection", "staged", "--json").json["images"] == 15
    assert cli("ingest", gallery, "--collection", "direct", "--json").json["added"] == 15
    for picture in ("red/red_3.jpg", "green/green_0.jpg", "blue/blue_4.jpg"):
        staged = found(cli, gallery / picture, "--collection", "staged")
        same(staged, found(cli, gallery / picture, "--collection", "direct"), tolerance)
        assert staged[0][0] == picture
    assert sorted(cli("status", "--json").json["collections"]) == ["direct", "staged"]


def test_another_model_is_refused_with_what_to_do(
    cli: Cli, gallery: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("ingest", gallery).code == 0
    other = tmp_path / "other.onnx"
    # Bytes after the end change the checksum; ONNX ignores an unknown field.
    other.write_bytes(tiny_model.read_bytes() + b"\xf2\x06\x01x")
    other.with_suffix(".json").write_text(
        json.dumps({**json.loads(tiny_model.with_suffix(".json").read_text()), "name": "other"})
    )
    monkeypatch.setenv("IMAGE_SEARCH_EMBEDDING__MODEL", str(other))
    for command in (["search", gallery / "red/red_0.jpg"], ["ingest", gallery], ["index"]):
        outcome = cli(*command, "--json")
        assert outcome.code == 1
        error: dict[str, Any] = outcome.json["error"]
        assert error["type"] == "ModelMismatch"
        assert "tiny@" in error["message"]
        assert "embedding.model" in error["message"]
    assert cli("status", "--json").json["images"] == 15


MODELS = [
    ("", 2, "known are compact, resnet50"),
    ("resnet50", 1, "models pull resnet50"),
    ("resnet51", 2, "resnet51"),
    ("/nowhere/x.onnx", 1, "does not exist"),
]


@pytest.mark.parametrize(("model", "code", "part"), MODELS)
def test_a_missing_model_says_what_to_do(
    cli: Cli, gallery: Path, monkeypatch: pytest.MonkeyPatch, model: str, code: int, part: str
) -> None:
    monkeypatch.setenv("IMAGE_SEARCH_EMBEDDING__MODEL", model)
    outcome = cli("ingest", gallery, "--json")
    assert (outcome.code, part in outcome.json["error"]["message"]) == (code, True), outcome
    assert "Traceback" not in outcome.err


def test_a_model_file_that_is_none(cli: Cli, gallery: Path, tmp_path: Path, tiny_model: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    run = ("--set", f"embedding.model={broken}", "ingest", gallery, "--json")
    assert "broken.json is missing" in cli(*run).json["error"]["message"]
    description = json.loads(tiny_model.with_suffix(".json").read_text())
    broken.with_suffix(".json").write_text(json.dumps({**description, "dim": "16"}))
    assert "dim must be" in cli(*run).json["error"]["message"]
    broken.with_suffix(".json").write_text(json.dumps(description))
    outcome = cli(*run)
    assert outcome.code == 1
    assert "no valid ONNX network" in outcome.json["error"]["message"]
    broken.write_bytes(tiny_model.read_bytes())
    broken.with_suffix(".json").write_text(json.dumps({**description, "dim": 32}))
    assert "gives 16 numbers" in cli(*run).json["error"]["message"]
