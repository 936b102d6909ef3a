"""What all SQLite files of a library have in common."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from pathlib import Path

BUSY_S = 30.0
"""How long a call waits for what another process does in the same file."""

_MOUNTS = Path("/proc/self/mountinfo")
_OF_SEVERAL_MACHINES = ("nfs", "ceph", "cifs", "smb", "fuse", "lustre", "gpfs", "beegfs", "9p", "virtiofs")


def write_ahead(db: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log, in which readers and a writer do not wait for each other.

    On a file system that several machines may share it gets, or keeps, a plain journal: the other one's index is memory
    that only processes of one machine have in common, and writers of several would spoil the file.

    Two processes that open a new file at once: SQLite refuses one of them here at once, whatever the connection's time
    limit, as each holds what the other waits for. Raises sqlite3.OperationalError where it stays so for `BUSY_S`.
    """
    [[_, _, file], *_] = db.execute("PRAGMA database_list")
    mode = "DELETE" if _file_system(Path(file).parent).startswith(_OF_SEVERAL_MACHINES) else "WAL"
    until_s = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute(f"PRAGMA journal_mode={mode}")
        except sqlite3.OperationalError as error:
            # The lower byte says what it is, the upper ones where.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
            time.sleep(random.uniform(0.002, 0.02))  # noqa: S311 - so that they do not meet again
        else:
            return


def _file_system(folder: Path) -> str:
    """What the kernel calls the kind of file system that this folder is on; empty where it does not say (macOS)."""
    if not _MOUNTS.is_file():
        return ""
    device = folder.stat().st_dev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    for line in _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split()[2] == numbers:
            return source.split()[0]
    return ""
