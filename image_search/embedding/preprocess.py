"""RGB picture -> float32 (3, H, W), as a model's card says. Pure."""

from __future__ import annotations

import numpy as np
from PIL import Image

from image_search.embedding.models import ModelSpec
from image_search.interfaces import FloatArray

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def preprocess(image: Image.Image, spec: ModelSpec) -> FloatArray:
    """(3, crop_px, crop_px) float32: shortest edge resized, centre crop, scaled to [0, 1], normalised per channel.

    Resize and crop are one step: only the pixels that stay are computed. Positions are those of resizing to whole
    pixels and cropping after, as torchvision's Resize and CenterCrop do.
    """
    width, height = image.size
    short = min(width, height)
    resized_width = spec.resize_shortest_px * width // short
    resized_height = spec.resize_shortest_px * height // short
    left = round((resized_width - spec.crop_px) / 2)
    top = round((resized_height - spec.crop_px) / 2)
    scale_x, scale_y = width / resized_width, height / resized_height
    box = (left * scale_x, top * scale_y, (left + spec.crop_px) * scale_x, (top + spec.crop_px) * scale_y)
    cropped = image.resize((spec.crop_px, spec.crop_px), _RESAMPLING[spec.resample], box=box)
    pixels = np.asarray(cropped, dtype=np.uint8).transpose(2, 0, 1)
    # One multiply and one add: (x / 255 - mean) / std.
    std = np.asarray(spec.std, dtype=np.float32).reshape(3, 1, 1)
    mean = np.asarray(spec.mean, dtype=np.float32).reshape(3, 1, 1)
    tensor: FloatArray = np.multiply(pixels, 1.0 / (255.0 * std), dtype=np.float32)
    tensor -= mean / std
    return tensor
