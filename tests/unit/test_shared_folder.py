"""A data folder that several machines share: what their file systems ask of locks and of SQLite's files."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from image_search.services import sqlite_files
from image_search.services.gate import PictureLocks, SwitchGate
from image_search.services.jobs import JobStore


def _mounted_as(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel's list of mounts say that the folder is on such a file system."""
    device = folder.stat().st_dev
    mounts = folder / "mountinfo"
    mounts.write_text(
        "1 0 0:9999 / / rw shared:1 - proc proc rw\n"
        f"2 1 {os.major(device)}:{os.minor(device)} / /data rw,relatime shared:2 master:3 - {kind} server:/x rw\n"
    )
    monkeypatch.setattr(sqlite_files, "_MOUNTS", mounts)


def _journal(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return str(db.execute("PRAGMA journal_mode").fetchone()[0])


@pytest.mark.parametrize(
    ("kind", "journal"),
    [("nfs4", "delete"), ("ceph", "delete"), ("fuse.glusterfs", "delete"), ("ext4", "wal"), ("overlay", "wal")],
)
def test_writers_of_several_machines_do_without_shared_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, journal: str
) -> None:
    _mounted_as(kind, tmp_path, monkeypatch)
    jobs = JobStore(tmp_path / "jobs.sqlite")
    assert jobs.list(10) == []
    assert _journal(tmp_path / "jobs.sqlite") == journal


def test_a_kernel_that_lists_no_mounts_is_one_of_a_laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_files, "_MOUNTS", tmp_path / "absent")
    JobStore(tmp_path / "jobs.sqlite")
    assert _journal(tmp_path / "jobs.sqlite") == "wal"


def test_a_job_list_that_moves_to_a_shared_folder_loses_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    JobStore(tmp_path / "jobs.sqlite")
    assert _journal(tmp_path / "jobs.sqlite") == "wal"
    _mounted_as("nfs4", tmp_path, monkeypatch)
    JobStore(tmp_path / "jobs.sqlite")
    assert _journal(tmp_path / "jobs.sqlite") == "delete"


def test_files_are_locked_as_they_were_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS makes record locks of these: reading needs a file open for reading, writing one open for writing."""
    local = fcntl.flock
    taken = []

    def as_nfs(file: int, how: int) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        access = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        fitting = {fcntl.LOCK_SH: os.O_RDONLY, fcntl.LOCK_EX: os.O_WRONLY}[how & ~fcntl.LOCK_NB]
        if access not in (fitting, os.O_RDWR):
            raise OSError(errno.EBADF, "Bad file descriptor")
        taken.append(how)
        local(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", as_nfs)
    gate = SwitchGate(tmp_path / "switch.lock")
    with gate.writing():
        pass
    with gate.switching():
        pass
    with gate.rebuilding(), PictureLocks(tmp_path / "locks").holding(["ab" * 32]):
        pass
    assert fcntl.LOCK_SH in taken
