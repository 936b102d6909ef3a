"""Looks through a vector shard that came from elsewhere, as a program: what ends it ends nothing else.

HDF5's C library trusts its files more than a service can: a crafted one may crash it, or make it ask for any amount of
memory. `python -m image_search.datasets.trial FILE [rows]` prints {} where the file is sound, {"refused": why} where it
is not; with `rows` every row is read, in the batches in which an import reads them.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from image_search.datasets.hdf5 import check_stored, read_vector_shard
from image_search.errors import DatasetFormatError

MEMORY_BYTES = 2 * 1024**3
"""Beside what the program itself has: a batch of the longest vectors takes an eighth of a gigabyte."""
CPU_S = 1800
"""No file within any sensible limit takes so long; one that is a maze of its own does."""


def main(path: Path, *, rows: bool) -> dict[str, str]:
    """What is printed."""
    _limit()
    try:
        check_stored(path)
        if rows:
            for _ in read_vector_shard(path):
                pass
    except DatasetFormatError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": f"{path.name}: asks for more memory than any shard needs"}
    return {}


def _limit() -> None:
    here = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + MEMORY_BYTES, here + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), rows="rows" in sys.argv[2:])))
