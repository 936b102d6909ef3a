"""The whole stack's processes, used and broken: the short form of deploy/check."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from deploy.stack import steps
from deploy.stack.processes import Failed, what_is_missing
from deploy.stack.web import DEPLOY

LONGEST_S = 900
"""The short form takes a minute or two; on a busy machine five."""


def test_the_stack_does_its_work_and_survives_the_loss_of_its_parts() -> None:
    if (reason := what_is_missing()) is not None:
        pytest.skip(reason)
    env = {**os.environ, "PYTHON": sys.executable}
    # In a session of its own: whatever it started ends with it.
    with subprocess.Popen(
        [DEPLOY / "check", "--short"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as check:
        try:
            said, _ = check.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            os.killpg(check.pid, signal.SIGKILL)
            said, _ = check.communicate()
            pytest.fail(f"not done after {LONGEST_S} s: {said}")
    assert check.returncode == 0, said


def test_what_never_comes_about_is_a_failure_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "AWAITED_S", 0.05)
    with pytest.raises(Failed, match="the impossible"):
        steps.wait_until(lambda: False, "the impossible", every_s=0.01)
    left = iter((False, False, True))
    monkeypatch.setattr(steps, "AWAITED_S", 60.0)
    steps.wait_until(lambda: next(left), "the third time", every_s=0)
