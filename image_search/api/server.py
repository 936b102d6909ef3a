"""The application under gunicorn, and what is prepared before it starts."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from image_search.api.app import create_app
from image_search.api.auth import load_keys
from image_search.config import Settings
from image_search.embedding.models import find_model
from image_search.errors import ConfigError, ImageSearchError
from image_search.wiring import Services, build_services

_log = logging.getLogger(__name__)


def run_server(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until a signal ends it. Raises ConfigError where no model is configured or the port is taken."""
    http = settings.http_server
    find_model(settings.embedding.model, settings.model_cache_dir)
    _check_port(http.host, http.port)
    keys = load_keys(settings)
    address = f"http://{'127.0.0.1' if http.host in ('0.0.0.0', '') else http.host}:{http.port}"  # noqa: S104
    if keys.admin_key_file is not None:
        say(f"The admin key is in {keys.admin_key_file}")
    _Server(settings, address, say).run()


def prepare_library(
    settings: Settings, config_file: Path | None, overrides: Mapping[str, str], *, images: Path | None, samples: bool
) -> None:
    """Ingest `images`; or, with `samples` and no library yet, drawn pictures.

    In a process of its own: nothing that ingest opens may be there when gunicorn forks. Raises ImageSearchError.
    """
    find_model(settings.embedding.model, settings.model_cache_dir)
    command = [sys.executable, "-m", "image_search"]
    command += ["--config", str(config_file)] if config_file else []
    command += [part for key, value in overrides.items() for part in ("--set", f"{key}={value}")]
    if images is not None:
        _run([*command, "ingest", str(images)])
    elif samples and not Path(settings.milvus_uri).exists() and "://" not in settings.milvus_uri:
        with tempfile.TemporaryDirectory(prefix="image-search-samples-") as folder:
            _run([*command, "samples", folder])
            _run([*command, "ingest", folder])


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with threads; everything is opened in the worker, after the fork."""

    def __init__(self, settings: Settings, address: str, say: Callable[[str], None]) -> None:
        self._settings, self._address, self._say = settings, address, say
        self._services: Services | None = None
        super().__init__()

    def load_config(self) -> None:
        http = self._settings.http_server
        values: dict[str, Any] = {
            "bind": f"{http.host}:{http.port}",
            "workers": http.workers,
            "worker_class": "gthread",
            "threads": http.threads,
            "timeout": 120,
            "graceful_timeout": 30,
            "preload_app": False,
            "control_socket_disable": True,
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108
            "loglevel": "warning",
            "when_ready": lambda _server: self._say(f"Serving on {self._address}"),
            "worker_exit": lambda _server, _worker: self._close(),
        }
        for key, value in values.items():
            self.cfg.set(key, value)

    def load(self) -> Flask:
        self._services = build_services(self._settings, max_pixels=self._settings.imaging.max_pixels)
        app = create_app(self._settings, self._services)
        threading.Thread(target=self._warm_up, args=(self._services,), name="warm-up", daemon=True).start()
        self._services.runner.start()
        return app

    def _warm_up(self, services: Services) -> None:
        """Open the stores and load the model now, not in somebody's first search; say where we serve."""
        try:
            collection = self._settings.library.collection
            services.library.check_ready(collection)
            services.announce(self._address)
            if services.collections.exists(collection):
                services.search.warm_up(collection)
        except ImageSearchError as error:
            # The service starts all the same: /readyz says so, and requests try again.
            _log.warning("not ready yet: %s", error)

    def _close(self) -> None:
        if self._services is not None:
            self._services.close()


def _run(command: list[str]) -> None:
    # The command is our own program with the arguments of this very call.
    if (code := subprocess.run(command, stdout=sys.stderr, check=False).returncode) != 0:  # noqa: S603
        # It has said why on stderr.
        raise SystemExit(code)


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
