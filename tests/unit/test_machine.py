"""What this machine is said to do."""

from __future__ import annotations

import subprocess
import sys

SAYS_FIRST = """
import time
from image_search.machine import describe_machine

until = time.process_time() + 0.3
while time.process_time() < until:
    pass
print(describe_machine()["cpu"])
"""


def test_the_first_answer_is_no_zero() -> None:
    said = subprocess.run([sys.executable, "-c", SAYS_FIRST], capture_output=True, text=True, check=True).stdout
    assert float(said.split(" %")[0]) > 0, said
