"""Whether two pictures are the same picture: the rule's edges, and drawn pictures through the product's own hashes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from image_search.embedding.models import REGISTRY, find_model
from image_search.judging import (
    HASH_ALONE,
    Thresholds,
    closest_distance,
    is_near_duplicate,
    phash_distance,
    thresholds_for,
)
from image_search.services.preparing import PreparedImage, Preparer
from image_search.thresholds import MEASURED
from tests.support import jpeg

STEPS = Thresholds(steps=((2, 0.8), (6, 0.94), (12, 0.99)), cut_off=0.5)
PREPARER = Preparer(thumbnail_px=320, max_pixels=10**7, max_bytes=10**7)


def prepared(image: Image.Image, quality: int = 90) -> PreparedImage:
    return PREPARER.prepare(jpeg(image, quality), shortest_px=128)


def scene(seed: int) -> Image.Image:
    """Soft blobs under a few drawn shapes: structure at every scale that a hash looks at."""
    random = np.random.default_rng(seed)
    tiles = random.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(tiles).resize((400, 300), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        x, y, size = (int(v) for v in random.integers((0, 0, 20), (340, 240, 90)))
        draw.ellipse((x, y, x + size, y + size), fill=tuple(int(v) for v in random.integers(0, 255, 3)))
    return image


def signed(image: Image.Image) -> Image.Image:
    written = image.copy()
    ImageDraw.Draw(written).text((230, 275), "(c) A. Name", fill="white", font=ImageFont.load_default(16))
    return written


@pytest.mark.parametrize(
    ("one", "other", "bits"),
    [(0, 0, 0), (2**64 - 1, 0, 64), (0b1011, 0b0001, 2), (1 << 63, 0, 1), (0x8B18D9B5C4B6758C, 0x8B18D9B5C4B6758D, 1)],
)
def test_distance_counts_bits_in_either_order(one: int, other: int, bits: int) -> None:
    assert phash_distance(one, other) == phash_distance(other, one) == bits


def test_the_nearest_of_a_query_s_hashes_counts() -> None:
    assert closest_distance((0b1111, 0b0001), 0b0011) == 1
    assert closest_distance([0b1111], 0b0011) == 2


@pytest.mark.parametrize(
    ("distance", "cosine", "taken"),
    [
        (0, 0.8, True),
        (2, 0.8, True),
        (2, 0.79, False),
        (4, 0.93, False),
        (6, 0.94, True),
        (8, 0.98, False),
        (12, 0.99, True),
        (14, 1.0, False),
    ],
)
def test_the_further_the_hashes_the_nearer_the_vectors_must_be(distance: int, cosine: float, taken: bool) -> None:
    assert is_near_duplicate(distance, cosine, STEPS) is taken


def test_nearer_is_never_worse() -> None:
    for distance in range(20):
        row = [is_near_duplicate(distance, c / 100, STEPS) for c in range(101)]
        assert row == sorted(row)
        nearer = [is_near_duplicate(max(0, distance - 1), c / 100, STEPS) for c in range(101)]
        assert all(a >= b for a, b in zip(nearer, row, strict=True))


def test_without_thresholds_the_hash_decides_strictly() -> None:
    assert is_near_duplicate(HASH_ALONE, -1.0, None)
    assert not is_near_duplicate(HASH_ALONE + 1, 1.0, None)


def test_a_low_detail_picture_is_never_taken_by_its_hash_alone() -> None:
    assert not is_near_duplicate(0, 1.0, None, low_detail=True)
    assert not is_near_duplicate(0, 0.9, STEPS, low_detail=True)
    assert not is_near_duplicate(12, 1.0, STEPS, low_detail=True)
    assert is_near_duplicate(2, 0.99, STEPS, low_detail=True)


def test_two_empty_pictures_are_not_the_same_one() -> None:
    """Black and white have one hash: of nothing."""
    black, white = (prepared(Image.new("RGB", (200, 150), colour)) for colour in ("black", "white"))
    assert phash_distance(black.record.phash, white.record.phash) <= HASH_ALONE
    low_detail = black.record.low_detail or white.record.low_detail
    assert not is_near_duplicate(0, 0.7, None, low_detail=low_detail)
    assert not is_near_duplicate(0, 0.7, STEPS, low_detail=low_detail)


@pytest.mark.parametrize("seed", range(4))
def test_light_edits_have_near_hashes(seed: int) -> None:
    original = scene(seed)
    stored = prepared(original).record.phash
    edits = {
        "half": prepared(original.resize((200, 150), Image.Resampling.LANCZOS)),
        "JPEG 50": prepared(original, quality=50),
        "bright": prepared(ImageEnhance.Brightness(original).enhance(1.2)),
        "text": prepared(signed(original)),
        "cropped": prepared(original.crop((10, 8, 390, 292))),
    }
    near = {name: closest_distance(PREPARER.fingerprint(edit.image)[0], stored) for name, edit in edits.items()}
    assert max(near.values()) <= 8, near


def test_a_crop_is_nearer_by_the_drawn_out_hash() -> None:
    plain, nearest = [], []
    for seed in range(8):
        original = scene(seed)
        cropped = prepared(original.crop((10, 8, 390, 292)))
        hashes = PREPARER.fingerprint(cropped.image)[0]
        assert hashes[0] == cropped.record.phash
        stored = prepared(original).record.phash
        plain.append(phash_distance(hashes[0], stored))
        nearest.append(closest_distance(hashes, stored))
    assert sum(nearest) <= sum(plain) / 2


def test_other_pictures_are_far() -> None:
    hashes = [prepared(scene(seed)).record.phash for seed in range(10)]
    assert min(phash_distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 12


def test_thresholds_belong_to_one_file_of_one_model() -> None:
    model_id = next(iter(MEASURED))
    assert thresholds_for(model_id, "none") is not None
    name = model_id.partition("@")[0]
    for other in (f"{name}@000000000000", name, f"{name}-int8@{model_id.partition('@')[2]}", "", "nobody@123456789abc"):
        assert thresholds_for(other, "none") is None


def test_projections_that_follow_a_library_have_none() -> None:
    for model_id in MEASURED:
        assert thresholds_for(model_id, "pca:128@0123456789ab") is None
        assert thresholds_for(model_id, "") is None
        assert thresholds_for(model_id, "random:17@0123456789ab") is None


def test_a_random_projection_is_known_by_its_length() -> None:
    for model_id, projections in MEASURED.items():
        for projection in projections:
            if projection.startswith("random:"):
                found = thresholds_for(model_id, f"{projection}@0123456789ab")
                assert found is not None
                assert found == thresholds_for(model_id, f"{projection}@ba9876543210")


@pytest.mark.parametrize(("model_id", "projection"), [(m, p) for m, some in MEASURED.items() for p in some])
def test_what_was_measured_is_a_rule(model_id: str, projection: str) -> None:
    found = thresholds_for(model_id, projection)
    assert found is not None
    assert found.steps
    for (distance, cosine), (further, nearer) in pairwise(found.steps):
        assert distance < further
        assert cosine < nearer
    assert all(0 <= distance <= 16 and 0 < cosine < 1 for distance, cosine in found.steps)
    assert 0 < found.cut_off < 1


def test_the_packaged_model_was_measured(tmp_path: Path) -> None:
    """Another file of it needs another measurement: `python -m benchmarks near_duplicates --write`."""
    (packaged,) = (spec.name for spec in REGISTRY.values() if not spec.repo_id)
    assert thresholds_for(find_model(packaged, tmp_path).model_id, "none") is not None
