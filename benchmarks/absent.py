"""From which cosine on a picture is close: queries whose subject a library has not, and those whose subject it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from image_search.interfaces import FloatArray

WRONGLY_CLOSE = 0.05
"""Share of queries without a relative in the library that may have a hit above the cut-off."""

_KINDS: Mapping[str, str] = {
    "with shells": "ant crayfish lobster octopus scorpion tick hawksbill",
    "scaly": "crocodile_head stegosaurus",
    "birds": "emu flamingo ibis pigeon rooster",
    "furry": "cougar_face dalmatian hedgehog platypus wild_cat",
    "swimming": "bass dolphin",
    "figures": "garfield snoopy buddha",
    "towers": "minaret pagoda",
    "boats": "ketch schooner",
    "with strings": "electric_guitar mandolin",
    "lamps": "chandelier menorah",
    "devices": "binocular camera cellphone gramophone laptop stapler",
    "of metal": "revolver wrench",
    "vehicles": "Motorbikes airplanes car_side",
    "plants": "joshua_tree strawberry water_lilly",
    "heads": "Faces_easy brain",
    "ewer": "ewer",
    "umbrella": "umbrella",
}
"""Classes of Caltech-101 that one may take for each other: who asks for an ant is well served with a tick."""


def nearest(vectors: FloatArray, classes: Sequence[str], asked: Collection[str]) -> tuple[FloatArray, ...]:
    """Of each picture of the asked classes: the cosine of the nearest where its kind is absent, that of the nearest of
    its class, and a weight with which each class counts once.

    `vectors` (n, dim) of pictures with their `classes`; what belongs to no known kind is left out.
    """
    kind_of = {name: kind for kind, names in _KINDS.items() for name in names.split()}
    names = np.array(classes)
    kinds = np.array([kind_of.get(name, "") for name in classes])
    absent, present, weights = [], [], []
    for name in sorted(asked):
        own = np.flatnonzero(names == name)
        absent.append((vectors[own] @ vectors[(kinds != kind_of[name]) & (kinds != "")].T).max(axis=1))
        among = vectors[own] @ vectors[own].T
        np.fill_diagonal(among, -1)
        present.append(among.max(axis=1))
        weights.append(np.full(len(own), 1 / len(own)))
    return np.concatenate(absent), np.concatenate(present), np.concatenate(weights)


def cut_off(absent: FloatArray, weights: NDArray[np.float64]) -> float:
    """The lowest cosine, in hundredths, that at most WRONGLY_CLOSE of the queries without a relative reach."""
    order = np.argsort(absent)[::-1]
    reached = np.cumsum(weights[order]) / weights.sum()
    highest_allowed = absent[order][np.searchsorted(reached, WRONGLY_CLOSE, side="right")]
    return float(np.floor(highest_allowed * 100 + 1) / 100)
