"""Content hash, perceptual hash, low-detail test. Pure."""

from __future__ import annotations

import hashlib

import imagehash
import numpy as np
from PIL import Image

LOW_DETAIL_STD = 4.0
"""Standard deviation of the luminance (0..255) of a 32 x 32 copy below which a picture is nearly uniform.

Measured on the thumbnails of 1,499 Flickr photos and 5,416 pictures of Caltech 101: a nearly black title card (3.0) and
a nearly white drawing (3.8) lie below; the plainest others have 4.3 (a drawing in two colours of one brightness), 6.4
(Caltech) and 7.1 (Flickr)."""


def content_hash(data: bytes) -> str:
    """SHA-256 of the bytes, 64 lowercase hex digits: the image_id."""
    return hashlib.sha256(data).hexdigest()


def perceptual_hash(image: Image.Image) -> int:
    """The 64-bit DCT hash (pHash) of an RGB picture as an unsigned number.

    Source: the `imagehash` library, after http://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html.
    """
    return int(str(imagehash.phash(image, hash_size=8)), 16)


def is_low_detail(image: Image.Image) -> bool:
    """Whether an RGB picture is nearly uniform, so that it resembles everything a little."""
    small = image.convert("L").resize((32, 32), Image.Resampling.BOX)
    return bool(np.asarray(small, dtype=np.float32).std() < LOW_DETAIL_STD)
