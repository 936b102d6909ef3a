"""gunicorn as it is deployed: what the master holds, reloading, ending, and how many workers a library takes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.live import environment, run_command, serving, write_tiny_model
from tests.support import draw, jpeg

PICTURE = jpeg(draw((180, 60, 40)))
HEADERS = {"Content-Type": "image/jpeg"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path)


@contextlib.contextmanager
def _searching(address: str, clients: int = 3) -> Iterator[Counter[str]]:
    """Clients that search over and over while the block runs, each with connections of its own; what they got."""
    outcomes: Counter[str] = Counter()
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            try:
                answer = httpx.post(f"{address}/search", content=PICTURE, headers=HEADERS, timeout=60, trust_env=False)
                outcomes[str(answer.status_code)] += 1
            except httpx.TransportError as error:
                outcomes[type(error).__name__] += 1

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _workers(process: Popen[str]) -> set[int]:
    found = set()
    for child in psutil.Process(process.pid).children():
        # It may end while it is looked at.
        with contextlib.suppress(psutil.NoSuchProcess):
            if "python" in child.name():
                found.add(child.pid)
    return found


def _reload(process: Popen[str]) -> None:
    before = _workers(process)
    process.send_signal(signal.SIGHUP)
    while not (now := _workers(process)) or now & before:
        assert process.poll() is None
        time.sleep(0.1)


def _insert(address: str, key: str) -> None:
    headers = HEADERS | {"X-API-Key": key}
    assert httpx.post(f"{address}/insert", content=PICTURE, headers=headers, trust_env=False, timeout=60).is_success


def test_nothing_is_open_before_the_fork(model: Path, tmp_path: Path) -> None:
    env = environment(model, tmp_path / "data", IMAGE_SEARCH_SECURITY__ADMIN_KEY="key")
    with serving(env) as (address, process):
        _insert(address, "key")
        master = psutil.Process(process.pid)
        assert master.num_threads() == 1
        assert {connection.status for connection in master.net_connections()} == {psutil.CONN_LISTEN}
        loaded = {Path(part.path).name for part in master.memory_maps()}
        assert not [name for name in loaded if "onnxruntime" in name or "cygrpc" in name]
        [worker] = _workers(process)
        assert [part for part in psutil.Process(worker).memory_maps() if "onnxruntime" in part.path]


def test_a_reload_loses_no_request_of_an_embedded_library(model: Path, tmp_path: Path) -> None:
    env = environment(model, tmp_path / "data", IMAGE_SEARCH_SECURITY__ADMIN_KEY="key")
    with serving(env) as (address, process):
        _insert(address, "key")
        with _searching(address) as outcomes:
            for _ in range(2):
                _reload(process)
                # The last one to serve is the one that owns the library now.
                before = sum(outcomes.values())
                while sum(outcomes.values()) < before + 20:
                    time.sleep(0.1)
        assert set(outcomes) == {"200"}, outcomes
        _insert(address, "key")


def test_a_reload_reads_the_settings_again_and_survives_bad_ones(model: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.ini"
    config.write_text("[security]\nadmin_key = one\n")
    env = environment(model, tmp_path / "data", IMAGE_SEARCH_CONFIG=str(config))
    with serving(env) as (address, process):

        def status(key: str) -> int:
            return httpx.get(f"{address}/jobs", headers={"X-API-Key": key}, trust_env=False, timeout=60).status_code

        assert (status("one"), status("two")) == (200, 401)
        config.write_text("[security]\nadmin_key = two\n")
        _reload(process)
        assert (status("one"), status("two")) == (401, 200)
        config.write_text("[security]\nno_such_key = 3\n")
        _reload(process)
        assert (status("one"), status("two")) == (401, 200)
        # One worker cannot become several: they would not share their numbers, nor an embedded library.
        config.write_text("[security]\nadmin_key = three\n[http_server]\nworkers = 2\n")
        _reload(process)
        assert (status("two"), len(_workers(process))) == (200, 1)
        # Callers know the address, and a port that is taken would end the service.
        config.write_text("[security]\nadmin_key = two\n[http_server]\nhost = 127.0.0.2\n")
        _reload(process)
        assert status("two") == 200
        # What only a new worker finds out ends that worker, and nobody else.
        config.write_text("[security]\nadmin_key = three\n[storage]\nimage_urls = presigned\n")
        process.send_signal(signal.SIGHUP)
        for workers in (2, 1):
            while len(_workers(process)) != workers:
                assert process.poll() is None
                time.sleep(0.02)
        assert (status("two"), status("three")) == (200, 401)
        config.write_text("[security]\nadmin_key = three\n")
        _reload(process)
        assert (status("two"), status("three")) == (401, 200)


def test_what_was_begun_is_answered_before_the_end(model: Path, tmp_path: Path) -> None:
    env = environment(model, tmp_path / "data", IMAGE_SEARCH_SECURITY__ADMIN_KEY="key")
    with serving(env) as (address, process):
        _insert(address, "key")
        # More than there are threads: some wait for one.
        with _searching(address, clients=12) as outcomes:
            while outcomes["200"] < 20:
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0
        # Those that came after it found nobody; none was left without its answer.
        assert set(outcomes) <= {"200", "ConnectError"}, outcomes


def test_a_worker_that_dies_is_replaced(model: Path, tmp_path: Path) -> None:
    env = environment(model, tmp_path / "data", IMAGE_SEARCH_SECURITY__ADMIN_KEY="key")
    with serving(env) as (address, process):
        _insert(address, "key")
        [worker] = _workers(process)
        os.kill(worker, signal.SIGKILL)
        while not (_workers(process) - {worker}):
            time.sleep(0.1)
        answer = httpx.post(f"{address}/search", content=PICTURE, headers=HEADERS, timeout=120, trust_env=False)
        assert answer.json()["results"][0]["match"] == "identical"


@pytest.mark.parametrize("length", ["Content-Length: 100000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"])
def test_a_slow_upload_without_a_key_is_answered_at_once_and_holds_no_thread(
    model: Path, tmp_path: Path, length: str
) -> None:
    env = environment(
        model,
        tmp_path / "data",
        IMAGE_SEARCH_SECURITY__ADMIN_KEY="key",
        IMAGE_SEARCH_HTTP_SERVER__THREADS="1",
    )
    head = f"POST /import HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-hdf5\r\n{length}"
    with serving(env) as (address, _), contextlib.ExitStack() as held:
        url = urlsplit(address)
        slow = [
            held.enter_context(socket.create_connection((url.hostname or "", url.port or 0), timeout=60))
            for _ in range(3)
        ]
        for client in slow:
            client.sendall(head.encode())
        for client in slow:
            answer = b""
            # Its end too comes while nothing more was sent, or the connection closed here.
            while piece := client.recv(65_536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 401"), answer
            assert b"\r\nConnection: close\r\n" in answer
        # All of them are still there, and the one thread serves others.
        assert httpx.get(f"{address}/livez", timeout=60, trust_env=False).status_code == 200


def test_a_small_refused_body_leaves_the_connection_open(model: Path, tmp_path: Path) -> None:
    env = environment(model, tmp_path / "data", IMAGE_SEARCH_SECURITY__ADMIN_KEY="key")
    with serving(env) as (address, _):
        url = urlsplit(address)
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=60) as client:
            for _ in range(2):
                client.sendall(b"POST /insert HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + bytes(1000))
                answer = b""
                while not answer.endswith(b"}") and (piece := client.recv(65_536)):
                    answer += piece
                assert answer.startswith(b"HTTP/1.1 401"), answer
                assert b"\r\nConnection: keep-alive\r\n" in answer


def test_several_workers_on_an_embedded_library_are_refused_with_the_reason(model: Path, tmp_path: Path) -> None:
    env = environment(model, tmp_path / "data", IMAGE_SEARCH_HTTP_SERVER__WORKERS="2")
    refused = run_command(env, "serve", "--port", "0")
    assert refused.returncode == 2
    assert "a Milvus Lite file serves one process" in refused.stderr
    assert not (tmp_path / "data" / "library.db").exists()


def test_init_makes_what_is_missing_and_leaves_what_is_there(model: Path, tmp_path: Path) -> None:
    env = environment(model, tmp_path / "data")
    first, again = run_command(env, "init"), run_command(env, "init")
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "is made, with tiles@" in first.stderr
    assert "is there, with tiles@" in again.stderr
