"""Models as data: their JSON, their files, and how a registered one is fetched."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("onnx", reason="onnx (requirements-dev.txt) is not installed")

from image_search.embedding import models
from image_search.embedding.hub import pull_model
from image_search.embedding.models import REGISTRY, ModelSpec, find_model, read_spec, registered_path
from image_search.errors import ConfigError, EmbedderError
from tests.unit.onnx_files import DIM, EDGE, description, write_model, write_network

# The JSON beside a model


def read(tmp_path: Path, content: Any) -> ModelSpec:
    path = tmp_path / "tiny.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_spec(path)


def test_a_description_is_read(tmp_path: Path) -> None:
    spec = read(tmp_path, description(sha256="0" * 64, licence="Apache-2.0", input="image"))
    assert spec == ModelSpec(
        name="tiny",
        dim=DIM,
        resize_shortest_px=20,
        crop_px=EDGE,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        resample="bilinear",
        input="image",
        sha256="0" * 64,
        licence="Apache-2.0",
    )


@pytest.mark.parametrize("missing", ["name", "dim", "resize_shortest_px", "crop_px", "mean", "std"])
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    data = description()
    del data[missing]
    with pytest.raises(ConfigError, match=rf"tiny\.json: {missing} missing"):
        read(tmp_path, data)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"colour": 1}, "unknown colour; known are crop_px, dim"),
        ({"dim": "8"}, "dim must be a whole number"),
        ({"dim": 8.0}, "dim must be a whole number"),
        ({"dim": True}, "dim must be a whole number"),
        ({"dim": 0}, "dim must be a whole number from 1 to 32768, not 0"),
        ({"dim": 40_000}, "dim must be a whole number from 1 to 32768"),
        ({"crop_px": -1}, "crop_px must be"),
        ({"resize_shortest_px": None}, "resize_shortest_px must be"),
        ({"resize_shortest_px": 10, "crop_px": 20}, "resize_shortest_px must not be below crop_px"),
        ({"mean": 0.5}, "mean must be three numbers"),
        ({"mean": [0.5, 0.5]}, "mean must be three numbers"),
        ({"mean": [0.5, 0.5, "0.5"]}, "mean must be three numbers"),
        ({"std": [0.5, 0.5, float("nan")]}, "std must be three numbers"),
        ({"std": [0.5, 0.5, True]}, "std must be three numbers"),
        ({"std": [0.5, 0, 0.5]}, "std must not be 0"),
        ({"resample": "nearest"}, "resample must be one of bilinear, bicubic, lanczos"),
        ({"name": ""}, "name must not be empty"),
        ({"name": 5}, "name must be a text"),
        ({"input": 5}, "input must be a text"),
        ({"sha256": 5}, "sha256 must be a text"),
        ({"sha256": "abc"}, "sha256 must be 64 lowercase hex digits"),
        ({"licence": ["MIT"]}, "licence must be a text"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"^tiny\.json: .*{reason}"):
        read(tmp_path, description(**change))


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '"x"', "[" * 100_000], ids=lambda text: text[:4])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"tiny\.json"):
        read(tmp_path, text)


def test_no_json_at_all_says_what_is_needed(tmp_path: Path) -> None:
    path = write_network(tmp_path / "alone.onnx")
    with pytest.raises(ConfigError, match=r"alone\.json is missing.*name, dim, resize_shortest_px"):
        find_model(str(path), tmp_path)


# Finding


def test_an_onnx_file_by_its_path(tmp_path: Path) -> None:
    path = write_model(tmp_path / "my models")
    found = find_model(str(path), tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.path, found.sha256, found.model_id) == (path, digest, f"tiny@{digest[:12]}")
    assert sorted(p.name for p in path.parent.iterdir()) == ["tiny.json", "tiny.onnx"], "nothing is written beside it"


def test_a_path_is_relative_to_the_folder_one_is_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert find_model("tiny.onnx", tmp_path).path == path


def test_a_checksum_that_is_right_and_one_that_is_not(tmp_path: Path) -> None:
    path = write_model(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write_model(tmp_path, sha256=digest)
    assert find_model(str(path), tmp_path).sha256 == digest
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(EmbedderError, match=rf"tiny\.onnx' is damaged or another one.*expected {digest[:12]}"):
        find_model(str(path), tmp_path)


@pytest.mark.parametrize(
    ("model", "kind", "reason"),
    [
        ("", ConfigError, "unknown model '': known are compact, resnet50.*IMAGE_SEARCH_EMBEDDING__MODEL"),
        ("resnet51", ConfigError, "unknown model 'resnet51': known are compact, resnet50, or"),
        ("../resnet50", ConfigError, "unknown model"),
        ("weights.pt", ConfigError, "unknown model"),
        ("/nowhere/weights.onnx", EmbedderError, "'/nowhere/weights.onnx' does not exist"),
        ("resnet50", EmbedderError, "models pull resnet50.*resnet50/model.onnx"),
    ],
)
def test_what_is_not_there_says_what_to_do(tmp_path: Path, model: str, kind: type[Exception], reason: str) -> None:
    with pytest.raises(kind, match=reason):
        find_model(model, tmp_path)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(EmbedderError, match="does not exist"):
        find_model(str(tmp_path / "folder.onnx"), tmp_path)


def supply(cache: Path, data: bytes = b"weights") -> Path:
    path = registered_path(REGISTRY["resnet50"], cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_registered_model_may_be_supplied_by_hand_and_its_checksum_is_noted(tmp_path: Path) -> None:
    path = supply(tmp_path)
    first = find_model("resnet50", tmp_path)
    assert first.model_id == f"resnet50@{hashlib.sha256(b'weights').hexdigest()[:12]}"
    assert find_model("resnet50", tmp_path) == first
    assert pull_model("resnet50", tmp_path) == first, "what is there is not fetched"
    path.write_bytes(b"other weights")
    with pytest.raises(EmbedderError, match=r"changed since its first use.*model\.sha256"):
        find_model("resnet50", tmp_path)


def test_a_note_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    path = supply(tmp_path)
    path.with_suffix(".sha256").write_bytes(b"\xff\xfe")
    with pytest.raises(EmbedderError, match="checksum beside"):
        find_model("resnet50", tmp_path)


def test_a_registered_checksum_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supply(tmp_path)
    spec = replace(REGISTRY["resnet50"], sha256="1" * 64)
    monkeypatch.setitem(models.REGISTRY, "resnet50", spec)
    with pytest.raises(EmbedderError, match="expected 111111111111"):
        pull_model("resnet50", tmp_path)


def test_another_file_of_a_registered_name_leaves_no_note(tmp_path: Path) -> None:
    path = write_model(tmp_path, name="resnet50")
    assert find_model(str(path), tmp_path).spec.name == "resnet50"
    assert not path.with_suffix(".sha256").exists()


def test_the_registry_is_complete() -> None:
    for name, spec in REGISTRY.items():
        assert name == spec.name
        for field in ("licence", "source", "filename", *(("repo_id", "revision") if spec.repo_id else ("sha256",))):
            assert getattr(spec, field), f"{name}: {field}"
        assert spec.resize_shortest_px >= spec.crop_px
        values = {f.name: getattr(spec, f.name) for f in fields(spec)}
        assert models._spec_from(values | {"mean": list(spec.mean), "std": list(spec.std)}, name) == spec


# Fetching: a server of the test's own stands in for the hub

COMMIT = "43b3ed7" + "0" * 33


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does for one file; `stall_at` = sends so much and then no more."""

    protocol_version = "HTTP/1.1"
    data = b""
    stall_at: int | None = None
    wrong_digest = ""
    stalled = threading.Event()
    released = threading.Event()
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        asked = self.headers.get("Range")
        type(self).seen.append((f"{self.command} {self.path}", asked))
        known = {"/Qdrant/resnet50-onnx/resolve/43b3ed7/model.onnx", "/cdn/model"}
        if self.path not in known or not self.data:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        digest = self.wrong_digest or hashlib.sha256(self.data).hexdigest()
        if self.path != "/cdn/model":
            # A large file lies on another host.
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/cdn/model")
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(len(self.data)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(self.data) - 1}/{len(self.data)}")
        self.send_header("Content-Length", str(len(self.data) - start))
        self.send_header("ETag", '"of the store\'s own"')
        self.end_headers()
        if not body:
            return
        if self.stall_at is None:
            self.wfile.write(self.data[start:])
        else:
            self.wfile.write(self.data[start : self.stall_at])
            self.wfile.flush()
            self.stalled.set()
            self.released.wait(30)
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing on the screen."""


@pytest.fixture
def hub() -> Iterator[tuple[type[Hub], str]]:
    handler = type("OneHub", (Hub,), {"seen": [], "stalled": threading.Event(), "released": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    handler.released.set()
    server.shutdown()
    server.server_close()


PULL = """
import sys
from pathlib import Path
from image_search.embedding.hub import pull_model
from image_search.errors import FetchError
try:
    model = pull_model("resnet50", Path(sys.argv[1]))
    print(model.model_id, model.path)
