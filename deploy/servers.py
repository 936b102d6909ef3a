"""Real servers without containers, as tests and deploy/check start them, from where `make servers` puts them.

Stands on the standard library alone. Each server has free ports and a folder of its own, is waited for until it
answers, and ends with whoever started it, however that one ends.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVERS = Path(os.environ.get("IMAGE_SEARCH_SERVERS") or ROOT / ".servers")
HOMES: Mapping[str, Path] = {name: SERVERS / name for name in ("milvus", "milvus-lite", "rclone")}
ACCESS_KEY, SECRET_KEY = "tests-access", "tests-secret"
"""What the S3 servers of tests take."""
START_S = 300.0
"""A server that does not answer after so long never will: Milvus takes 6 s on a free machine."""
_POLL_S = 0.1
_ROOM_BYTES = 4 * 2**30
"""On a disk that others keep busy, etcd and rclone wait seconds for a write."""


class ServerMissing(Exception):
    """The server is not installed; the message says how to get it."""


class ServerFailed(Exception):
    """The server ended, or never answered; the message has the end of what it said."""


def missing(name: str) -> str | None:
    """Why the server cannot be started; None where it can."""
    if (HOMES[name] / "complete").is_file():
        return None
    return f"the server {name} is not there: `make servers` gets it"


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on now, all different."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@dataclass(frozen=True)
class Tls:
    """Files of a server's certificate and key, and of the authority that signed it."""

    cert: Path
    key: Path
    authority: Path


