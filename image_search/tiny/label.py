"""What a picture shows, by a vote of its neighbours: what the 80 million pictures were collected for.

The label of a picture is the first folder of its name: `ship` of `ship/0012.jpg`.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import NDArray

from image_search.errors import InvalidInput, InvalidParameter
from image_search.tiny.archive import Archive, BytesListener, no_listener
from image_search.tiny.knn import Metric, nearest
from image_search.tiny.names import names_path, read_names


@dataclass(frozen=True)
class Labels:
    """The labels of an archive's n pictures."""

    names: tuple[str, ...]
    """Every label once."""
    codes: NDArray[np.int32]
    """(n,) index into `names` of each picture's label."""

    def of(self, position: int) -> str:
        """The label of one picture."""
        return self.names[int(self.codes[position])]


@dataclass(frozen=True, slots=True)
class Vote:
    """What the neighbours of a picture say."""

    label: str
    votes: dict[str, int]
    """By label, the most voted one first."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often the vote was right."""

    metric: Metric
    k: int
    right: int
    queries: int

    @property
    def accuracy(self) -> float:
        """0 to 1."""
        return self.right / self.queries


def read_labels(archive: Archive) -> Labels:
    """The labels of all pictures.

    Raises InvalidInput where names, or folders in them, are missing, DatasetFormatError.
    """
    codes = array("i")
    known: dict[str, int] = {}
    for name in read_names(archive.path, len(archive)):
        label, separator, _ = name.partition("/")
        if not separator:
            raise InvalidInput(
                f"picture {len(codes)}, {name[:80]!r}, has no label: names must be LABEL/FILE, as a folder is packed "
                "that has one folder for each label"
            )
        codes.append(known.setdefault(label, len(known)))
    if len(codes) != len(archive):
        raise InvalidInput(f"{str(names_path(archive.path))!r} is missing: it has the labels of the pictures")
    return Labels(tuple(known), np.array(codes, np.int32))


def vote(labels: Sequence[str]) -> Vote:
    """The label that most of the neighbours have, whose labels come nearest first; of several the nearest one's.

    Raises InvalidInput where there is no neighbour.
    """
    if not labels:
        raise InvalidInput("no neighbour to vote")
    # Counts keep the order in which labels were first met, and sorting keeps that of equals: the nearest is in front.
    votes = dict(Counter(labels).most_common())
    return Vote(next(iter(votes)), votes)


def evaluate(
    archive: Archive,
    labels: Labels,
    positions: Sequence[int],
    ks: Sequence[int],
    *,
    metric: Metric,
    threads: int = 1,
    on_bytes: BytesListener = no_listener,
    stop: Event | None = None,
) -> list[Accuracy]:
    """How often the vote of the k nearest others is a picture's own label, for each of `ks`, over some pictures.

    Raises InvalidParameter (a position, k), InvalidInput (no other picture, stopped), DatasetFormatError.
    """
    if len(archive) < 2 or not positions:
        raise InvalidInput(f"the archive has {len(archive)} pictures; at least 2 are needed to judge")
    if min(ks) < 1:
        raise InvalidParameter("k", f"{min(ks)}; at least 1 is expected")
    most = max(ks)
    found = nearest(
        archive,
        archive.pictures(positions),
        most + 1,
        metric=metric,
        threads=threads,
        on_bytes=on_bytes,
        stop=stop,
    )
    right = dict.fromkeys(ks, 0)
    for position, neighbours in zip(positions, found, strict=True):
        others = [labels.of(one.position) for one in neighbours if one.position != position][:most]
        for k in right:
            right[k] += vote(others[:k]).label == labels.of(position)
    return [Accuracy(metric, k, count, len(positions)) for k, count in right.items()]
