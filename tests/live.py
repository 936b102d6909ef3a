"""A real service in a process of its own, over a tiny network made here, for browser and integration tests."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from image_search.samples import draw_samples

ADMIN_KEY = "only-for-these-tests"

COMMAND = [sys.executable, "-m", "image_search"]


def write_tiny_model(folder: Path) -> Path:
    """An ONNX file that averages the colours of a 4 x 4 grid of tiles (48 numbers), with its JSON."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("AveragePool", ["image"], ["tiles"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Reshape", ["tiles", "shape"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiles",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 48])],
        [numpy_helper.from_array(np.array([0, 48], np.int64), "shape")],
    )
    path = folder / "tiles.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    spec = {"name": "tiles", "dim": 48, "resize_shortest_px": 32, "crop_px": 32}
    path.with_suffix(".json").write_text(json.dumps(spec | {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}))
    return path


def environment(model: Path, data_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a process that uses this model and library, and nothing of who runs the tests."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("IMAGE_SEARCH_")}
    clean["IMAGE_SEARCH_EMBEDDING__MODEL"] = str(model)
    clean["IMAGE_SEARCH_LIBRARY__DATA_DIR"] = str(data_dir)
    return clean | more


def run_command(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The finished `image-search` command."""
    return subprocess.run([*COMMAND, *arguments], env=env, capture_output=True, text=True, timeout=120, check=False)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(env: dict[str, str], *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """(address, process) of a running `image-search serve` that is ready; ended at the end."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [*COMMAND, "serve", "--port", str(port), *arguments]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_until_ready(address, process)
            yield address, process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_ready(address: str, process: subprocess.Popen[str], limit_s: float = 60) -> None:
    """Return when /readyz says so; fails with what the process said when it ends instead."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the service ended: {process.stderr.read() if process.stderr else ''}")
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
            urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise AssertionError("the service was not ready in time")


@contextlib.contextmanager
def own_service(folder: Path, count: int) -> Iterator[str]:
    """Address of a service of some tests' own over `count` drawn pictures; ADMIN_KEY is its admin key."""
    pytest.importorskip("milvus_lite", reason="milvus-lite is missing: `make setup` installs it")
    pictures = folder / "pictures"
    pictures.mkdir()
    draw_samples(pictures, count=count)
    env = environment(write_tiny_model(folder), folder / "data", IMAGE_SEARCH_SECURITY__ADMIN_KEY=ADMIN_KEY)
    with serving(env, "--images", str(pictures)) as (address, _process):
        yield address
