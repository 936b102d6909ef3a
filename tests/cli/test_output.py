"""Where a command's output cannot go, and who ends it before it begins: no traceback, and the right exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = f"{sys.executable} -m image_search"


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    line = f"{COMMAND} --data-dir {folder} {command}"
    return subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["config show", "config show --json"])
def test_a_full_disk_behind_stdout_is_said(tmp_path: Path, command: str) -> None:
    done = shell(f"{command} > /dev/full", tmp_path)
    assert (done.returncode, done.stderr) == (1, "Error: no room is left on the disk that this is written to\n")


def test_nothing_is_said_where_nobody_listens(tmp_path: Path) -> None:
    command = "config show"
    for ending in (">&-", ">&- 2>&-"):
        assert (done := shell(f"{command} {ending}", tmp_path)).returncode == 0, done.stderr
        assert done.stderr == ""
    # `head` ends before the first line is written: a command that could not write has not done its work.
    assert shell(f"{command} | true", tmp_path).stderr == ""
    first = shell(f"{command} | head -n 1", tmp_path)
    assert (len(first.stdout.splitlines()), first.stderr) == (1, "")


def test_what_is_opened_later_does_not_take_the_place_of_a_closed_stdout(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("ftp://example.com/a.jpg\n")
    done = shell(f"fetch {tmp_path}/list.txt -o {tmp_path}/out >&- 2>&-", tmp_path)
    assert done.returncode == 1
    journal = (tmp_path / "out/.fetch/journal.jsonl").read_text().splitlines()
    assert [line[:7] for line in journal] == ['{"url":']


def test_ctrl_c_while_the_parts_are_loaded(tmp_path: Path) -> None:
    code = """
import sys
class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == "rich.console":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Pressed())
from image_search.cli import main
sys.argv = ["image-search", "status"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
