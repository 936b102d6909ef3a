"""Nearest neighbours on raw pixels: gigabytes a second of an archive in the page cache, and of one on the disk.

python -m benchmarks tiny [--pictures 1300000] [--queries 1,16] [--folder DIR]

Beside each pass, in the same round: plain reading of the same file (`readinto` a 64 MB buffer, as many threads), and
two calls of the SIMD library alone on an array in memory, with no reading, ranking or roots: its own distances
(`cdist`), and its packed matrix product, of which ours are made. The best of several rounds counts for each.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numkong
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import publish
from image_search.machine import available_cores
from image_search.tiny.archive import Archive
from image_search.tiny.knn import Metric, nearest
from image_search.tiny.pixels import PICTURE_BYTES

PICTURES = 1_300_000
QUERIES = (1, 16)
K = 10
ROUNDS = 5
BUFFER_BYTES = 64 << 20
IN_MEMORY = 130_000
"""Pictures in memory for the library alone: 400 MB, far more than any cache."""
ALL_PICTURES = 79_302_017
DISKS = {"SATA SSD, 0.55 GB/s": 0.55, "NVMe SSD, 3.5 GB/s": 3.5, "NVMe SSD, 7 GB/s": 7.0}


def main(arguments: Sequence[str]) -> None:
    """Write an archive, and read it in every way."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    pictures = int(options.get("--pictures", PICTURES))
    counts = [int(n) for n in options.get("--queries", ",".join(map(str, QUERIES))).split(",")]
    threads = available_cores()
    with tempfile.TemporaryDirectory(prefix="bench-tiny-", dir=options.get("--folder")) as folder:
        path = Path(folder) / "tiny.bin"
        block = np.random.default_rng(0).integers(0, 256, (13_000, PICTURE_BYTES), np.uint8)
        with path.open("wb") as file:
            for first in range(0, pictures, len(block)):
                file.write(block[: pictures - first].data)
            os.fsync(file.fileno())
        rows = [
            *(_cached(path, count, metric, threads) for metric in ("l2", "normalised") for count in counts),
            *(_from_disk(path, count, threads) for count in counts),
        ]
    publish("tiny", f"Raw pixels, {pictures * PICTURE_BYTES / 1e9:.2f} GB, {threads} threads, GB/s of the file", rows)
    publish("tiny_all", "Calculated from it: all 79,302,017 pictures, 244 GB (227 GiB)", list(_calculated(rows)))


def _cached(path: Path, count: int, metric: Metric, threads: int) -> dict[str, object]:
    """In turns, so that what else the machine does hits all of them."""
    plain = ours = distances = products = 0.0
    read = _plain_reader(path, threads)
    read()
    with Archive(path) as archive:
        queries = archive.pictures(archive.sample(count, 1))
        packed = numkong.dots_pack(queries, dtype="uint8")
        for _ in range(ROUNDS):
            plain = max(plain, _rate(path, read))
            ours = max(ours, _rate(path, lambda: nearest(archive, queries, K, metric=metric, threads=threads)))
            distances = max(distances, _in_memory(lambda r: numkong.cdist(r, queries, metric="sqeuclidean"), threads))
            products = max(products, _in_memory(lambda r: numkong.dots_packed(r, packed), threads))
    return {
        "where": "page cache",
        "metric": metric,
        "queries": count,
        "pass": ours,
        "plain read": plain,
        "of it": ours / plain,
        "cdist in memory": distances,
        "of that": ours / distances,
        "products in memory": products,
    }


def _from_disk(path: Path, count: int, threads: int) -> dict[str, object]:
    plain = ours = 0.0
    read = _plain_reader(path, threads)
    with Archive(path) as archive:
        queries = archive.pictures(archive.sample(count, 1))
        for _ in range(2):
            _forget(path)
            plain = max(plain, _rate(path, read))
            _forget(path)
            ours = max(ours, _rate(path, lambda: nearest(archive, queries, K, threads=threads)))
    return {
        "where": "disk",
        "metric": "l2",
        "queries": count,
        "pass": ours,
        "plain read": plain,
        "of it": ours / plain,
        "cdist in memory": "",
        "of that": "",
        "products in memory": "",
    }


def _rate(path: Path, action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return path.stat().st_size / (time.perf_counter() - started) / 1e9


def _plain_reader(path: Path, threads: int) -> Callable[[], None]:
    size = path.stat().st_size
    buffers = [np.ones(BUFFER_BYTES, np.uint8) for _ in range(threads)]

    def part(number: int) -> None:
        buffer = memoryview(buffers[number])
        at, end = size * number // threads, size * (number + 1) // threads
        with path.open("rb", buffering=0) as file:
            file.seek(at)
            while at < end:
                at += file.readinto(buffer[: end - at]) or 0

    def read() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, range(threads)))

    return read


_ROWS = np.random.default_rng(1).integers(0, 256, (IN_MEMORY, PICTURE_BYTES), np.uint8)


def _in_memory(call: Callable[[NDArray[np.uint8]], object], threads: int) -> float:
    """The rate of a call of the library's over an array in memory, cut into as many parts as there are threads."""
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        list(pool.map(call, np.array_split(_ROWS, threads)))
        return float(_ROWS.nbytes / (time.perf_counter() - started) / 1e9)


def _forget(path: Path) -> None:
    """Let the system drop the file from its page cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _calculated(rows: Sequence[dict[str, object]]) -> Iterator[dict[str, object]]:
    """A pass goes at the disk's speed, or at ours where that is less."""
    size = ALL_PICTURES * PICTURE_BYTES / 1e9
    for row in rows:
        if row["where"] == "page cache":
            ours = float(str(row["pass"]))
            minutes = {f"{disk}, min": size / min(speed, ours) / 60 for disk, speed in DISKS.items()}
            yield {"metric": row["metric"], "queries": row["queries"], **minutes}
