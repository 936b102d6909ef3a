"""Bytes -> upright RGB within limits: each odd file gives the right picture or one of our exceptions."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, features

from image_search.errors import ImageTooLarge, InvalidImage, InvalidInput, UnsupportedFormat
from image_search.imaging import (
    CONTENT_TYPES,
    FORMATS,
    SNIFF_BYTES,
    DecodedImage,
    decode,
    encode_jpeg,
    reduce_to_shortest,
    sniff_content_type,
    thumbnail,
)

# pytest puts its own filters in place of those that imaging sets for the process.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning"),
]

CAP = 50_000_000
LOCAL_CAP = 200_000_000
WRITABLE = [f for f in FORMATS if f != "AVIF" or features.check("avif")]


def encode(image: Image.Image, format_: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def quarters(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """Red above left, green above right, blue below left, white below right: every turn of it looks different."""
    width, height = size
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 2 - 1, height // 2 - 1), fill=(220, 0, 0))
    draw.rectangle((width // 2, 0, width, height // 2 - 1), fill=(0, 200, 0))
    draw.rectangle((0, height // 2, width // 2 - 1, height), fill=(0, 0, 220))
    return image


def corners(image: Image.Image) -> list[str]:
    """Colours of the four corners: above left, above right, below left, below right."""
    names = {(220, 0, 0): "red", (0, 200, 0): "green", (0, 0, 220): "blue", (255, 255, 255): "white"}
    inset_x, inset_y = image.width // 8, image.height // 8
    places = [(x, y) for y in (inset_y, image.height - 1 - inset_y) for x in (inset_x, image.width - 1 - inset_x)]
    seen = [np.asarray(image.getpixel(place), dtype=float) for place in places]
    return [min(names.items(), key=lambda item: np.abs(pixel - item[0]).sum())[1] for pixel in seen]


def pixels(decoded: DecodedImage) -> NDArray[np.int16]:
    return np.asarray(decoded.image).astype(np.int16)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# What is no picture, or no whole one


def test_empty_is_invalid() -> None:
    with pytest.raises(InvalidImage, match="empty"):
        decode(b"", max_pixels=CAP)


@pytest.mark.parametrize(
    "data",
    [
        b"this is a text file that somebody named .jpg\n" * 20,
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>',
        b'<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"/>',
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\nshowpage\n",
        b"SIMPLE  =                    T"
        + b" " * 50
        + b"BITPIX  =                    8".ljust(80)
        + b"END".ljust(2800),
        b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
        b"P6 9 9 255\n" + bytes(243),
        bytes(4096),
        b"\xff",
    ],
    ids=["text", "svg", "svg without prolog", "eps", "fits", "pdf", "ppm", "zeros", "one byte"],
)
def test_what_is_none_of_the_formats_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="JPEG, PNG, WEBP"):
        decode(data, max_pixels=CAP)


@pytest.mark.parametrize("format_", WRITABLE)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_cut_file_is_invalid_and_never_half_a_picture(format_: str, share: float) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    data = encode(Image.fromarray(noise), format_)
    with pytest.raises(InvalidImage, match="cut short or damaged"):
        decode(data[: max(SNIFF_BYTES, int(len(data) * share))], max_pixels=CAP)


def test_a_cut_jpeg_is_invalid_also_when_it_is_reduced() -> None:
    data = encode(quarters((800, 600)), "JPEG")
    with pytest.raises(InvalidImage):
        decode(data[: len(data) // 2], max_pixels=CAP, shortest_px=32)


def test_a_picture_of_three_pixels_is_refused_and_one_of_four_taken() -> None:
    with pytest.raises(InvalidImage, match="3 x 40"):
        decode(encode(Image.new("RGB", (3, 40)), "PNG"), max_pixels=CAP)
    assert decode(encode(Image.new("RGB", (4, 40)), "PNG"), max_pixels=CAP).size_px == (4, 40)


# Limits


@pytest.mark.parametrize(("edge", "cap"), [(60_000, CAP), (60_000, LOCAL_CAP), (22_000, 10**9)])
def test_a_huge_claim_is_refused_before_anything_is_decoded(edge: int, cap: int) -> None:
    code = (
        "import resource, sys\n"
        "from image_search.imaging import decode\n"
        "from image_search.errors import ImageTooLarge\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        f"    decode(sys.stdin.buffer.read(), max_pixels={cap})\n"
        "except ImageTooLarge as error:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=png(edge, edge), capture_output=True, timeout=30, check=True
    )
    grown_kb, _, message = done.stdout.decode().partition(" ")
    # The first would be 10.8 GB; the last is beyond what any setting may allow.
    assert int(grown_kb) < 20_000
    assert "pixels" in message


def test_the_cap_is_on_pixels_and_exact() -> None:
    data = encode(Image.new("L", (100, 50)), "PNG")
    assert decode(data, max_pixels=5000).size_px == (100, 50)
    with pytest.raises(ImageTooLarge, match=r"100 x 50 pixels; at most 4,999"):
        decode(data, max_pixels=4999)


def test_a_phone_photo_of_108_megapixels_is_local_only() -> None:
    data = encode(Image.new("L", (12_000, 9_000), 90), "JPEG", quality=30)
    decoded = decode(data, max_pixels=LOCAL_CAP, shortest_px=256)
    assert decoded.size_px == (12_000, 9_000)
    assert min(decoded.image.size) >= 512
    assert all(abs(value - 90) <= 2 for value in decoded.image.getpixel((3, 3)))
    with pytest.raises(ImageTooLarge, match="12000 x 9000"):
        decode(data, max_pixels=CAP, shortest_px=256)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("size", "shortest"), [((1600, 1200), 100), ((999, 2001), 64), ((130, 4000), 64), ((64, 48), 64)]
)
def test_reduction_keeps_twice_the_shortest_edge_and_the_picture(
    format_: str, size: tuple[int, int], shortest: int
) -> None:
    data = encode(quarters(size), format_)
    decoded = decode(data, max_pixels=CAP, shortest_px=shortest)
    assert decoded.size_px == size
    assert min(decoded.image.size) >= min(2 * shortest, min(size))
    assert corners(decoded.image) == ["red", "green", "blue", "white"]
    whole = decode(data, max_pixels=CAP)
    assert whole.image.size == size
    assert corners(whole.image) == ["red", "green", "blue", "white"]
    if min(size) >= 4 * shortest:
        assert decoded.image.size != size, "a reduction was possible and is the point"


def test_a_reduced_picture_resizes_to_what_the_whole_one_resizes_to() -> None:
    rng = np.random.default_rng(7)
    smooth = Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).resize(
        (1200, 800), Image.Resampling.BICUBIC
    )
    data = encode(smooth, "JPEG", quality=95)
    whole = decode(data, max_pixels=CAP).image.resize((60, 40), Image.Resampling.BICUBIC)
    reduced = decode(data, max_pixels=CAP, shortest_px=40).image.resize((60, 40), Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(whole, float) - np.asarray(reduced, float)).mean() < 2.5


# Depths, colours, transparency


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_16_bits_are_scaled_not_clipped(format_: str) -> None:
    eight = np.add.outer(np.arange(64), np.arange(64) * 3).astype(np.uint8)
    sixteen = Image.fromarray(eight.astype(np.uint16) * 257)
    decoded = pixels(decode(encode(sixteen, format_), max_pixels=CAP))
    reference = pixels(decode(encode(Image.fromarray(eight), format_), max_pixels=CAP))
    assert np.abs(decoded - reference).max() <= 1
    assert decoded.max() - decoded.min() > 200


@pytest.mark.parametrize("value", [1, 200, 255, 256, 40_000, 65_535])
def test_16_bits_have_one_scale_however_dark_the_picture(value: int) -> None:
    decoded = decode(encode(Image.fromarray(np.full((8, 8), value, np.uint16)), "PNG"), max_pixels=CAP)
    assert decoded.image.getpixel((4, 4)) == (value >> 8,) * 3


def test_16_bits_of_colour() -> None:
    row = b"\x00" + struct.pack(">HHH", 65_535, 32_768, 256) * 8
    decoded = decode(png(8, 8, depth=16, rows=row * 8), max_pixels=CAP)
    assert decoded.image.getpixel((4, 4)) == (255, 128, 1)


def test_big_endian_16_bit_tiff() -> None:
    decoded = decode(encode(Image.fromarray(np.full((8, 8), 30_000, ">u2")), "TIFF"), max_pixels=CAP)
    assert decoded.image.getpixel((4, 4)) == (117, 117, 117)


@pytest.mark.parametrize(
    ("values", "bright"),
    [
        (np.linspace(0, 1, 64, dtype=np.float32), 255),
        (np.linspace(0, 200, 64, dtype=np.float32), 200),
        (np.linspace(0, 65_535, 64, dtype=np.float32), 255),
        (np.linspace(-5, 1, 64, dtype=np.float32), 255),
        (np.linspace(0, 65_535, 64).astype(np.int32), 255),
    ],
    ids=["0..1", "0..200", "0..65535", "negative", "int32"],
)
def test_32_bits_are_scaled_by_their_range(values: NDArray[Any], bright: int) -> None:
    decoded = pixels(decode(encode(Image.fromarray(np.tile(values, (64, 1))), "TIFF"), max_pixels=CAP))
    assert decoded[:, 0].max() == 0
    assert abs(int(decoded[0, -1, 0]) - bright) <= 1
    assert (np.diff(decoded[0, :, 0]) >= 0).all()


def test_32_bit_floats_that_are_no_numbers_are_black() -> None:
    values = np.full((8, 8), 0.5, np.float32)
    values[0, 0], values[0, 1] = np.nan, np.inf
    decoded = decode(encode(Image.fromarray(values), "TIFF"), max_pixels=CAP)
    assert decoded.image.getpixel((0, 0)) == decoded.image.getpixel((1, 0)) == (0, 0, 0)
    assert decoded.image.getpixel((5, 5)) == (127, 127, 127)


@pytest.mark.parametrize("shortest_px", [None, 16])
def test_cmyk_jpeg_has_its_colours(shortest_px: int | None) -> None:
    data = encode(quarters((256, 256)).convert("CMYK"), "JPEG", quality=95)
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    decoded = decode(data, max_pixels=CAP, shortest_px=shortest_px)
    assert decoded.image.mode == "RGB"
    assert corners(decoded.image) == ["red", "green", "blue", "white"]


def test_the_first_frame_of_an_animated_gif() -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    decoded = decode(data, max_pixels=CAP)
    assert decoded.image.getpixel((20, 15)) == (255, 0, 0)
    assert decoded.content_type == "image/gif"


@pytest.mark.parametrize("format_", ["WEBP", "TIFF", "PNG"])
def test_the_first_frame_of_other_files_of_several(format_: str) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "lime")]
    options: dict[str, Any] = {"lossless": True} if format_ == "WEBP" else {}
    data = encode(frames[0], format_, save_all=True, append_images=frames[1:], **options)
    assert decode(data, max_pixels=CAP).image.getpixel((20, 15)) == (255, 0, 0)


def test_a_picture_of_several_jpegs_is_a_jpeg() -> None:
    data = encode(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (96, 64))])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    decoded = decode(data, max_pixels=CAP)
    assert decoded.content_type == "image/jpeg"
    assert corners(decoded.image) == ["red", "green", "blue", "white"]


def see_through(mode: str) -> bytes:
    """A PNG that is red on the left and transparent, over black pixels, on the right."""
    layered = Image.new("RGBA", (64, 32), (0, 0, 0, 0))
    layered.paste((200, 0, 0, 255), (0, 0, 32, 32))
    if mode == "P":
        palette = layered.convert("RGB").quantize(4)
        return encode(palette, "PNG", transparency=palette.getpixel((60, 5)))
    if mode == "RGB":
        return encode(layered.convert("RGB"), "PNG", transparency=(0, 0, 0))
    if mode == "GIF":
        palette = layered.convert("RGB").quantize(4)
        return encode(palette, "GIF", transparency=palette.getpixel((60, 5)))
    if mode == "WEBP":
        return encode(layered, "WEBP", lossless=True, exact=True)
    return encode(layered.convert(mode), "PNG")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "GIF", "WEBP"])
@pytest.mark.parametrize("shortest_px", [None, 4])
def test_transparency_is_laid_over_white(mode: str, shortest_px: int | None) -> None:
    decoded = decode(see_through(mode), max_pixels=CAP, shortest_px=shortest_px)
    right = decoded.image.getpixel((decoded.image.width - 4, decoded.image.height // 2))
    left = decoded.image.getpixel((3, decoded.image.height // 2))
    assert right == (255, 255, 255)
    if mode == "LA":
        assert left[0] == left[1] == left[2] < 100
    else:
        assert left[0] > 180
        assert left[1] < 30


def test_half_transparency_is_mixed() -> None:
    decoded = decode(encode(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG"), max_pixels=CAP)
    assert all(abs(value - 127) <= 1 for value in decoded.image.getpixel((4, 4)))


def test_a_colour_that_means_transparent_is_not_averaged_away() -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[::2], stripes[1::2] = (0, 255, 0), (255, 0, 0)
    data = encode(Image.fromarray(stripes), "PNG", transparency=(0, 255, 0))
    decoded = decode(data, max_pixels=CAP, shortest_px=20)
    mean = np.asarray(decoded.image, dtype=float).reshape(-1, 3).mean(axis=0)
    assert np.abs(mean - (255, 127.5, 127.5)).max() < 2, "white and red stripes, no green"


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP"])
def test_one_bit(format_: str) -> None:
    image = Image.new("1", (64, 64), 0)
    image.paste(1, (32, 0, 64, 64))
    decoded = decode(encode(image, format_), max_pixels=CAP)
    assert decoded.image.getpixel((10, 10)) == (0, 0, 0)
    assert decoded.image.getpixel((50, 10)) == (255, 255, 255)


def test_the_same_bytes_give_the_same_pixels() -> None:
    data = encode(quarters((640, 480)), "JPEG")
    assert (
        pixels(decode(data, max_pixels=CAP, shortest_px=64)) == pixels(decode(data, max_pixels=CAP, shortest_px=64))
    ).all()


def test_nothing_of_the_file_travels_on() -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a maker", 6
    decoded = decode(encode(quarters(), "JPEG", exif=exif.tobytes(), comment=b"secret"), max_pixels=CAP)
    assert not decoded.image.info
    assert not dict(decoded.image.getexif())


# EXIF

TURNED = {
    1: [],
    2: [Image.Transpose.FLIP_LEFT_RIGHT],
    3: [Image.Transpose.ROTATE_180],
    4: [Image.Transpose.FLIP_TOP_BOTTOM],
    5: [Image.Transpose.TRANSPOSE],
    6: [Image.Transpose.ROTATE_90],
    7: [Image.Transpose.TRANSVERSE],
    8: [Image.Transpose.ROTATE_270],
}
"""What a camera did to the upright picture before it wrote that tag."""


def turned(orientation: int, format_: str, size: tuple[int, int]) -> bytes:
    image = quarters(size)
    for step in TURNED[orientation]:
        image = image.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"exif": exif if format_ == "TIFF" else exif.tobytes()}
    return encode(image, format_, **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", [f for f in WRITABLE if f not in ("GIF", "BMP")])
@pytest.mark.parametrize("shortest_px", [None, 32])
def test_every_orientation_comes_out_upright(orientation: int, format_: str, shortest_px: int | None) -> None:
    data = turned(orientation, format_, (384, 256))
    decoded = decode(data, max_pixels=CAP, shortest_px=shortest_px)
    assert decoded.size_px == (384, 256)
    assert decoded.image.width / decoded.image.height == pytest.approx(1.5)
    assert corners(decoded.image) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_is_none(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(encode(quarters(), "JPEG", exif=exif.tobytes()), max_pixels=CAP)
    assert corners(decoded.image) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0this is no TIFF header",
        b"Exif\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        # An orientation that is a text, and one that is a list lying outside the block.
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x03\0\0\0ab\0\0\0\0\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x03\0\0\0\xff\xff\0\0\0\0\0\0",
    ],
)
def test_damaged_exif_costs_no_picture(exif: bytes) -> None:
    decoded = decode(encode(quarters(), "JPEG", exif=exif), max_pixels=CAP)
    assert decoded.size_px == (96, 64)
    assert corners(decoded.image) == ["red", "green", "blue", "white"]


def test_damaged_exif_puts_nothing_on_the_screen() -> None:
    data = encode(quarters(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    code = "import sys; from image_search.imaging import decode; decode(sys.stdin.buffer.read(), max_pixels=10**6)"
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=30, check=True)
    assert done.stderr == b""


# Fuzz


def seeds() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    made = [encode(quarters((40, 24)), f) for f in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")]
    made.append(encode(quarters((40, 24)), "JPEG", exif=exif.tobytes()))
    made.append(encode(quarters((40, 24)), "TIFF", compression="tiff_lzw"))
    made.append(encode(quarters((40, 24)).quantize(8), "PNG", transparency=0))
    made.append(encode(Image.fromarray(np.arange(960, dtype=np.uint16).reshape(24, 40)), "PNG"))
    return made


SEEDS = seeds()


@settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, len(SEEDS) - 1),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    near_the_header=st.booleans(),
    shortest_px=st.sampled_from([None, 4]),
)
def test_damage_gives_a_picture_or_one_of_our_exceptions(
    seed: int, flips: list[tuple[int, int]], near_the_header: bool, shortest_px: int | None
) -> None:
    data = bytearray(SEEDS[seed])
    for place, value in flips:
        data[place % (min(64, len(data)) if near_the_header else len(data))] = value
    try:
        decoded = decode(bytes(data), max_pixels=100_000, shortest_px=shortest_px)
    except InvalidInput:
        return
    assert decoded.image.mode == "RGB"
    assert decoded.size_px[0] * decoded.size_px[1] <= 100_000
    assert min(decoded.image.size) >= 1


# Names of types


@pytest.mark.parametrize("format_", [*WRITABLE, "MPO"])
def test_the_type_is_known_from_the_first_bytes_and_agrees_with_the_decoder(format_: str) -> None:
    options: dict[str, Any] = {"save_all": True, "append_images": [quarters()]} if format_ == "MPO" else {}
    data = encode(quarters(), format_, **options)
    assert sniff_content_type(data[:SNIFF_BYTES]) == CONTENT_TYPES[format_]
    assert decode(data, max_pixels=CAP).content_type == CONTENT_TYPES[format_]


def test_old_gif_and_big_endian_tiff_are_known() -> None:
    assert sniff_content_type(b"GIF87a" + bytes(10)) == "image/gif"
    assert sniff_content_type(b"MM\x00*" + bytes(12)) == "image/tiff"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"RIFF\0\0\0\0WAVEfmt ", b"\0\0\0\x18ftypmp42\0\0\0\0", b"<svg", b"\x89PNG"]
)
def test_what_is_no_picture_has_no_type(data: bytes) -> None:
    assert sniff_content_type(data) is None


# Sizes


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1000, 500), (320, 160)),
        ((500, 1000), (160, 320)),
        ((100, 60), (100, 60)),
        ((320, 320), (320, 320)),
        ((6000, 5), (320, 1)),
    ],
)
def test_thumbnails_fit_their_longest_edge_and_never_grow(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (10, 200, 30))
    small = thumbnail(image, 320)
    assert small.size == wanted
    assert image.size == size, "the original is not changed"
    assert small.getpixel((0, 0)) == (10, 200, 30)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1000, 500), (512, 256)),
        ((500, 1000), (256, 512)),
        ((200, 100), (200, 100)),
        ((256, 999), (256, 999)),
        ((301, 300), (257, 256)),
    ],
)
def test_reduce_to_shortest(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert reduce_to_shortest(Image.new("RGB", size), 256).size == wanted


def test_encoded_jpeg_is_the_picture_again() -> None:
    data = encode_jpeg(quarters())
    assert sniff_content_type(data) == "image/jpeg"
    assert corners(decode(data, max_pixels=CAP).image) == ["red", "green", "blue", "white"]
