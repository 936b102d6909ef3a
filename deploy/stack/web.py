"""nginx as the container `web` runs it, with a certificate of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DEPLOY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Web:
    """A running nginx."""

    https: str
    """Its address."""
    http: str
    """Where it answers with the other one's address."""
    trust: ssl.SSLContext
    """What a client trusts: its certificate and no other."""
    log: Path
    process: subprocess.Popen[bytes]


def have_nginx() -> bool:
    """Whether nginx and openssl are on this machine."""
    return shutil.which("nginx") is not None and shutil.which("openssl") is not None


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free_ports() -> tuple[int, int]:
    """Two ports nobody listens on now: asked for one after the other, both could be the same."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def environment(folder: Path, servers: str, **more: str) -> dict[str, str]:
    """What `deploy/nginx/start` reads: everything on loopback, everything written below `folder`."""
    certificates = folder / "certs"
    if not certificates.exists():
        subprocess.run([DEPLOY / "make-cert"], env={**os.environ, "CERT_DIR": str(certificates)}, check=True)
    http, https = _free_ports()
    return {
        **os.environ,
        "SERVERS": servers,
        "RUN_DIR": str(folder / "nginx"),
        "CERT_FILE": str(certificates / "cert.pem"),
        "KEY_FILE": str(certificates / "key.pem"),
        "LISTEN_ADDRESS": "127.0.0.1",
        "HTTP_LISTEN": str(http),
        "HTTPS_LISTEN": str(https),
        "HTTPS_PORT": str(https),
        "NGINX_USER": "root",
        **more,
    }


@contextlib.contextmanager
def web(folder: Path, servers: str, **more: str) -> Iterator[Web]:
    """nginx before `servers` ("host:port", several with spaces between); ended at the end."""
    env = environment(folder, servers, **more)
    log = folder / "nginx.log"
    with log.open("wb") as output:
        process = subprocess.Popen([DEPLOY / "nginx" / "start"], env=env, stdout=output, stderr=output)
    try:
        _wait_until_it_listens(Path(env["RUN_DIR"]) / "nginx.pid", process, log)
        trust = ssl.create_default_context(cafile=env["CERT_FILE"])
        host = "https://localhost:" + env["HTTPS_LISTEN"]
        yield Web(host, "http://localhost:" + env["HTTP_LISTEN"], trust, log, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait_until_it_listens(pid: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    # Its ports say too little: the check of the file before it opens them as well, and leaves an empty file here.
    while process.poll() is None:
        if pid.exists() and pid.read_text().strip():
            return
        time.sleep(0.05)
    raise RuntimeError(f"nginx ended: {log.read_text()}")
