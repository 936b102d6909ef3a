"""The whole stack's processes, used and broken: the short form of deploy/check."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from deploy.stack.processes import what_is_missing
from deploy.stack.web import DEPLOY


def test_the_stack_does_its_work_and_survives_the_loss_of_its_parts() -> None:
    if (reason := what_is_missing()) is not None:
        pytest.skip(reason)
    env = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run([DEPLOY / "check", "--short"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
