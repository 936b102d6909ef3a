"""Resize and crop in one step against resizing the whole picture and cropping after, as torchvision does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from image_search.embedding.models import ModelSpec, Resample
from image_search.embedding.preprocess import preprocess

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def spec(resize: int = 256, crop: int = 224, resample: Resample = "bicubic") -> ModelSpec:
    return ModelSpec("m", 1, resize, crop, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), resample)


def photo(width: int, height: int) -> Image.Image:
    """Blobs of every colour, larger than a pixel, as in a photo."""
    tiles = np.random.default_rng(width * 7919 + height).integers(0, 255, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(tiles).resize((width, height), Image.Resampling.BICUBIC)


def torchvision_like(image: Image.Image, model: ModelSpec) -> NDArray[np.float64]:
    """transforms.Resize(shortest) on a PIL image, CenterCrop, ToTensor, Normalize."""
    width, height = image.size
    shortest = model.resize_shortest_px
    if width <= height:
        size = (shortest, int(shortest * height / width))
    else:
        size = (int(shortest * width / height), shortest)
    whole = image.resize(size, FILTERS[model.resample])
    left = round((size[0] - model.crop_px) / 2.0)
    top = round((size[1] - model.crop_px) / 2.0)
    cropped = whole.crop((left, top, left + model.crop_px, top + model.crop_px))
    pixels = np.asarray(cropped, dtype=np.float64) / 255
    return ((pixels - model.mean) / model.std).transpose(2, 0, 1)


SIZES = [
    (640, 480),
    (480, 640),
    (500, 333),
    (333, 500),
    (256, 256),
    (224, 224),
    (255, 257),
    (1001, 640),
    (30, 20),
    (4, 4),
    (4, 90),
    (1500, 40),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos"])
def test_it_equals_resizing_the_whole_and_cropping(size: tuple[int, int], resample: Resample) -> None:
    model, image = spec(resample=resample), photo(*size)
    made = preprocess(image, model)
    assert (made.shape, made.dtype) == ((3, 224, 224), np.float32)
    difference = np.abs(made - torchvision_like(image, model)) * np.reshape(model.std, (3, 1, 1))
    assert difference.max() <= 2 / 255 + 1e-6


@pytest.mark.parametrize(("resize", "crop"), [(224, 224), (32, 32), (257, 224), (256, 223), (20, 16), (1, 1)])
def test_any_pair_of_resize_and_crop(resize: int, crop: int) -> None:
    model = spec(resize, crop, "bilinear")
    for size in ((100, 75), (75, 100), (64, 64), (301, 299)):
        image = photo(*size)
        difference = np.abs(preprocess(image, model) - torchvision_like(image, model))
        assert (difference * np.reshape(model.std, (3, 1, 1))).max() <= 2 / 255 + 1e-6, size


def test_the_crop_never_leaves_the_picture() -> None:
    """The box is computed with floats: no size may push it past an edge by rounding."""
    for resize, crop in ((224, 224), (256, 224), (7, 7)):
        model = spec(resize, crop)
        for edge in (*range(4, 60), *range(61, 400, 7)):
            for size in ((edge, edge), (edge, edge + edge // 3)):
                preprocess(Image.new("RGB", size), model)


def test_colours_are_scaled_by_the_model_s_numbers() -> None:
    model = spec()
    made = preprocess(Image.new("RGB", (300, 300), (255, 0, 51)), model)
    wanted = (np.array([1.0, 0.0, 0.2]) - model.mean) / model.std
    np.testing.assert_allclose(made[:, 100, 100], wanted, atol=1e-5)
    assert not np.ptp(made.reshape(3, -1), axis=1).any()


def test_channels_are_red_green_blue_and_rows_come_first() -> None:
    image = Image.new("RGB", (256, 256), (0, 0, 0))
    image.paste((255, 0, 0), (0, 0, 256, 64))
    made = preprocess(image, spec())
    assert made[0, 0, 112] > 2
    assert made[0, 223, 112] < 0
    assert made[2, 0, 112] < 0


def test_the_picture_is_not_changed() -> None:
    image = photo(300, 200)
    before = image.tobytes()
    preprocess(image, spec())
    assert image.tobytes() == before