except FetchError as error:
    print(f"FetchError retryable={error.retryable}: {error}")
"""


def start_pull(cache: Path, endpoint: str, **environment: str) -> subprocess.Popen[str]:
    """A process of its own: the hub's client reads its address when it is imported."""
    environ = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and "HF_" not in name}
    environ |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"} | environment
    return subprocess.Popen(
        [sys.executable, "-c", PULL, str(cache)], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def pull(cache: Path, endpoint: str, **environment: str) -> str:
    process = start_pull(cache, endpoint, **environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()


def test_pull_fetches_the_pinned_revision_once(tmp_path: Path, hub: tuple[type[Hub], str]) -> None:
    handler, endpoint = hub
    handler.data = write_network(tmp_path / "source.onnx").read_bytes()
    digest = hashlib.sha256(handler.data).hexdigest()
    path = registered_path(REGISTRY["resnet50"], tmp_path)
    assert pull(tmp_path, endpoint) == f"resnet50@{digest[:12]} {path}"
    assert path.read_bytes() == handler.data
    assert {request.split()[1] for request, _ in handler.seen} == {
        "/Qdrant/resnet50-onnx/resolve/43b3ed7/model.onnx",
        "/cdn/model",
    }
    asked = len(handler.seen)
    assert pull_model("resnet50", tmp_path).sha256 == digest, "it is there: no network is needed any more"
    assert len(handler.seen) == asked


def test_pull_goes_on_where_a_killed_one_stopped(tmp_path: Path, hub: tuple[type[Hub], str]) -> None:
    handler, endpoint = hub
    # The client writes in pieces of 10 MB.
    handler.data = write_network(tmp_path / "source.onnx").read_bytes() + bytes(range(256)) * 50_000
    handler.stall_at = 11 * 2**20
    process = start_pull(tmp_path, endpoint)
    assert handler.stalled.wait(30)
    partial = tmp_path / "resnet50"
    for _ in range(500):
        if any(part.stat().st_size for part in partial.glob("*.part")):
            break
        handler.released.wait(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert not registered_path(REGISTRY["resnet50"], tmp_path).exists(), "half a model is no model"

    handler.stall_at = None
    handler.released.set()
    handler.seen.clear()
    digest = hashlib.sha256(handler.data).hexdigest()
    assert pull(tmp_path, endpoint).startswith(f"resnet50@{digest[:12]} ")
    ranges = [asked for request, asked in handler.seen if request == "GET /cdn/model"]
    assert len(ranges) == 1
    kept = int((ranges[0] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
    assert 0 < kept <= 11 * 2**20


def test_pull_goes_on_by_itself_when_the_line_drops(tmp_path: Path, hub: tuple[type[Hub], str]) -> None:
    handler, endpoint = hub
    handler.data = write_network(tmp_path / "source.onnx").read_bytes() + bytes(range(256)) * 50_000
    handler.stall_at = 11 * 2**20
    process = start_pull(tmp_path, endpoint)
    assert handler.stalled.wait(30)
    handler.stall_at = None
    handler.released.set()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.startswith(f"resnet50@{hashlib.sha256(handler.data).hexdigest()[:12]} ")


def test_two_pulls_at_once_fetch_it_once(tmp_path: Path, hub: tuple[type[Hub], str]) -> None:
    handler, endpoint = hub
    handler.data, handler.stall_at = os.urandom(200_000), 100_000
    first = start_pull(tmp_path, endpoint)
    assert handler.stalled.wait(60)
    second = start_pull(tmp_path, endpoint)
    while sum(asked.startswith("HEAD /Qdrant/") for asked, _ in handler.seen) < 2:
        time.sleep(0.02)
    handler.stall_at = None
    handler.released.set()
    for process in (first, second):
        out, err = process.communicate()
        assert process.returncode == 0, err
        assert out.startswith("resnet50@"), out
    assert sum(asked == "GET /cdn/model" for asked, _ in handler.seen) == 2, "the one that stalled, and its rest"
    assert not list(tmp_path.rglob("*.part"))


def test_pull_of_other_bytes_than_the_hub_announces_keeps_nothing(tmp_path: Path, hub: tuple[type[Hub], str]) -> None:
    handler, endpoint = hub
    handler.data = write_network(tmp_path / "source.onnx").read_bytes()
    handler.wrong_digest = "1" * 64
    assert pull(tmp_path, endpoint).startswith("FetchError")
    assert list((tmp_path / "resnet50").iterdir()) == []


def test_pull_of_what_the_hub_does_not_have(tmp_path: Path, hub: tuple[type[Hub], str]) -> None:
    _, endpoint = hub
    answer = pull(tmp_path, endpoint)
    assert answer.startswith("FetchError"), answer
    assert "Qdrant/resnet50-onnx" in answer


@pytest.mark.parametrize("offline", ["0", "1"])
def test_pull_without_network_says_how_to_supply_the_file(tmp_path: Path, offline: str) -> None:
    answer = pull(tmp_path, "http://127.0.0.1:9", HF_HUB_OFFLINE=offline)
    assert answer.startswith("FetchError retryable=True: model 'resnet50' could not be fetched from the hub")
    assert "Without network: fetch model.onnx elsewhere" in answer
    assert "resnet50/model.onnx" in answer
    assert not registered_path(REGISTRY["resnet50"], tmp_path).exists()


def test_pull_of_a_name_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown model 'resnet51'"):
        pull_model("resnet51", tmp_path)
