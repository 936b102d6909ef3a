"""The URI of a library's embedded engine, whichever process runs it: the one user of milvus_lite.

One process owns a library: it holds a lock on `library.lock`, which the kernel frees however the process
ends, runs the engine and says where in `service.json`. The others join through the engine's socket.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import fcntl
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from image_search.errors import ConfigError, VectorStoreError
from image_search.vectors.alias_file import write_private

_DB_NAME = re.compile(r"[A-Za-z0-9._-]{1,33}\.db")
_SOCKET_BYTES = 104
"""Longest path of a unix socket on macOS; Linux takes 108."""
_START_S = 20.0
_ORPHAN_S = 3.0
"""An engine whose owner died was gone after 0.02 s to 0.25 s in every experiment."""
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Service:
    """Who runs a library, as `service.json` says."""

    pid: int
    engine: str
    """URI of the engine's unix socket."""
    http: str | None = None
    """Address of the HTTP server of that process, if it runs one."""


def read_service(data_folder: Path) -> Service | None:
    """What the folder's `service.json` says, true or stale; None where there is none that can be read."""
    try:
        entry = json.loads((data_folder / "service.json").read_text(encoding="utf-8"))
        http = entry.get("http")
        return Service(int(entry["pid"]), str(entry["engine"]), None if http is None else str(http))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def served_at(db_path: Path) -> str | None:
    """Address of the HTTP server of the process that runs the library now; None where none does."""
    service = read_service(db_path.parent)
    return service.http if service is not None and _answers(service.engine) else None


