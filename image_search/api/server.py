"""The application under gunicorn, and what is prepared before it starts."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import logging
import mmap
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.gthread import ThreadWorker

from image_search.adapters import served_at
from image_search.api.auth import load_keys
from image_search.config import Settings
from image_search.errors import ConfigError, ImageSearchError
from image_search.services.locking import locked
from image_search.wiring import Services, build_services, make_data_folder

GRACE_S = 30
"""How long a worker that is told to go may still work on what it has begun."""
WARM_UP_S = 20.0
"""How long a worker that takes another's place may open its stores and load its model before it takes requests."""

_log = logging.getLogger(__name__)


def run_server(
    read_settings: Callable[[], Settings], say: Callable[[str], None], on_ready: Callable[[dict[str, str]], None]
) -> None:
    """Serve until a signal ends it; `on_ready` hears the address and where the admin key is kept.

    SIGTERM lets what is being answered come to its end. SIGHUP reads the settings again and puts new workers in the
    place of the old ones, without a request that fails. Raises ConfigError where the port is taken.
    """
    settings = read_settings()
    http = settings.http_server
    _check_port(http.host, http.port)
    if (other := served_at(settings)) is not None:
        say(f"This library is served at {other} already; this server joins it.")
    keys = load_keys(settings)
    shown = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(http.host, http.host)  # noqa: S104
    ready = {"address": f"http://{_bracketed(shown)}:{http.port}"}
    if keys.admin_key_file is not None:
        ready["admin_key_file"] = str(keys.admin_key_file)
        say(f"The admin key is in {keys.admin_key_file}")
    shared, held = _share_numbers() if http.workers > 1 else (None, None)
    arbiter = os.getpid()
    try:
        _Server(settings, read_settings, ready["address"], lambda: on_ready(ready)).run()
    finally:
        # A worker that ends comes by here too: it was forked in there.
        if shared is not None and held is not None and os.getpid() == arbiter:
            shutil.rmtree(shared, ignore_errors=True)
            held.close()


def choose_model(config_file: Path | None, overrides: Mapping[str, str]) -> dict[str, str]:
    """`model_id` and `reason` of the model that the configured library is used with.

    In a process of its own: a store that was opened must not be there when gunicorn forks. Ends this process, after
    that one has said why, where the model is not on this machine.
    """
    return dict(json.loads(_run([*_command(config_file, overrides), "models", "which", "--json"], capture=True)))


def prepare_library(
    settings: Settings, config_file: Path | None, overrides: Mapping[str, str], *, images: Path | None, samples: bool
) -> None:
    """Ingest `images`; or, with `samples` and no library yet, drawn pictures.

    In a process of its own: nothing that ingest opens may be there when gunicorn forks. Raises ImageSearchError.
    """
    command = _command(config_file, overrides)
    if images is not None:
        _run([*command, "ingest", str(images)])
        return
    # The drawings lie in the data folder until they are all in: if it exists, an earlier start did not get that far.
    drawn = settings.data_dir / "samples"

    def wanted() -> bool:
        new = "://" not in settings.milvus_uri and not Path(settings.milvus_uri).exists()
        return samples and (new or drawn.is_dir())

    if not wanted():
        return
    # Another start at the same moment waits, and finds the library: two of them would take each other's drawings away.
    make_data_folder(settings)
    with locked(settings.data_dir / "samples.lock", fcntl.LOCK_EX):
        if wanted():
            _run([*command, "samples", str(drawn)])
            _run([*command, "ingest", str(drawn), "--originals", "copy"])
            shutil.rmtree(drawn)


