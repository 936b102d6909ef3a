"""How deploy/nginx/start begins, and what it does while nginx runs: names, certificates, settings."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.stack.web import DEPLOY, environment, have_nginx, web
from tests.deploy.upstream import OK, client_of, nobody_there, upstream

pytestmark = pytest.mark.skipif(not have_nginx(), reason="needs nginx (apt-get install nginx-light) and openssl")


def test_a_name_that_means_another_address_is_followed(tmp_path: Path) -> None:
    """A container that was made anew; `getent` stands for the resolver."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (tmp_path / "address").write_text("127.0.0.1")
    (fake / "getent").write_text(f'#!/bin/sh\necho "$(cat {tmp_path}/address) STREAM"\n')
    (fake / "getent").chmod(0o755)
    path = f"{fake}{os.pathsep}{os.environ['PATH']}"
    with socket.create_server(("127.0.0.2", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=lambda: listener.accept()[0].sendall(OK), daemon=True).start()
        with web(tmp_path, f"api:{port}", PATH=path) as running, client_of(running) as client:
            assert client.get("/status").status_code == 503
            (tmp_path / "address").write_text("127.0.0.2")
            while (answer := client.get("/status")).status_code == 503:
                time.sleep(0.2)
            assert answer.status_code == 200


def test_a_network_without_ipv4_is_one_too(tmp_path: Path) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "getent").write_text('#!/bin/sh\n[ "$1" = ahostsv6 ] || exit 2\necho "fd00::5 STREAM api"\n')
    (fake / "getent").chmod(0o755)
    env = environment(tmp_path, "api:5000", PATH=f"{fake}{os.pathsep}{os.environ['PATH']}")
    subprocess.run([DEPLOY / "nginx" / "start", "-t"], env=env, check=True)
    assert "server [fd00::5]:5000 max_fails=0;" in (tmp_path / "nginx" / "nginx.conf").read_text()


def test_a_resolver_that_fails_for_a_moment_is_not_believed(tmp_path: Path) -> None:
    fake = tmp_path / "bin"
    fake.mkdir()
    (tmp_path / "asked").write_text("")
    # It knows both names once, and after that says something of one of them only.
    (fake / "getent").write_text(
        f"""#!/bin/sh
echo "$2" >> {tmp_path}/asked
if [ "$2" = other ] || [ "$(grep -c api {tmp_path}/asked)" -eq 1 ]; then echo "127.0.0.1 STREAM"; else exit 2; fi
"""
    )
    (fake / "getent").chmod(0o755)
    path = f"{fake}{os.pathsep}{os.environ['PATH']}"
    with (
        upstream(OK) as (server, _),
        nobody_there() as nobody,
        web(tmp_path, f"{server.replace('127.0.0.1', 'api')} {nobody.replace('127.0.0.1', 'other')}", PATH=path) as on,
        client_of(on) as client,
    ):
        conf = (tmp_path / "nginx" / "nginx.conf").read_text()
        assert f"server {server} max_fails=0;" in conf
        while (tmp_path / "asked").read_text().count("api") < 4:
            time.sleep(0.1)
        assert (tmp_path / "nginx" / "nginx.conf").read_text() == conf
        assert client.get("/status").status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HSTS_S", "soon"),
        ("MAX_REQUEST_BYTES", "1m; evil"),
        ("SERVERS", "api"),
        ("SERVERS", "api:80;evil"),
        ("WEB_ROOT", "/nowhere"),
        ("CERT_FILE", "/nowhere.pem"),
        ("RUN_DIR", "/tmp/a b"),
        ("CORS_ORIGINS", '"; evil'),
        ("TRUSTED_PROXIES", "everybody"),
        ("TLS", "maybe"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(tmp_path: Path, name: str, value: str) -> None:
    env = environment(tmp_path, "127.0.0.1:5000", **{name: value})
    refused = subprocess.run([DEPLOY / "nginx" / "start", "-t"], env=env, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert value.split(";")[0].split()[0] in refused.stderr or name in refused.stderr
    assert not (tmp_path / "nginx" / "nginx.conf").exists()


def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    with upstream(OK) as (server, _), web(tmp_path, server) as running, client_of(running) as client:
        first = client.get("/status")
        assert first.status_code == 200
        old = (tmp_path / "certs" / "cert.pem").read_text()
        for name in ("cert.pem", "key.pem"):
            (tmp_path / "certs" / name).unlink()
        subprocess.run([DEPLOY / "make-cert"], env={**os.environ, "CERT_DIR": str(tmp_path / "certs")}, check=True)
        port = urlsplit(running.https).port or 0
        assert ssl.get_server_certificate(("localhost", port)).strip() == old.strip()
        running.process.send_signal(signal.SIGHUP)
        while ssl.get_server_certificate(("localhost", port)).strip() == old.strip():
            assert running.process.poll() is None
            time.sleep(0.1)


def test_an_authority_finds_its_answer_over_http(tmp_path: Path) -> None:
    answer = tmp_path / "acme" / ".well-known" / "acme-challenge" / "token"
    answer.parent.mkdir(parents=True)
    answer.write_text("what was asked for")
    with nobody_there() as nobody, web(tmp_path, nobody, ACME_ROOT=str(tmp_path / "acme")) as running:
        got = httpx.get(f"{running.http}/.well-known/acme-challenge/token", trust_env=False)
        assert (got.status_code, got.text) == (200, "what was asked for")
        assert httpx.get(f"{running.http}/.well-known/acme-challenge/other", trust_env=False).status_code == 404


def test_every_address_of_the_machine_means_those_of_ipv6_too(tmp_path: Path) -> None:
    if not Path("/proc/net/if_inet6").exists() or not Path("/proc/net/if_inet6").read_text():
        pytest.skip("this machine has no IPv6")
    with upstream(OK) as (server, _), web(tmp_path, server, LISTEN_ADDRESS="") as running:
        for host in ("[::1]", "127.0.0.1"):
            base, plain = (url.replace("localhost", host) for url in (running.https, running.http))
            with httpx.Client(verify=running.trust, trust_env=False) as client:
                assert client.get(f"{base}/status").status_code == 200
                assert client.get(f"{plain}/status").headers["Location"] == f"{base}/status"


def test_requests_need_not_be_logged(tmp_path: Path) -> None:
    with upstream(OK) as (server, _), web(tmp_path, server, ACCESS_LOG="off") as running, client_of(running) as client:
        assert client.get("/status").status_code == 200
    assert "/status" not in running.log.read_text()