class LiteEngine:
    """The way to the engine of one .db file; its folder is the library's data folder.

    Nothing happens before `uri`. Use it after a fork, never before.
    """

    def __init__(self, db_path: Path, *, join_timeout_s: float = 8.0) -> None:
        if _DB_NAME.fullmatch(db_path.name) is None:
            raise ConfigError(
                f"{db_path.name!r} cannot be the file of an embedded library: "
                "at most 36 letters, digits, dots, dashes and underscores that end in .db are expected"
            )
        self._db_path = db_path.resolve()
        self._folder = self._db_path.parent
        self._join_timeout_s = join_timeout_s
        self._lock = threading.RLock()
        self._library_lock: IO[str] | None = None
        self._watch: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_folder: Path | None = None
        self._service: Service | None = None
        self._http: str | None = None

    @property
    def owner(self) -> bool:
        """Whether this object runs the engine."""
        return self._library_lock is not None

    def uri(self) -> str:
        """URI of a running engine: the one we run, one that we start, or another process's.

        Raises VectorStoreError, retryable, where the library is held and its holder cannot be reached.
        """
        with self._lock:
            try:
                return self._own_or_join()
            except OSError as error:
                raise VectorStoreError(
                    f"the library {self._db_path.name} cannot be opened: {error.strerror or error}"
                ) from error

    def announce(self, http: str | None) -> None:
        """Write the address of this process's HTTP server into `service.json`; a joiner's waits until it takes over."""
        with self._lock:
            self._http = http
            if self._service is not None:
                self._service = dataclasses.replace(self._service, http=http)
                self._write_service()

    def close(self) -> None:
        """Stop the engine if we run it, and let the library go; calling it again is fine."""
        with self._lock:
            atexit.unregister(self.close)
            self._stop_engine()
            if self._library_lock is not None:
                (self._folder / "service.json").unlink(missing_ok=True)
                self._library_lock.close()
                self._library_lock = None
            self._service = None
            self._http = None

    def _own_or_join(self) -> str:
        if self._process is not None and self._service is not None and self._process.poll() is None:
            return self._service.engine
        deadline_s = time.monotonic() + self._join_timeout_s
        while True:
            if self._take_library():
                return self._start_as_owner()
            service = read_service(self._folder)
            if service is not None and _answers(service.engine):
                return service.engine
            if time.monotonic() > deadline_s:
                holder = "another process" if service is None else f"process {service.pid}"
                raise VectorStoreError(
                    f"the library {self._db_path.name} is held by {holder}, which does not answer: "
                    "wait until it is up, or stop it, and try again",
                    retryable=True,
                )
            time.sleep(_POLL_S)

    def _take_library(self) -> bool:
        if self._library_lock is not None:
            return True
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / "library.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        except BaseException:
            lock.close()
            raise
        self._library_lock = lock
        return True

    def _start_as_owner(self) -> str:
        self._stop_engine()
        try:
            stale = read_service(self._folder)
            if stale is not None:
                _remove_socket_folder(stale.engine)
            uri = self._start_engine()
            self._service = Service(os.getpid(), uri, self._http)
            self._write_service()
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)
        return uri

    def _start_engine(self) -> str:
        watch_path = self._folder / f".{self._db_path.name}.lock"
        deadline_s = time.monotonic() + _ORPHAN_S
        # The engine ends itself as soon as it gets this lock, that is when its owner is gone. Were we to take
        # it first, an engine left by a killed owner would stay and write the same file: let it go first.
        while _engines_of(self._db_path) and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
        self._watch = watch_path.open("a")
        try:
            fcntl.lockf(self._watch, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise VectorStoreError(
                f"{self._db_path.name} is open in another program: close that program and try again",
                retryable=True,
            ) from error
        for orphan in _engines_of(self._db_path):
            # It may end by itself meanwhile.
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        self._socket_folder = Path(tempfile.mkdtemp(prefix="image-search-"))
        path = self._socket_folder / "engine.sock"
        if len(os.fsencode(path)) > _SOCKET_BYTES:
            raise VectorStoreError("TMPDIR is too long for a unix socket: set it to a shorter folder")
        libraries = _library_folder()
        # Its logger would otherwise leave three files in the machine's temporary folder at every start. And every
        # engine makes ~/.cache/milvus as it starts and removes it as it ends: one that starts while another of this
        # user ends could not, and would refuse all collections for as long as it runs.
        environment = dict(os.environ) | {"GLOG_logtostderr": "1", "HOME": str(self._socket_folder)}
        for variable in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
            environment[variable] = os.pathsep.join(filter(None, (str(libraries), os.environ.get(variable))))
        uri = f"unix:{path}"
        with (self._folder / "engine.log").open("wb") as log:
            # Its own session: Ctrl-C in a terminal would end the engine (it has no handler) while we are
            # still writing the last batch.
            self._process = subprocess.Popen(  # noqa: S603 - our own binary, arguments that we made
                [str(libraries / "milvus"), str(self._db_path), uri, "ERROR", str(watch_path)],
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline_s = time.monotonic() + _START_S
        while not _answers(uri):
            status = self._process.poll()
            if status is not None or time.monotonic() > deadline_s:
                raise VectorStoreError(
                    f"the embedded database did not start (exit status {status}): see engine.log beside "
                    f"{self._db_path.name}"
                )
            time.sleep(_POLL_S / 4)
        return uri

    def _stop_engine(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._process is not None:
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None

    def _write_service(self) -> None:
        if self._service is not None:
            write_private(self._folder / "service.json", json.dumps(dataclasses.asdict(self._service)))


def _library_folder() -> Path:
    """The folder of milvus_lite's binary, found without importing it: the import drags in pkg_resources."""
    spec = importlib.util.find_spec("milvus_lite")
    for place in (spec.submodule_search_locations if spec is not None else None) or ():
        folder = Path(place) / "lib"
        if (folder / "milvus").is_file():
            return folder
    raise VectorStoreError("the embedded database is not installed: install milvus-lite 2.5.1, or use a server")


def _answers(uri: str) -> bool:
    """Whether somebody listens on the unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(uri.removeprefix("unix:"))
        except OSError:
            return False
        return True


def _remove_socket_folder(uri: str) -> None:
    """Remove what an owner that was killed has left in the folder of temporary files."""
    folder = Path(uri.removeprefix("unix:")).parent
    if folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith("image-search-"):
        shutil.rmtree(folder, ignore_errors=True)


def _engines_of(db_path: Path) -> list[int]:
    """Process ids of the engines that have the file open; [] where there is no /proc to ask."""
    found = []
    wanted = os.fsencode(db_path)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if len(arguments) > 1 and arguments[0].endswith(b"/milvus") and arguments[1] == wanted:
            found.append(int(entry.name))
    return found
