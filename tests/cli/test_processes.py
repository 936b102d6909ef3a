"""Commands as processes: killed, stopped, two at once, and beside a service."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli, Start
from tests.support import draw, jpeg

pytestmark = pytest.mark.usefixtures("real")

SMALL_CHUNKS = ("--set", "ingest.chunk_size=8", "--set", "embedding.batch_size=4")


def until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None, limit_s: float = 30) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if process is not None and process.poll() is not None:
            out, err = process.communicate()
            pytest.fail(f"the process ended too early with {process.returncode}: {out} {err}")
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def stored(data_dir: Path) -> int:
    """Pictures in the image store, a moment ago."""
    return sum(len(files) for _, _, files in os.walk(data_dir / "images" / "thumbnails"))


def check_whole(cli: Cli, folder: Path, count: int) -> None:
    """Nothing is lost, nothing is there twice, in the collection and in the kept vectors."""
    status = cli("status", "--json").json
    assert status["images"] == count
    assert cli("ingest", folder, "--json").json["unchanged"] == count
    # The rebuilds read the kept vectors: each picture once, whatever was written twice.
    for projection in ("random:8", "none"):
        assert cli("index", "--projection", projection, "--json").json["images"] == count
    first = cli("search", folder / "007.jpg", "--top-k", 2, "--json").json["results"]
    assert (first[0]["source_name"], first[0]["match"]) == ("007.jpg", "identical")
    assert first[0]["sources"] == ["007.jpg"]


def test_kill_9_in_the_middle_and_again(cli: Cli, start: Start, many: Path, data_dir: Path) -> None:
    for wanted in (40, 120):
        process = start(*SMALL_CHUNKS, "ingest", many, "--json")
        until(lambda wanted=wanted: stored(data_dir) >= wanted, process)
        process.kill()
        out, _ = process.communicate()
        assert out == ""
    outcome = cli("ingest", many, "--json")
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert (report["failed"], report["duplicates"]) == ([], 0)
    assert report["added"] + report["unchanged"] == 400
    # At most what was on its way is done again.
    assert report["unchanged"] >= 120 - 4 * 8
    assert report["added"] > 0
    check_whole(cli, many, 400)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_clean_and_a_later_run_goes_on(
    cli: Cli, start: Start, many: Path, data_dir: Path, number: signal.Signals
) -> None:
    # So small that the stop comes long before the end, however fast the machine.
    process = start("--set", "ingest.chunk_size=2", "--set", "embedding.batch_size=1", "ingest", many, "--json")
    until(lambda: stored(data_dir) >= 5, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1, err
    first = json.loads(out)
    assert first["interrupted"] is True
    assert 0 < first["added"] < 400
    assert "Traceback" not in err
    assert "start the same command again" in err
    assert not (data_dir / "service.json").exists()
    assert cli("status", "--json").json["images"] == first["added"]
    second = cli("ingest", many, "--json").json
    assert (second["added"], second["unchanged"]) == (400 - first["added"], first["added"])


def test_two_at_once_on_one_library(cli: Cli, start: Start, many: Path, gallery: Path, data_dir: Path) -> None:
    """The second joins the first's engine, and goes on when the first has ended."""
    first = start(*SMALL_CHUNKS, "ingest", gallery, "--json")
    until(lambda: (data_dir / "service.json").exists(), first)
    second = start(*SMALL_CHUNKS, "ingest", many, "--json")
    reports = {}
    for name, process in (("first", first), ("second", second)):
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, (name, out, err)
        reports[name] = json.loads(out)
    assert (reports["first"]["added"], reports["second"]["added"]) == (15, 400)
    assert cli("status", "--json").json["images"] == 415
    assert cli("search", gallery / "red/red_0.jpg", "--json").json["results"][0]["match"] == "identical"


