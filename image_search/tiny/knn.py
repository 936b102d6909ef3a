"""The nearest pictures of an archive, for any number of queries in one pass over the file, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event, Lock, local
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from image_search.errors import InvalidParameter
from image_search.tiny.archive import Archive, Block, BytesListener, no_listener
from image_search.tiny.compare import Comparer, PixelMetric, Squared
from image_search.tiny.pixels import Bytes
from image_search.tiny.shifts import mirrored, shifted_distances

Metric: TypeAlias = Literal["l2", "normalised", "shifted"]
METRICS: tuple[Metric, ...] = get_args(Metric)
QUERIES_AT_ONCE = 256
"""Queries that are compared with a block in one go: what that takes of memory has an end."""
CANDIDATES = 100
"""Of `shifted`: so many of the nearest by `normalised`, and so many of the mirror image, are tried with shifts."""
MAX_SHIFT_PX = 2


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A picture that was found."""

    score: float
    """Its distance; 0 = the same pixels (`l2`), the same but for brightness and contrast (`normalised`)."""
    position: int
    shift: tuple[int, int] = (0, 0)
    """Of `shifted`: by how many pixels to the right and down it was moved."""
    mirrored: bool = False
    """Of `shifted`: it was mirrored, before it was moved."""


def nearest(
    archive: Archive,
    queries: Bytes,
    k: int,
    *,
    metric: Metric = "l2",
    threads: int = 1,
    candidates: int = CANDIDATES,
    on_bytes: BytesListener = no_listener,
    stop: Event | None = None,
) -> list[list[Neighbour]]:
    """For each of the (q, 3072) queries its k nearest (fewer in a smaller archive), nearest first, then by position.

    Raises InvalidParameter (k), DatasetFormatError (the file is cut meanwhile), InvalidInput (stopped).
    """
    if k < 1:
        raise InvalidParameter("k", f"{k}; at least 1 is expected")
    if not len(queries) or not len(archive):
        return [[] for _ in queries]
    if metric != "shifted":
        found = _nearest(archive, queries, k, metric, threads, on_bytes, stop)
        return [[Neighbour(float(np.sqrt(d)), int(p)) for d, p in zip(*one, strict=True)] for one in found]
    both = np.concatenate([queries, mirrored(queries)])
    found = _nearest(archive, both, max(k, candidates), "normalised", threads, on_bytes, stop)
    return [
        _shifted(archive, query, np.union1d(found[i][1], found[i + len(queries)][1]), k)
        for i, query in enumerate(queries)
    ]


def all_distances(
    archive: Archive,
    queries: Bytes,
    *,
    metric: PixelMetric = "l2",
    threads: int = 1,
    on_bytes: BytesListener = no_listener,
    stop: Event | None = None,
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """(position of the first, (n, q) distances) of pictures that follow each other, in the order of the file."""
    groups = _groups(queries, metric)

    def work(blocks: Iterator[Block]) -> list[tuple[int, NDArray[np.float64]]]:
        return [
            (block.first, np.sqrt(np.concatenate([one.squared(block.rows) for one in groups], axis=1)))
            for block in blocks
        ]

    for part in archive.scan(work, threads=threads, on_bytes=on_bytes, stop=stop):
        yield from part


_Found: TypeAlias = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Squared distances and positions."""


class _Best:
    """The k best of each of q queries among the pictures that one thread sees, which it sees in growing order."""

    def __init__(self, queries: int, k: int) -> None:
        self._k = k
        # Sorting now and then costs less than at every picture that comes in.
        self._most = 2 * k + 256
        self._worst = np.full(queries, np.inf)
        self._kept: list[list[_Found]] = [[] for _ in range(queries)]
        self._counts = [0] * queries

    def offer(self, first: int, squared: Squared) -> None:
        """Take what is better than the worst that is kept; of equals the earlier ones are kept already."""
        near = squared < self._worst
        for query in map(int, np.flatnonzero(near.any(axis=0))):
            rows = np.flatnonzero(near[:, query])
            self._kept[query].append((squared[rows, query], rows + first))
            self._counts[query] += len(rows)
            if self._counts[query] > self._most:
                best = self.best(query)
                self._kept[query], self._counts[query] = [best], len(best[0])
                self._worst[query] = best[0][-1]

    def best(self, query: int) -> _Found:
        """At most k, sorted."""
        return _sorted(self._kept[query], self._k)


def _sorted(parts: Sequence[_Found], k: int) -> _Found:
    squared = np.concatenate([np.empty(0), *(part[0] for part in parts)])
    positions = np.concatenate([np.empty(0, np.int64), *(part[1] for part in parts)])
    order = np.lexsort((positions, squared))[:k]
    return squared[order], positions[order]


def _nearest(
    archive: Archive,
    queries: Bytes,
    k: int,
    metric: PixelMetric,
    threads: int,
    on_bytes: BytesListener,
    stop: Event | None,
) -> list[_Found]:
    k = min(k, len(archive))
    groups = _groups(queries, metric)
    sizes = [len(part) for part in _split(queries)]
    mine = local()
    everyones: list[list[_Best]] = []
    lock = Lock()

    def work(blocks: Iterator[Block]) -> None:
        best: list[_Best] | None = getattr(mine, "best", None)
        if best is None:
            best = mine.best = [_Best(size, k) for size in sizes]
            with lock:
                everyones.append(best)
        for block in blocks:
            for one, group in zip(best, groups, strict=True):
                one.offer(block.first, group.squared(block.rows))

    for _ in archive.scan(work, threads=threads, on_bytes=on_bytes, stop=stop):
        pass
    return [
        _sorted([best[group].best(query) for best in everyones], k)
        for group, size in enumerate(sizes)
        for query in range(size)
    ]


def _split(queries: Bytes) -> list[Bytes]:
    return [queries[start : start + QUERIES_AT_ONCE] for start in range(0, len(queries), QUERIES_AT_ONCE)]


def _groups(queries: Bytes, metric: PixelMetric) -> list[Comparer]:
    return [Comparer(part, metric) for part in _split(queries)]


def _shifted(archive: Archive, query: Bytes, positions: NDArray[np.int64], k: int) -> list[Neighbour]:
    wanted = [int(position) for position in positions]
    best = shifted_distances(archive.pictures(wanted), query, MAX_SHIFT_PX)
    order = np.lexsort((positions, best.squared))[:k]
    return [
        Neighbour(
            float(np.sqrt(best.squared[i])), wanted[i], (int(best.right[i]), int(best.down[i])), bool(best.mirrored[i])
        )
        for i in order
    ]
