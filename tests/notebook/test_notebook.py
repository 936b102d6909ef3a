"""The notebook runs from top to bottom, over drawn samples and over a service; what is committed has no outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from traitlets.config import Config

from tests.live import environment, serving, write_tiny_model
from tests.notebook.conftest import write_encoder
from tests.support import draw, jpeg, write_gallery

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "similar_images.ipynb"
UPLOAD = """
import datetime
upload.children[0].value = ({{
    "name": "mine.jpg", "type": "image/jpeg", "size": 1, "content": memoryview({data!r}),
    "last_modified": datetime.datetime(2026, 1, 1),
}},)
print(upload.children[1].value)
"""


def the_notebook() -> NotebookNode:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    return notebook


def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: bytes, parameters: Mapping[str, str]
) -> dict[str, list[Any]]:
    """The outputs of each cell by its id, after a run with these parameters and an upload of the picture."""
    # Whatever the person has configured for Jupyter stays outside.
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    root = str(NOTEBOOK.parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])))
    notebook = the_notebook()
    places = {cell["id"]: place for place, cell in enumerate(notebook.cells)}
    for name, value in parameters.items():
        cell = notebook.cells[places["parameters"]]
        assert re.search(rf"^{name} = ", cell.source, re.MULTILINE), name
        cell.source += f"\n{name} = {value!r}"
    notebook.cells.insert(places["upload"] + 1, new_code_cell(UPLOAD.format(data=picture), id="uploaded"))
    folder = {"metadata": {"path": str(NOTEBOOK.parent)}}
    # However busy the machine is: a kernel that is killed cannot tidy up.
    patient = Config({"KernelManager": {"shutdown_wait_time": 3600}})
    client = NotebookClient(
        notebook, timeout=None, startup_timeout=3600, kernel_name="python3", resources=folder, config=patient
    )
    client.execute()
    return {cell["id"]: cell.get("outputs", []) for cell in notebook.cells}


def html(outputs: list[Any]) -> str:
    (found,) = (output["data"]["text/html"] for output in outputs if "text/html" in output.get("data", {}))
    return str(found)


def printed(outputs: list[Any]) -> str:
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


def test_it_runs_on_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    outputs = run(tmp_path, monkeypatch, jpeg(draw((220, 30, 30), size=(300, 200))), {"TOP_K": 6})  # type: ignore[dict-item]
    assert printed(outputs["open"]) == "240 pictures\n"
    assert html(outputs["random"]).count("<img") == 6
    similar = html(outputs["similar"])
    assert similar.count("<img") == 6
    assert "<b>1.000</b> identical" in similar
    uploaded = printed(outputs["uploaded"])
    assert (uploaded.count("<img"), "Similar to mine.jpg" in uploaded) == (6, True)
    assert html(outputs["words"]).count("<img") >= 1
    assert printed(outputs["texts"]) == "240 texts\n"
    assert html(outputs["texts-like"]).count("<tr>") == 1 + 6
    assert "1.000" in html(outputs["texts-like"])
    measured = html(outputs["projections"])
    assert all(f">{name}<" in measured for name in ("none", "pca:8", "pca:16", "random:64"))
    (plot,) = (output["data"]["image/svg+xml"] for output in outputs["plot"] if "data" in output)
    assert "<svg" in plot
    for name in ("random", "similar", "words", "texts-like", "projections"):
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", html(outputs[name]))
    # The samples are gone with the process.
    assert not list(tmp_path.glob("image-search-notebook-*"))


def test_it_runs_over_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery = tmp_path / "gallery"
    write_gallery(gallery)
    (gallery / "metadata.jsonl").write_text(
        '{"filename": "red/red_0.jpg", "title": "the cat <b>", "tags": ["puppy"]}\n'
    )
    (tmp_path / "texts.txt").write_text("a cat\na kitten\nthe dog\na boat\n")
    encoder = write_encoder(tmp_path / "encoder")
    env = environment(write_tiny_model(tmp_path), tmp_path / "data")
    with serving(env, "--images", str(gallery)) as (address, _):
        parameters = {"PLACE": address, "TEXTS": str(tmp_path / "texts.txt"), "SENTENCE_ENCODER": str(encoder)}
        outputs = run(tmp_path, monkeypatch, (gallery / "blue/blue_3.jpg").read_bytes(), parameters)
    assert printed(outputs["open"]) == "15 pictures\n"
    assert html(outputs["random"]).count("<img") == 8
    uploaded = printed(outputs["uploaded"])
    assert uploaded.index("blue_3.jpg") < uploaded.index("blue_", uploaded.index("blue_3.jpg") + 200)
    assert "identical" in uploaded
    # By meaning: a kitten is like a cat, and nothing else here is.
    found = html(outputs["texts-like"])
    assert re.findall("a (?:cat|kitten|boat)|the dog", found) == ["a cat", "a kitten"]
    assert "behind a service" in printed(outputs["plot"])


def test_what_is_committed_has_no_outputs_and_needs_nothing_from_elsewhere() -> None:
    notebook = the_notebook()
    for cell in notebook.cells:
        assert "attachments" not in cell
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            # What is more than a few lines lives in a module with tests.
            assert len(cell.source.splitlines()) <= 14
            assert "pip install" not in cell.source
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[\w.:-]+", text)) <= {"http://127.0.0.1:5000"}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
