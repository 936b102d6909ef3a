"""The tools that check the files of the deployment, from .servers/tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deploy.servers import SERVERS


def tool(name: str) -> Path:
    """Where it is; skips the test where it is not there."""
    path = SERVERS / "tools" / name
    if not path.exists():
        pytest.skip(f"{Path(name).name} is not there: `make servers` gets it")
    return path


def run(*command: object) -> str:
    """What it says on stdout; fails the test where it ends with an error."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