class _Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's with threads, but as it ends it answers whoever has reached it, and refuses who comes after."""

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        # The kernel has made connections that nobody took yet: closing the listener breaks them, and while it stays
        # open there are more of them.
        for listener in self.sockets:
            taken = -1
            while taken != self.nr_conns < self.worker_connections:
                taken = self.nr_conns
                self.accept(listener)
            listener.close()


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's, but at a reload the old workers serve on until new ones can, and for good where none of those can."""

    def reload(self) -> None:
        newest = self.worker_age
        super().reload()
        if self.WORKERS and all(worker.age <= newest for worker in self.WORKERS.values()):
            self.app.take_back()
            self.setup(self.app)

    def manage_workers(self) -> None:
        until_s = time.monotonic() + WARM_UP_S
        while len(self.WORKERS) > self.num_workers and time.monotonic() < until_s:
            ages = sorted(worker.age for worker in self.WORKERS.values())
            if all(self.app.serves(age) for age in ages[-self.num_workers :]):
                break
            self.reap_workers()
            time.sleep(0.05)
        super().manage_workers()


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with threads; everything is opened in the worker, after the fork."""

    def __init__(
        self, settings: Settings, read_settings: Callable[[], Settings], address: str, on_ready: Callable[[], None]
    ) -> None:
        self._settings, self._read_settings = settings, read_settings
        self._former = settings
        self._address, self._on_ready = address, on_ready
        self._services: Services | None = None
        self._age = 0
        # Shared with the workers: a byte for each, by its age, says that it serves.
        self._serving = mmap.mmap(-1, mmap.PAGESIZE)
        super().__init__()

    def run(self) -> None:
        self._arbiter = _Arbiter(self)
        self._arbiter.run()

    def serves(self, age: int) -> bool:
        """Whether the worker of that age takes requests."""
        return bool(self._serving[age % len(self._serving)])

    def load_config(self) -> None:
        http = self._settings.http_server
        values: dict[str, Any] = {
            "bind": f"{_bracketed(http.host)}:{http.port}",
            "workers": http.workers,
            "worker_class": _Worker,
            "threads": http.threads,
            "timeout": 120,
            "graceful_timeout": GRACE_S,
            "preload_app": False,
            "control_socket_disable": True,
            "worker_tmp_dir": _memory_folder(),
            "loglevel": "warning",
            # The application has no other way to end a connection: gunicorn drops a "Connection" of its answer.
            "pre_request": lambda _worker, asked: setattr(asked.body, "close_after_answer", asked.force_close),
            "when_ready": lambda _server: self._on_ready(),
            "pre_fork": lambda _server, worker: self._note(worker.age, 0),
            "post_fork": lambda _server, worker: setattr(self, "_age", worker.age),
            "post_worker_init": lambda worker: self._note(worker.age, 1),
            "worker_exit": lambda _server, _worker: self._close(),
        }
        for key, value in values.items():
            self.cfg.set(key, value)

    def reload(self) -> None:
        """Take the settings as they are now; one that cannot be used leaves those that are in force."""
        self._former = self._settings
        try:
            fresh = self._read_settings()
            load_keys(fresh)
        except ImageSearchError as error:
            _log.error("the settings are not read again: %s", error)
        else:
            if fresh.http_server.workers > 1 and _NUMBERS not in os.environ:
                _log.error("one worker cannot become several by a reload: stop the service and start it again")
            else:
                self._settings = self._at_the_same_address(fresh)
        super().reload()

    def _at_the_same_address(self, fresh: Settings) -> Settings:
        # The address is known to whoever calls it, and a port that is taken would end the service.
        http = self._settings.http_server
        if (fresh.http_server.host, fresh.http_server.port) == (http.host, http.port):
            return fresh
        _log.error("another address is not taken by a reload: stop the service and start it again")
        return dataclasses.replace(
            fresh, http_server=dataclasses.replace(fresh.http_server, host=http.host, port=http.port)
        )

    def take_back(self) -> None:
        """Return to the settings before the last reload."""
        self._settings = self._former
        super().reload()

    def load(self) -> Flask:
        """The application. Ends this worker where it cannot be made while others serve."""
        try:
            return self._make_application()
        except ImageSearchError as error:
            if not self._arbiter.WORKERS:
                raise
            # Of an exception gunicorn makes the end of the whole service.
            _log.error("a worker cannot start, the others go on: %s", error)
            raise SystemExit(1) from error

    def _make_application(self) -> Flask:
        # Imported here, after the fork: what counts requests looks at its import where its numbers are kept.
        from image_search.api.app import create_app

        settings = self._settings
        self._services = build_services(
            settings, max_pixels=settings.imaging.max_pixels, processes=settings.http_server.workers
        )
        app = create_app(settings, self._services)
        warm_up = threading.Thread(target=self._warm_up, args=(self._services,), name="warm-up", daemon=True)
        warm_up.start()
        if self._age > settings.http_server.workers:
            # Others serve meanwhile; those of the first start say at /readyz how far they are.
            warm_up.join(WARM_UP_S)
        self._services.runner.start()
        return app

    def _note(self, age: int, serves: int) -> None:
        self._serving[age % len(self._serving)] = serves

    def _warm_up(self, services: Services) -> None:
        """Open the stores and load the model now, not in somebody's first search; say where we serve."""
        try:
            collection = self._settings.library.collection
            services.library.check_ready(collection)
            services.announce(self._address)
            if services.collections.exists(collection):
                services.search.warm_up(collection)
            services.preparer.warm_up()
        except ImageSearchError as error:
            # The service starts all the same: /readyz says so, and requests try again.
            _log.warning("not ready yet: %s", error)

    def _close(self) -> None:
        if self._services is not None:
            self._services.close()


