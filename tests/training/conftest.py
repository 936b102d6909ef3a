"""Material of the tests' own for the training program: drawn pictures, and a teacher that only knows colours."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="onnx (requirements-dev.txt) is not installed")

from image_search.embedding.models import ModelFile, find_model
from tests.support import draw, jpeg
from tests.unit.onnx_files import write_model

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 50, 220), "grey": (120, 120, 120)}
PER_CLASS = 28


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of drawn pictures, a broken file, one that is far too long, and one that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir()
        for mark in range(PER_CLASS):
            shade = tuple(min(255, max(0, c + 3 * mark - 30)) for c in colour)
            picture = draw(shade, size=(96 + mark, 64 + 2 * number), mark=mark)  # type: ignore[arg-type]
            (folder / name / f"{mark:02}.jpg").write_bytes(jpeg(picture))
    (folder / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    (folder / "red" / "long.jpg").write_bytes(jpeg(draw((1, 2, 3), size=(400, 64))))
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """The tests' one-matrix network."""
    folder = tmp_path_factory.mktemp("teacher")
    return find_model(str(write_model(folder)), folder)
