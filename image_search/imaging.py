"""Bytes -> upright RGB picture within byte and pixel limits; thumbnails and reduced copies. Pure.

Everything that a hostile or odd file can do to a decoder ends here as one of ours: InvalidImage, ImageTooLarge,
UnsupportedFormat.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from image_search.errors import ImageTooLarge, InvalidImage, InvalidInput, UnsupportedFormat

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Formats that are decoded; MPO (a JPEG with more frames, as phones write it) is opened as a JPEG."""

CONTENT_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}
SNIFF_BYTES = 16
"""As much of a file's beginning as `sniff_content_type` looks at."""

HARD_MAX_PIXELS = 400_000_000
"""No setting goes beyond this; Pillow's own bomb check, an error from here on, is set to it."""
MIN_EDGE_PX = 4
"""A smaller picture has nothing in it to compare."""
_ORIENTATION_TAG = 0x0112
_DAMAGED = "the picture is cut short or damaged"

Image.MAX_IMAGE_PIXELS = HARD_MAX_PIXELS
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
# Odd EXIF and short tags: the picture is good or is refused, and a bulk run's screen has no room for either.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded picture and what its file said."""

    image: Image.Image
    """RGB and upright; reduced while decoding where that was asked for."""
    size_px: tuple[int, int]
    """(width, height) of the upright picture in full, before any reduction."""
    content_type: str


def decode(data: bytes, *, max_pixels: int, shortest_px: int | None = None) -> DecodedImage:
    """The picture in `data`, upright, RGB, the first frame of several.

    With `shortest_px` a JPEG may be decoded at 1/2, 1/4 or 1/8 (both edges stay at least twice that long: the same
    picture for a later resize, at a fifth of the time), and what is larger still is reduced before it is converted.

    Raises InvalidImage, ImageTooLarge (before decoding), UnsupportedFormat.
    """
    if not data:
        raise InvalidImage("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            return _decode_opened(opened, max_pixels, shortest_px)
    except UnidentifiedImageError as error:
        if sniff_content_type(data[:SNIFF_BYTES]) is not None:
            raise InvalidImage(_DAMAGED) from error
        raise UnsupportedFormat(f"not a picture of a known format ({', '.join(FORMATS)})") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = min(max_pixels, HARD_MAX_PIXELS)
        raise ImageTooLarge(f"picture has far more than the {limit:,} pixels that are accepted") from error
    except MemoryError as error:
        raise ImageTooLarge("picture does not fit into memory") from error
    except InvalidInput:
        raise
    except Exception as error:
        # Pillow's decoders raise nearly every built-in exception on damaged data (OSError, SyntaxError, ValueError,
        # struct.error, IndexError, ...): whatever fails inside them is a damaged picture.
        raise InvalidImage(_DAMAGED) from error


def sniff_content_type(prefix: bytes) -> str | None:
    """The content type that a file's first `SNIFF_BYTES` announce, None where they are no picture's."""
    if prefix.startswith(b"RIFF") and prefix[8:12] == b"WEBP":
        return "image/webp"
    if prefix[4:12] in (b"ftypavif", b"ftypavis", b"ftypmif1"):
        return "image/avif"
    for magic, content_type in _MAGIC.items():
        if prefix.startswith(magic):
            return content_type
    return None


_MAGIC = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
}


def _decode_opened(opened: Image.Image, max_pixels: int, shortest_px: int | None) -> DecodedImage:
    width, height = opened.size
    if width * height > max_pixels:
        raise ImageTooLarge(f"picture has {width} x {height} pixels; at most {max_pixels:,} are accepted")
    if min(width, height) < MIN_EDGE_PX:
        raise InvalidImage(f"picture is {width} x {height} pixels; at least {MIN_EDGE_PX} x {MIN_EDGE_PX} are needed")
    content_type = CONTENT_TYPES[opened.format or "JPEG"]
    if shortest_px is not None:
        # Never asks for fewer than twice the pixels of the later resize, so that the resize still averages.
        opened.draft("RGB", (2 * shortest_px, 2 * shortest_px))
    opened.load()
    # Only now: loading a TIFF turns it upright already and takes the tag away; a PNG may have it at its end.
    orientation = _orientation(opened)
    image = opened
    if shortest_px is not None:
        factor = min(image.size) // (2 * shortest_px)
        # Averaging is only right where a pixel is a colour: not an index, not 16 bits, not beside transparency.
        if factor >= 2 and image.mode in ("RGB", "L", "CMYK") and not image.has_transparency_data:
            image = image.reduce(factor)
    image = to_rgb(image)
    if orientation != 1:
        transposed = ImageOps.exif_transpose(_with_orientation(image, orientation))
        image = transposed if transposed is not None else image
    upright = (height, width) if orientation in (5, 6, 7, 8) else (width, height)
    # A copy of the pixels without the file's info: nothing downstream sees EXIF, profiles or the open file.
    clean = Image.new("RGB", image.size)
    clean.paste(image)
    return DecodedImage(clean, upright, content_type)


def _orientation(opened: Image.Image) -> int:
    # Pillow's EXIF reader raises nearly anything on damaged tags; the pixels of such a picture are still good.
    try:
        value = opened.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _with_orientation(image: Image.Image, orientation: int) -> Image.Image:
    # Conversions drop EXIF; exif_transpose is given the one tag that it needs.
    exif = image.getexif()
    exif[_ORIENTATION_TAG] = orientation
    image.info["exif"] = exif.tobytes()
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB: transparency over white, 16 and 32 bits scaled into 8, CMYK, palettes and grey converted."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image, dtype=np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_scale_to_8_bits(np.asarray(image, dtype=np.float64))).convert("RGB")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _scale_to_8_bits(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    # Pillow's own conversion clips: everything above 255 turns white. 32 bits have no full scale of their own: numbers
    # in [0, 1], 8 and 16 bits are told apart by the largest value.
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(finite.max(initial=0.0))
    full_scale = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else max(top, 65535.0)
    return np.clip(finite * (255.0 / full_scale), 0, 255).astype(np.uint8)


def thumbnail(image: Image.Image, longest_px: int) -> Image.Image:
    """A copy of an RGB picture whose longest edge is at most `longest_px`."""
    copy = image.copy()
    copy.thumbnail((longest_px, longest_px), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return copy


def encode_jpeg(image: Image.Image, *, quality: int = 82) -> bytes:
    """JPEG bytes of an RGB picture."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def reduce_to_shortest(image: Image.Image, shortest_px: int) -> Image.Image:
    """The picture with its shortest edge at most `shortest_px`, its shape kept."""
    factor = shortest_px / min(image.size)
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
