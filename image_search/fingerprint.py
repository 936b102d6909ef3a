"""Content hash, perceptual hash, low-detail test. Pure."""

from __future__ import annotations

import hashlib

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

LOW_DETAIL_STD = 4.0
"""Standard deviation of the luminance (0..255) of a 32 x 32 copy, beside its smooth part (a sky's or a fog's change
from edge to edge, a lens's darker corners), below which a picture is nearly uniform.

Measured on the thumbnails of 1,499 Flickr photos and 5,416 pictures of Caltech 101: a nearly black title card (2.9) and
a nearly white drawing (3.5) lie below; the plainest others have 4.4 (a drawing in two colours of one brightness), 6.2
(Caltech) and 6.7 (Flickr)."""
_EDGE = 32
_MARGIN = 0.026
"""On each side: a picture that lost 5 % of its width is as wide again with 2.6 % of what is left on both sides, and
the whole one shows what is left without 2.5 %."""


def _smooth_surfaces() -> NDArray[np.float32]:
    """(pixels, 6) an orthonormal basis of the surfaces of second degree over a square picture."""
    y, x = (axis.ravel() for axis in np.mgrid[-1 : 1 : _EDGE * 1j, -1 : 1 : _EDGE * 1j])
    basis, _ = np.linalg.qr(np.stack([np.ones(x.size), x, y, x * y, x * x, y * y], axis=1))
    return basis.astype(np.float32)


_SMOOTH = _smooth_surfaces()


def content_hash(data: bytes) -> str:
    """SHA-256 of the bytes, 64 lowercase hex digits: the image_id."""
    return hashlib.sha256(data).hexdigest()


def perceptual_hash(image: Image.Image) -> int:
    """The 64-bit DCT hash (pHash) of an RGB picture as an unsigned number.

    Source: the `imagehash` library, after http://www.hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html.
    """
    return int(str(imagehash.phash(image, hash_size=8)), 16)


def query_hashes(image: Image.Image) -> tuple[int, int, int]:
    """The hash of a picture, one for the picture that it may be the middle of, and one for its own middle.

    Cutting a twentieth off moves 4 to 12 of the 64 bits; the same hash of the picture with its edges drawn out, or of
    the whole one without them, moves 2.
    """
    grey = np.asarray(image.convert("L"))
    top, left = (round(edge * _MARGIN) for edge in grey.shape)
    drawn_out = np.pad(grey, ((top, top), (left, left)), mode="edge")
    middle = grey[top : grey.shape[0] - top, left : grey.shape[1] - left]
    return (
        perceptual_hash(image),
        perceptual_hash(Image.fromarray(drawn_out)),
        perceptual_hash(Image.fromarray(middle)),
    )


def is_low_detail(image: Image.Image) -> bool:
    """Whether an RGB picture is nearly uniform or fades evenly, so that it resembles everything a little.

    The few bits that a hash has of such a picture are chance.
    """
    small = image.convert("L").resize((_EDGE, _EDGE), Image.Resampling.BOX)
    light = np.asarray(small, dtype=np.float32).ravel()
    return bool((light - _SMOOTH @ (_SMOOTH.T @ light)).std() < LOW_DETAIL_STD)
