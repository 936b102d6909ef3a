"""One suite for every Embedder: the stand-in, the Towhee pipeline over a tiny network, and over a real one."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("onnx", reason="onnx (requirements-dev.txt) is not installed")

from image_search.embedding.models import find_model
from image_search.embedding.network import Network
from image_search.embedding.pipeline import TowheeEmbedder
from image_search.embedding.projection import Projection, fit_pca, make_random
from image_search.errors import EmbedderError, ImageTooLarge, InvalidImage, ModelMismatch, UnsupportedFormat
from image_search.imaging import decode
from image_search.interfaces import Embedder
from tests.support import MeanColourEmbedder, draw, jpeg
from tests.unit.onnx_files import write_model

EmbedderMaker = Callable[[Projection | None], Embedder]

COLOURS = [(220, 30, 30), (30, 200, 40), (40, 50, 220), (240, 240, 20), (120, 120, 120)]


def pictures(count: int) -> list[Image.Image]:
    """Pictures of several shapes and colours."""
    sizes = [(96, 64), (64, 96), (80, 80), (300, 50), (33, 47)]
    return [draw(COLOURS[i % 5], size=sizes[(i // 5) % 5], mark=i) for i in range(count)]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TowheeEmbedder:
    """The pipeline over a network of one matrix."""
    model = find_model(str(write_model(tmp_path_factory.mktemp("model"))), Path("/nowhere"))
    return TowheeEmbedder(model, Network(model.path, model.spec))


@pytest.fixture(scope="session")
def real(mobilenet: Path) -> TowheeEmbedder:
    """The pipeline over MobileNetV2."""
    model = find_model(str(mobilenet), Path("/nowhere"))
    return TowheeEmbedder(model, Network(model.path, model.spec))


@pytest.fixture(params=["mean_colour", "towhee_tiny", "towhee_mobilenet"])
def make_embedder(request: pytest.FixtureRequest) -> EmbedderMaker:
    """Makes an embedder with a projection or without."""
    if request.param == "mean_colour":
        return MeanColourEmbedder
    towhee: TowheeEmbedder = request.getfixturevalue("tiny" if request.param == "towhee_tiny" else "real")
    return towhee.with_projection


@pytest.fixture(params=["none", "random", "pca"])
def embedder(request: pytest.FixtureRequest, make_embedder: EmbedderMaker) -> Embedder:
    plain = make_embedder(None)
    if request.param == "none":
        return plain
    if request.param == "random":
        return make_embedder(make_random(plain.raw_dim, 4, plain.model_id))
    return make_embedder(fitted(plain.raw_dim, plain.model_id))


@functools.cache
def fitted(raw_dim: int, model_id: str) -> Projection:
    """A PCA of noise: slow to fit, and as good as any other here."""
    raw = np.random.default_rng(2).standard_normal((60, raw_dim), dtype=np.float32)
    return fit_pca([raw], 4, model_id)


# What every embedder keeps to


def test_it_says_what_it_is(embedder: Embedder) -> None:
    assert isinstance(embedder, Embedder)
    assert re.fullmatch(r".+@[0-9a-f]{12}", embedder.model_id)
    assert embedder.projection_id == "none" or re.fullmatch(r"(pca|random):4@[0-9a-f]{12}", embedder.projection_id)
    assert embedder.dim == (embedder.raw_dim if embedder.projection_id == "none" else 4)
    assert embedder.shortest_px > 0


def test_rows_are_unit_vectors_in_order(embedder: Embedder) -> None:
    images = pictures(6)
    embeddings = embedder.embed(images)
    assert (embeddings.shape, embeddings.dtype) == ((6, embedder.dim), np.float32)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(embedder.embed(images[::-1])[::-1], embeddings, atol=1e-5)


def test_a_batch_equals_its_pictures_one_by_one(embedder: Embedder) -> None:
    images = pictures(7)
    one_by_one = np.concatenate([embedder.embed([image]) for image in images])
    np.testing.assert_allclose(embedder.embed(images), one_by_one, atol=1e-5)


def test_embed_is_its_steps_one_after_another(embedder: Embedder) -> None:
    images = pictures(5)
    tensors = embedder.preprocess(images)
    assert tensors.shape[:2] == (5, 3)
    assert tensors.dtype == np.float32
    raw = embedder.embed_raw(tensors)
    assert (raw.shape, raw.dtype) == ((5, embedder.raw_dim), np.float32)
    np.testing.assert_allclose(embedder.embed(images), embedder.project(raw), atol=1e-5)


def test_the_same_picture_gives_the_same_vector(embedder: Embedder) -> None:
    assert (embedder.embed(pictures(3)) == embedder.embed(pictures(3))).all()


def test_red_is_nearer_to_red(make_embedder: EmbedderMaker) -> None:
    red, also_red, blue = make_embedder(None).embed([draw(COLOURS[0]), draw(COLOURS[0], mark=2), draw(COLOURS[2])])
    assert red @ also_red > red @ blue


def test_nothing_gives_nothing(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dim)
    tensors = embedder.preprocess([])
    assert tensors.shape[:2] == (0, 3)
    assert embedder.embed_raw(tensors).shape == (0, embedder.raw_dim)
    assert embedder.project(embedder.embed_raw(tensors)).shape == (0, embedder.dim)


def test_pictures_are_not_changed(embedder: Embedder) -> None:
    image = draw(COLOURS[0])
    before = image.tobytes()
    embedder.embed([image])
    assert image.tobytes() == before


def test_eight_threads_at_once(embedder: Embedder) -> None:
    batches = [pictures(1 + number % 3) for number in range(8)]
    expected = [embedder.embed(batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(embedder.embed, batches))
    for wanted, found in zip(expected, results, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_projected_vectors_are_the_projection_of_the_raw_ones(make_embedder: EmbedderMaker) -> None:
    plain = make_embedder(None)
    projection = make_random(plain.raw_dim, 4, plain.model_id)
    projected = make_embedder(projection)
    images = pictures(4)
    raw = plain.embed_raw(plain.preprocess(images))
    wanted = raw @ projection.matrix
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(projected.embed(images), wanted, atol=1e-4)
    assert projected.model_id == plain.model_id


# The Towhee pipeline


@pytest.fixture(params=["tiny", "real"])
def towhee(request: pytest.FixtureRequest) -> TowheeEmbedder:
    found: TowheeEmbedder = request.getfixturevalue(request.param)
    return found


def test_bytes_give_what_the_decoded_picture_gives(towhee: TowheeEmbedder) -> None:
    files = [jpeg(image) for image in pictures(4)] + [jpeg(draw(COLOURS[1], size=(1200, 900)))]
    decoded = [decode(data, max_pixels=10**7, shortest_px=towhee.shortest_px).image for data in files]
    np.testing.assert_allclose(towhee.embed(files), towhee.embed(decoded), atol=1e-6)
    mixed: list[Image.Image | bytes] = [files[0], decoded[1], files[2]]
    np.testing.assert_allclose(towhee.embed(mixed), towhee.embed(decoded[:3]), atol=1e-6)


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"", InvalidImage), (jpeg(draw(COLOURS[0]))[:200], InvalidImage), (b"a text file", UnsupportedFormat)],
    ids=["empty", "cut", "text"],
)
def test_a_bad_picture_comes_out_as_what_it_is_and_the_pipeline_lives_on(
    tiny: TowheeEmbedder, data: bytes, kind: type[Exception], capfd: pytest.CaptureFixture[str]
) -> None:
    good = jpeg(draw(COLOURS[0]))
    for batch in ([data], [good, data, good]):
        with pytest.raises(kind) as caught:
            tiny.embed(batch)
        assert type(caught.value) is kind
    assert tiny.embed([good]).shape == (1, tiny.dim)
    assert capfd.readouterr() == ("", ""), "no traceback on the screen"


def test_the_cap_on_pixels_holds_with_a_projection_too(tiny: TowheeEmbedder) -> None:
    capped = TowheeEmbedder(tiny._model, tiny._network, max_pixels=1000)
    for embedder in (capped, capped.with_projection(make_random(tiny.raw_dim, 4, tiny.model_id))):
        with pytest.raises(ImageTooLarge, match="1,000"):
            embedder.embed([jpeg(draw(COLOURS[0]))])


def test_eight_threads_with_bad_pictures_between_good_ones(tiny: TowheeEmbedder) -> None:
    good = jpeg(draw(COLOURS[0]))
    expected = tiny.embed([good])

    def work(number: int) -> bool:
        if number % 3 == 0:
            with pytest.raises(InvalidImage):
                tiny.embed([good, b""])
            return True
        return bool(np.allclose(tiny.embed([good]), expected, atol=1e-5))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(48)))


@pytest.mark.parametrize(("raw_dim", "model_id"), [(8, "other@0123456789ab"), (9, "")])
def test_a_projection_of_another_model_is_refused(tiny: TowheeEmbedder, raw_dim: int, model_id: str) -> None:
    projection = make_random(raw_dim, 4, model_id or tiny.model_id)
    with pytest.raises(ModelMismatch, match=re.escape(tiny.model_id)):
        tiny.with_projection(projection)


@pytest.mark.parametrize("shape", [(1, 3, 5, 5), (1, 1, 16, 16), (1, 3)])
def test_tensors_of_another_shape_are_one_of_our_errors(tiny: TowheeEmbedder, shape: tuple[int, ...]) -> None:
    with pytest.raises(EmbedderError):
        tiny.embed_raw(np.zeros(shape, np.float32))


def test_raw_vectors_of_another_length_are_one_of_our_errors(tiny: TowheeEmbedder) -> None:
    projected = tiny.with_projection(make_random(tiny.raw_dim, 4, tiny.model_id))
    with pytest.raises(EmbedderError):
        projected.project(np.zeros((2, tiny.raw_dim + 1), np.float32))


def test_every_shape_of_picture_has_a_vector(towhee: TowheeEmbedder) -> None:
    images = [Image.new("RGB", size, (200, 40, 90)) for size in ((4, 4), (4, 400), (400, 4), (1, 1), (2000, 10))]
    np.testing.assert_allclose(np.linalg.norm(towhee.embed(images), axis=1), 1, atol=1e-5)


# A known vector for a known model


def known_picture() -> Image.Image:
    """A red disc and a white bar on a blue ground, 320 x 240: whole pixels, no smoothing, no fonts."""
    image = Image.new("RGB", (320, 240), (30, 60, 160))
    pixels = ImageDraw.Draw(image)
    pixels.ellipse((90, 50, 230, 190), fill=(210, 40, 30))
    pixels.rectangle((20, 200, 300, 215), fill=(250, 250, 250))
    return image


KNOWN = [0.04176792, 0.05462714, 0.0, 0.06076691, 0.00067117, 0.02037819, 0.01303066, 0.00031582]


def test_a_known_vector_for_a_known_model(real: TowheeEmbedder) -> None:
    """Preprocessing, runtime or normalisation that changes this number makes every stored library wrong."""
    assert real.model_id == "mobilenet_v2_imagenet@c326eb280967"
    (embedding,) = real.embed([known_picture()])
    np.testing.assert_allclose(embedding[:8], KNOWN, atol=1e-3)
    assert embedding.shape == (1280,)
    assert (int(embedding.argmax()), float(embedding.max())) == (15, pytest.approx(0.14902, abs=1e-3))
