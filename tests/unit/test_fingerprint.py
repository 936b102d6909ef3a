"""Content hash, perceptual hash, low-detail test."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from image_search.fingerprint import LOW_DETAIL_STD, content_hash, is_low_detail, perceptual_hash
from image_search.imaging import decode, thumbnail
from tests.support import draw, jpeg


def busy(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Soft blobs: a picture with structure at every scale that a hash looks at."""
    tiles = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(tiles).resize(size, Image.Resampling.BICUBIC)


def distance(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def test_content_hash_is_sha256() -> None:
    assert content_hash(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert content_hash(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_perceptual_hash_is_64_bits_and_known() -> None:
    """Pinned: libraries hold these numbers, so another version of a library must not change them."""
    assert perceptual_hash(busy(1)) == 0x8B18D9B5C4B6758C


def test_perceptual_hash_survives_what_people_do_to_pictures() -> None:
    original = busy(1, (640, 480))
    expected = perceptual_hash(original)
    assert 0 <= expected < 2**64
    changed = [
        original.resize((200, 150), Image.Resampling.BICUBIC),
        original.filter(ImageFilter.GaussianBlur(2)),
        original.point(lambda value: min(255, int(value * 1.15))),
        decode(jpeg(original, quality=25), max_pixels=10**6).image,
        thumbnail(original, 320),
    ]
    assert [distance(perceptual_hash(image), expected) <= 6 for image in changed] == [True] * len(changed)


def test_perceptual_hash_tells_pictures_apart() -> None:
    hashes = [perceptual_hash(busy(seed)) for seed in range(12)]
    apart = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 10


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (30, 90, 200)])
def test_one_colour_is_low_detail(colour: tuple[int, int, int]) -> None:
    assert is_low_detail(Image.new("RGB", (320, 200), colour))


def test_grain_alone_is_low_detail() -> None:
    grain = np.random.default_rng(3).normal(120, 25, (240, 320, 1)).clip(0, 255).astype(np.uint8).repeat(3, axis=2)
    assert np.asarray(grain, float).std() > 20
    assert is_low_detail(Image.fromarray(grain))


def test_what_shows_something_is_not_low_detail() -> None:
    assert not is_low_detail(draw((220, 30, 30)))
    assert not is_low_detail(busy(4))


@pytest.mark.parametrize("size", [(4, 4), (5, 3000), (3000, 5), (32, 32)])
def test_odd_shapes_are_measured_too(size: tuple[int, int]) -> None:
    assert is_low_detail(Image.new("RGB", size, (9, 9, 9)))
    assert 0 <= perceptual_hash(Image.new("RGB", size, (9, 9, 9))) < 2**64


def _fade(shape: str) -> np.ndarray:
    """(240, 320) luminance that changes smoothly from edge to edge."""
    y, x = np.mgrid[-1:1:240j, -1:1:320j]
    surfaces = {
        "fog, darker below": 180 - 25 * y,
        "evening sky": 120 - 70 * y + 20 * x,
        "grey card, dark corners": 150 - 30 * (x * x + y * y),
    }
    return surfaces[shape]


@pytest.mark.parametrize("noise", [0, 8])
@pytest.mark.parametrize("shape", ["fog, darker below", "evening sky", "grey card, dark corners"])
def test_what_only_fades_is_low_detail(shape: str, noise: int) -> None:
    grey = _fade(shape) + np.random.default_rng(5).normal(0, noise, (240, 320))
    image = Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    assert np.asarray(image, float).std() > 2 * LOW_DETAIL_STD
    assert is_low_detail(decode(jpeg(image, quality=60), max_pixels=10**6).image)


def test_clouds_of_fog_are_low_detail_and_a_tree_in_it_is_not() -> None:
    clouds = Image.fromarray(np.random.default_rng(6).normal(200, 3, (6, 8)).clip(0, 255).astype(np.uint8))
    fog = clouds.resize((320, 240), Image.Resampling.BICUBIC).convert("RGB")
    assert is_low_detail(fog)
    ImageDraw.Draw(fog).rectangle((150, 60, 166, 220), fill=(90, 90, 90))
    assert not is_low_detail(fog)


@pytest.mark.parametrize(("step", "low"), [(LOW_DETAIL_STD - 0.6, True), (LOW_DETAIL_STD + 0.6, False)])
def test_the_limit_is_a_standard_deviation_of_luminance(step: float, low: bool) -> None:
    """Tiles of two levels that differ by 2 s have the standard deviation s, and no smooth part."""
    darker = 100
    tiles = np.indices((8, 8)).sum(axis=0) % 2 * round(2 * step) + darker
    image = Image.fromarray(tiles.astype(np.uint8)).resize((320, 320), Image.Resampling.NEAREST).convert("RGB")
    assert is_low_detail(image) is low
