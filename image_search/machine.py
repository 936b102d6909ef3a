"""What this machine has: cores, memory, load."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

# It tells the load since the call before: the first would find none and say 0.
psutil.cpu_percent(interval=None)


def available_cores() -> int:
    """Cores that this process may use (a container may have fewer than the machine)."""
    return len(os.sched_getaffinity(0))


def describe_machine(*, uses_card: bool = False) -> dict[str, str]:
    """cpu, memory and gpu (that is used) as people read them, with real values of this moment."""
    memory = psutil.virtual_memory()
    return {
        "cpu": f"{psutil.cpu_percent(interval=None):.1f} % of {available_cores()} cores",
        "memory": f"{memory.used / 2**30:.1f} of {memory.total / 2**30:.1f} GiB ({memory.percent:.0f} %)",
        "gpu": _card() if uses_card else "none used",
    }


def _card() -> str:
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Model:"):
                return line.removeprefix("Model:").strip()
    return "a graphics card (CUDA)"
