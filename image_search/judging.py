"""Whether two pictures are the same picture, and from which cosine on a picture is close at all. Pure.

The further apart the perceptual hashes are, the nearer the vectors must be: series of one photographer have near
vectors, pictures of one layout have near hashes, edits of one picture have both. What is near enough is measured
(`python -m benchmarks near_duplicates`), for one model file and one projection each: another network's cosines mean
something else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from image_search.thresholds import MEASURED

HASH_ALONE = 2
"""Most differing bits where nothing is known of the vectors. Measured: 1 in 8,000,000 other pictures is that near; of
pictures saved at JPEG 50, 99 % are, at half size 93 %, brighter 81 %, with small text 58 %, with a twentieth cut off
15 % (68 % by the second of the query's hashes)."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What was measured for one model and projection."""

    steps: tuple[tuple[int, float], ...]
    """(most differing bits, least cosine), both growing: a pair is the same picture where one step takes it."""
    cut_off: float
    """Cosine below which nothing is close."""


def thresholds_for(model_id: str, projection_id: str) -> Thresholds | None:
    """What was measured for this model file and this projection, or None.

    A random projection is made of the model's id and its length alone, so that one measurement holds for all libraries.
    A PCA follows the pictures it was fitted on, and an int8 form the pictures it was calibrated with: neither can be
    measured before it is made.
    """
    measured = MEASURED.get(model_id, {}).get(projection_id.partition("@")[0])
    return Thresholds(*measured) if measured else None


def is_near_duplicate(
    phash_distance: int, cosine: float, thresholds: Thresholds | None, *, low_detail: bool = False
) -> bool:
    """Whether a pair is the same picture, re-encoded, resized, slightly cropped or recoloured.

    Without thresholds the hash alone decides, strictly. `low_detail`: one of the two is nearly uniform, so that its
    hash is chance: then every step must take the pair, and the hash alone never does.
    """
    if thresholds is None:
        return phash_distance <= HASH_ALONE and not low_detail
    taken = (phash_distance <= distance and cosine >= least for distance, least in thresholds.steps)
    return all(taken) if low_detail else any(taken)


def phash_distance(one: int, other: int) -> int:
    """Bits, 0 to 64, in which two perceptual hashes differ."""
    return (one ^ other).bit_count()


def closest_distance(hashes: Iterable[int], other: int) -> int:
    """Bits in which the nearest of a query's hashes differs from a stored one."""
    return min(phash_distance(one, other) for one in hashes)
