"""The whole stack as processes: nginx, gunicorn with several workers, a Milvus server, an S3 server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from deploy.servers import ACCESS_KEY, SECRET_KEY, MilvusServer, RcloneServer, missing, running
from deploy.stack.web import DEPLOY, Web, free_port, have_nginx, web

ADMIN_KEY = "admin-key-of-the-check"
USER_KEY = "user-key-of-the-check"
BUCKET = "image-search"
COMMAND = [sys.executable, "-m", "image_search"]
READY_S = 300.0
"""Whoever is not ready after so long never will be."""


class Failed(Exception):
    """Something that must hold does not."""


def what_is_missing() -> str | None:
    """Why the stack cannot be started here; None where it can."""
    if not have_nginx():
        return "needs nginx (apt-get install nginx-light) and openssl"
    return missing("milvus") or missing("rclone")


def stack_settings() -> dict[str, str]:
    """What deploy/api.env sets."""
    lines = (DEPLOY / "api.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@dataclass
class Stack:
    """A running stack."""

    folder: Path
    milvus: MilvusServer
    store: RcloneServer
    web: Web
    env: dict[str, str] = field(repr=False)
    """Of every process of ours that uses this library."""
    api: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        """What the application says."""
        return self.folder / "api.log"

    def client(self, *, role: str = "admin", timeout_s: float = 60) -> httpx.Client:
        """A client that has the key of that role and trusts nginx's certificate."""
        headers = {"X-API-Key": {"admin": ADMIN_KEY, "user": USER_KEY}[role]}
        return httpx.Client(
            base_url=self.web.https, verify=self.web.trust, headers=headers, trust_env=False, timeout=timeout_s
        )

    def workers(self) -> list[int]:
        """Process ids of gunicorn's workers, sorted."""
        return sorted(child.pid for child in psutil.Process(self.api.pid).children() if "milvus" not in child.name())

    def command(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """A command of ours on this library, finished. Raises Failed where it did not succeed."""
        done = subprocess.run(
            [*COMMAND, *(str(a) for a in arguments)], env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Failed(f"image-search {arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done

    def objects(self) -> set[str]:
        """Keys of the originals in the bucket."""
        bucket = self.store.buckets / BUCKET
        return {str(path.relative_to(bucket)) for path in (bucket / "originals").rglob("*") if path.is_file()}

    def wait_until_ready(self) -> float:
        """Seconds until /readyz said so, and went on to, whichever worker was asked. Raises Failed."""
        began_s, in_a_row, ready_s = time.monotonic(), 0, 0.0
        with self.client() as client:
            while time.monotonic() - began_s < READY_S:
                if self.api.poll() is not None:
                    raise Failed(f"the application ended: {self.log.read_text()[-3000:]}")
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/readyz").status_code == 200:
                        ready_s = ready_s or time.monotonic() - began_s
                        in_a_row += 1
                        if in_a_row == 8:
                            return ready_s
                        continue
                in_a_row, ready_s = 0, 0.0
                time.sleep(0.2)
        raise Failed(f"the stack was not ready after {READY_S:.0f} s: {self.log.read_text()[-3000:]}")


@contextlib.contextmanager
def stack(folder: Path, *, workers: int = 2, model: str = "compact", patient: bool = False) -> Iterator[Stack]:
    """The stack with all it writes below `folder`, ready; ended at the end.

    `patient`: with longer time limits than it is deployed with, for machines that do other things besides.
    """
    with contextlib.ExitStack() as held:
        milvus = MilvusServer(folder / "milvus")
        held.enter_context(running(milvus))
        store = RcloneServer(folder / "s3")
        held.enter_context(running(store))
        port = free_port()
        env = {name: value for name, value in os.environ.items() if not name.startswith("IMAGE_SEARCH_")}
        env |= stack_settings() | {
            "IMAGE_SEARCH_LIBRARY__DATA_DIR": str(folder / "data"),
            "IMAGE_SEARCH_EMBEDDING__MODEL": model,
            "IMAGE_SEARCH_MILVUS__URI": milvus.uri,
            "IMAGE_SEARCH_STORAGE__BACKEND": "minio",
            "IMAGE_SEARCH_STORAGE__ENDPOINT": store.endpoint,
            "IMAGE_SEARCH_STORAGE__BUCKET": BUCKET,
            "IMAGE_SEARCH_STORAGE__ACCESS_KEY": ACCESS_KEY,
            "IMAGE_SEARCH_STORAGE__SECRET_KEY": SECRET_KEY,
            "IMAGE_SEARCH_STORAGE__SECURE": "false",
            "IMAGE_SEARCH_SECURITY__ADMIN_KEY": ADMIN_KEY,
            "IMAGE_SEARCH_SECURITY__USER_KEY": USER_KEY,
            "IMAGE_SEARCH_HTTP_SERVER__WORKERS": str(workers),
            "IMAGE_SEARCH_HTTP_SERVER__PORT": str(port),
        }
        # The limits are tested by themselves; here one address asks as fast as it can.
        limits = {f"{name}_PER_{whose}": "1000" for name in ("RATE", "AT_ONCE") for whose in ("ADDRESS", "KEY")}
        if patient:
            env |= {"IMAGE_SEARCH_MILVUS__TIMEOUT_S": "8", "IMAGE_SEARCH_STORAGE__TIMEOUT_S": "10"}
            limits["ANSWER_S"] = "30"
        with (folder / "api.log").open("wb") as log:
            api = subprocess.Popen([*COMMAND, "serve"], env=env, stdout=log, stderr=log)
        held.callback(_end, api)
        front = held.enter_context(web(folder, f"127.0.0.1:{port}", **limits))
        made = Stack(folder, milvus, store, front, env, api)
        made.wait_until_ready()
        yield made


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