_NUMBERS = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client's processes keep their numbers in common."""
_NUMBERS_FOLDER = "image-search-numbers-"
_YOUNG_S = 60.0
"""A service that starts has made such a file, and not locked it yet."""


def _share_numbers() -> tuple[Path, IO[str]]:
    """A fresh folder in which the workers' numbers meet, so that /metrics tells all of them whichever answers.

    It is ours while the file is open here or in a worker. What killed services left is removed.
    """
    folder = Path(tempfile.mkdtemp(prefix=_NUMBERS_FOLDER, dir=_memory_folder()))
    held = (folder / "held").open("a")
    fcntl.flock(held, fcntl.LOCK_EX)
    for left in folder.parent.glob(f"{_NUMBERS_FOLDER}*/held"):
        # Held by a service that lives, of another user, or gone by now.
        with contextlib.suppress(OSError), left.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - left.stat().st_mtime > _YOUNG_S:
                shutil.rmtree(left.parent, ignore_errors=True)
    os.environ[_NUMBERS] = str(folder)
    return folder, held


def _memory_folder() -> str | None:
    """A folder in memory; None where there is none: a worker's sign of life must not wait for a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def _command(config_file: Path | None, overrides: Mapping[str, str]) -> list[str]:
    command = [sys.executable, "-m", "image_search"]
    command += ["--config", str(config_file)] if config_file else []
    return command + [part for key, value in overrides.items() for part in ("--set", f"{key}={value}")]


def _run(command: list[str], *, capture: bool = False) -> bytes:
    """Run our own program to its end; its stdout where that is wanted, else it goes to stderr."""
    # The command is our own program with the arguments of this very call.
    with subprocess.Popen(command, stdout=subprocess.PIPE if capture else sys.stderr) as child:  # noqa: S603
        # A Ctrl-C of the terminal reaches the child too, which ends cleanly; SIGTERM comes to us alone.
        before = {
            signal.SIGINT: signal.signal(signal.SIGINT, lambda _number, _frame: None),
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _frame: child.send_signal(number)),
        }
        try:
            output = child.communicate()[0] or b""
            code = child.returncode
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if code != 0:
        # It has said why on stderr.
        raise SystemExit(code if code > 0 else 1)
    return output


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror}. Choose another port: serve --port N, or PORT=N"
            ) from error