class Server:
    """A server in processes of its own; `start` again after `kill` finds the same data at the same address."""

    name = ""

    def __init__(self, folder: Path) -> None:
        reason = missing(self.name)
        if reason is not None:
            raise ServerMissing(reason)
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._guard: subprocess.Popen[bytes] | None = None
        self._held = -1
        """A pipe whose other end the server's processes have: it closes when the last of them is gone."""

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    @property
    def running(self) -> bool:
        """Whether its processes are there."""
        return self._guard is not None and self._guard.poll() is None

    def start(self) -> None:
        """Start it and return when it answers. Raises ServerFailed."""
        command, environment = self._command()
        self._held, theirs = os.pipe()
        with self.log.open("ab") as log:
            # A guard between: it ends the server when we are gone, be it by SIGKILL, which no `finally` sees.
            self._guard = subprocess.Popen(
                [sys.executable, __file__, str(theirs), *command],
                env=dict(os.environ) | environment,
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(theirs,),
            )
        os.close(theirs)
        deadline_s = time.monotonic() + START_S
        while not self._answers():
            if not self.running or time.monotonic() > deadline_s:
                self.kill()
                said = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise ServerFailed(f"{self.name} did not start: {said}")
            time.sleep(_POLL_S)

    def kill(self) -> None:
        """End all its processes at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and make it after 10 s."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it hang: its ports stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def _command(self) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _signal(self, number: signal.Signals) -> None:
        if self._guard is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._guard.pid, number)

    def _end(self, number: signal.Signals) -> None:
        guard = self._guard
        if guard is None:
            return
        self._signal(number)
        if number is not signal.SIGKILL:
            with contextlib.suppress(subprocess.TimeoutExpired):
                guard.wait(10)
        self._signal(signal.SIGKILL)
        guard.wait()
        if guard.stdin is not None:
            guard.stdin.close()
        # Its ports and files are free only then.
        os.read(self._held, 1)
        os.close(self._held)
        self._guard = None


class MilvusServer(Server):
    """Milvus 2.3.5, standalone, with etcd inside and its files in `folder`.

    `settings` are environment variables of Milvus (COMMON_SECURITY_AUTHORIZATIONENABLED), `tls` makes it speak TLS.
    """

    name = "milvus"

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None, tls: Tls | None = None) -> None:
        super().__init__(folder)
        self._settings = dict(settings or {})
        self._tls = tls
        self.port, self._health, client, peer, *inner = free_ports(13)
        self.uri = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{self.port}"
        (folder / "configs").mkdir(exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True)
        for template in ("config.yaml.template", "glog.conf"):
            shutil.copy(HOMES[self.name] / template, folder / "configs")
        self._write_configuration(inner)
        urls = (f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}")
        (folder / "configs" / "etcd.yaml").write_text(
            f"name: default\nlisten-client-urls: {urls[0]}\nadvertise-client-urls: {urls[0]}\n"
            f"listen-peer-urls: {urls[1]}\ninitial-advertise-peer-urls: {urls[1]}\n"
            f"initial-cluster: default={urls[1]}\n"
        )

    def _write_configuration(self, ports: list[int]) -> None:
        files = {"etcd_log_path": "logs/etcd.log", "etcd_data_dir": "data/etcd.data", "local_storage_dir": "data"}
        files |= {"rocksmq_data_dir": "data/rocksmq", "system_log_path": ""}
        values = {key: str(self.folder / path) if path else '""' for key, path in files.items()}
        values["proxy_port"] = str(self.port)
        if self._tls is not None:
            values |= {"tls_mode": "1", "server_pem_path": str(self._tls.cert), "server_key_path": str(self._tls.key)}
            values["ca_pem_path"] = str(self._tls.authority)

        def fill(found: re.Match[str]) -> str:
            key = found["key"]
            if key not in values and key.endswith("_port"):
                values[key] = str(ports.pop())
            return values.get(key, (found["default"] or "").strip())

        template = (self.folder / "configs" / "config.yaml.template").read_text(encoding="utf-8")
        filled = re.sub(r"\{\{\s*(?P<key>\w+)\s*(?:\(\w+\))?\s*(?::(?P<default>[^}]*))?\}\}", fill, template)
        (self.folder / "configs" / "milvus.yaml").write_text(filled, encoding="utf-8")

    def _command(self) -> tuple[list[str], dict[str, str]]:
        home = HOMES[self.name]
        environment = {
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": str(self._health),
            "MILVUS_RUN_DIR": str(self.folder / "run"),
            "MILVUSCONF": str(self.folder / "configs"),
            "ETCD_CONFIG_PATH": str(self.folder / "configs" / "etcd.yaml"),
            "LD_LIBRARY_PATH": f"{home}:{os.environ.get('LD_LIBRARY_PATH', '')}",
            # Off in the package, on in the images: DISKANN needs it.
            "QUERYNODE_ENABLEDISK": "true",
            "LOG_LEVEL": "warn",
        }
        return [str(home / "milvus"), "run", "standalone"], environment | self._settings

    def _answers(self) -> bool:
        # /healthz says OK before the parts have registered; the proxy's own HTTP interface does not.
        return _status(f"http://127.0.0.1:{self._health}/healthz") == 200 and _status(
            f"{self.uri}/v1/vector/collections"
        ) in (200, 401, _OTHER)


class MilvusLiteServer(Server):
    """`milvus-lite server` 3.2.2: the interface of a newer Milvus over the network, in pure Python."""

    name = "milvus-lite"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        [self.port] = free_ports(1)
        self.uri = f"http://127.0.0.1:{self.port}"

    def _command(self) -> tuple[list[str], dict[str, str]]:
        command = [str(HOMES[self.name] / "bin" / "milvus-lite"), "server", "--host", "127.0.0.1"]
        return [*command, "--port", str(self.port), "--data-dir", str(self.folder / "data")], {}

    def _answers(self) -> bool:
        return _listens(self.port)


class RcloneServer(Server):
    """`rclone serve s3` over a folder: signatures are checked, and a bucket is a folder in `folder`/buckets."""

    name = "rclone"

    def __init__(self, folder: Path, *, tls: Tls | None = None) -> None:
        super().__init__(folder)
        self._tls = tls
        [self.port] = free_ports(1)
        self.endpoint = f"{'localhost' if tls else '127.0.0.1'}:{self.port}"
        self.buckets.mkdir(exist_ok=True)

    @property
    def buckets(self) -> Path:
        """The folder of its buckets."""
        return self.folder / "buckets"

    def _command(self) -> tuple[list[str], dict[str, str]]:
        command = [str(HOMES[self.name] / "rclone"), "serve", "s3", "--addr", f"127.0.0.1:{self.port}"]
        command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", str(self.folder / "rclone.conf")]
        if self._tls is not None:
            command += ["--cert", str(self._tls.cert), "--key", str(self._tls.key)]
        # A view of folders that is never older than a moment locks itself up sooner or later (1.75.0: Dir.stat against
        # Dir.cacheCleanup): this one is kept, so nobody may change the folder behind its back. Caches lie in the user's
        # home otherwise.
        command += ["--dir-cache-time", "24h", "--cache-dir", str(self.folder / "cache")]
        return [*command, str(self.buckets)], {}

    def _answers(self) -> bool:
        return _listens(self.port)


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, started; ended at the end."""
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def temporary(prefix: str = "image-search-server-") -> Iterator[Path]:
    """A folder for a server, removed at the end; in memory where there is room, as what is in it is thrown away."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM_BYTES
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=memory if roomy else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


_OTHER = -1


def _status(url: str) -> int:
    """Status of the answer; 0 where there is none, _OTHER where it is in another protocol (HTTP/2 by TLS)."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=10, context=trusting) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except http.client.HTTPException:
        return _OTHER
    except (OSError, ValueError):
        return 0


def _guard(held: int, command: Sequence[str]) -> int:
    """Run the command, which keeps `held` open, until it ends, or until the other end of our stdin is gone."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)

    def forgive() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)

    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(held,), preexec_fn=forgive)

    def watch() -> None:
        os.read(0, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(_guard(int(sys.argv[1]), sys.argv[2:]))