class Api:
    """A service in another process."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            chunked = not isinstance(body, bytes | str | None)
            connection.request(method, path, body, headers, encode_chunked=chunked)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_service_and_commands_beside_it(cli: Cli, start: Start, gallery: Path, data_dir: Path) -> None:
    api = Api(free_port())
    process = start(
        "--set",
        "security.admin_key=the-key",
        "--set",
        "http_server.max_request_bytes=1000000",
        "serve",
        "--port",
        api.port,
        "--images",
        gallery,
    )
    until(api.ready, process)
    until(lambda: json.loads((data_dir / "service.json").read_text()).get("http") is not None, process)
    assert (data_dir / "service.json").stat().st_mode & 0o777 == 0o600

    # Another server joins it and says so; who serves the library is not forgotten over that.
    other = start("serve", "--port", free_port())
    assert other.stderr is not None
    said = ""
    while "Serving on" not in said:
        line = other.stderr.readline()
        assert line, said
        said += line
    assert f"This library is served at http://127.0.0.1:{api.port} already; this server joins it." in said
    other.terminate()
    other.communicate(timeout=30)
    assert json.loads((data_dir / "service.json").read_text())["http"] == f"http://127.0.0.1:{api.port}"

    picture = (gallery / "red/red_1.jpg").read_bytes()
    status, body = api.ask("POST", "/search?top_k=3", picture, **{"Content-Type": "image/jpeg"})
    assert (status, body["results"][0]["source_name"]) == (200, "red/red_1.jpg")

    # Commands join the service's engine; what they write, its next search finds, and the other way round.
    assert cli("search", gallery / "blue/blue_2.jpg", "--json").json["results"][0]["source_name"] == "blue/blue_2.jpg"
    more = gallery.parent / "more"
    more.mkdir()
    (more / "yellow.jpg").write_bytes(jpeg(draw((240, 230, 10), mark=3)))
    assert cli("ingest", more, "--json").json["added"] == 1
    status, body = api.ask("POST", "/search", (more / "yellow.jpg").read_bytes(), **{"Content-Type": "image/jpeg"})
    assert (status, body["results"][0]["source_name"]) == (200, "yellow.jpg")
    violet = jpeg(draw((140, 30, 210), mark=2))
    headers = {"Content-Type": "image/jpeg", "X-API-Key": "the-key"}
    assert api.ask("POST", "/insert?source_name=violet.jpg", violet, **headers)[0] == 201
    (more / "violet.jpg").write_bytes(violet)
    assert cli("search", more / "violet.jpg", "--json").json["results"][0]["source_name"] == "violet.jpg"
    assert cli("status", "--json").json["images"] == 17

    # A refusal reaches a client that is still sending, also one that gives no length.
    for chunked in (False, True):
        for path, size, code in (("/search", 3_500_000, "request_too_large"), ("/insert", 3_500_000, "invalid_key")):
            data = (bytes(50_000) for _ in range(size // 50_000)) if chunked else bytes(size)
            status, body = api.ask("POST", path, data, **{"Content-Type": "image/jpeg"})
            assert (status, body["code"]) == (413 if path == "/search" else 401, code)
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=20)
    for _ in range(3):
        connection.request("POST", "/insert", bytes(500_000), {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (401, True)
    connection.close()

    # A rebuild by a command takes the place of what the service searches.
    assert cli("index", "--projection", "random:8", "--json").json["images"] == 17
    status, body = api.ask("POST", "/search", violet, **{"Content-Type": "image/jpeg"})
    assert (status, body["model"]["dim"], body["results"][0]["source_name"]) == (200, 8, "violet.jpg")

    # And as a job of the service.
    status, body = api.ask("POST", "/indexing", '{"projection": "none"}', **{"X-API-Key": "the-key"})
    assert status == 202
    job = f"/jobs/{body['job']['id']}"
    until(lambda: api.ask("GET", job, **{"X-API-Key": "the-key"})[1]["state"] in ("done", "failed"), process)
    assert api.ask("GET", job, **{"X-API-Key": "the-key"})[1]["state"] == "done"
    status, body = api.ask("POST", "/search", violet, **{"Content-Type": "image/jpeg"})
    assert (status, body["model"]["dim"], body["results"][0]["source_name"]) == (200, 16, "violet.jpg")

    process.terminate()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert f"Serving on http://127.0.0.1:{api.port}" in err
    assert f"Other commands on this library: image-search --data-dir {data_dir} ..." in err
    assert "Traceback" not in err
    assert not (data_dir / "service.json").exists()
    assert cli("status", "--json").json["images"] == 17


@pytest.mark.parametrize("command", [["search", "--text", "red"], ["status"], ["jobs"], ["serve", "--port", "0"]])
def test_a_library_that_cannot_be_written_says_what_it_needs(
    cli: Cli, gallery: Path, data_dir: Path, command: list[str]
) -> None:
    assert cli("ingest", gallery).code == 0
    ours = [sys.executable, "-m", "image_search", "--data-dir", str(data_dir), *command]
    if os.geteuid() == 0:
        # Permissions do not hold root up.
        mounted = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0"'
        if subprocess.run(["unshare", "-m", "sh", "-c", mounted, data_dir], capture_output=True).returncode:
            pytest.skip("root may mount nothing here, so it can write everywhere")
        ours = ["unshare", "-m", "sh", "-c", f'{mounted} && exec "$@"', str(data_dir), *ours]
    data_dir.chmod(0o555)
    try:
        done = subprocess.run(ours, capture_output=True, text=True)
    finally:
        data_dir.chmod(0o755)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: the data folder '{data_dir}' cannot be written, and an embedded library")
    assert len(done.stderr.splitlines()) == 1


def test_a_port_that_is_taken(cli: Cli, start: Start, gallery: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = cli("serve", "--port", port)
    assert outcome.code == 2
    assert f"cannot listen on 127.0.0.1:{port}" in outcome.err
