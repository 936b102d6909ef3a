"""Finding a photo by its words, by a poor copy of it, and by both: which share is among the first ten.

python -m benchmarks text [--model NAME]

The query of each of 300 Flickr photos is three words of its own title and tags, and the photo cropped to 60 % of its
width and height at a random place and saved again as JPEG 50. Beside it, once: the fusion that Milvus offers itself.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from pymilvus import AnnSearchRequest, RRFRanker, WeightedRanker

from benchmarks.report import publish, unpacked
from image_search.config import load_settings
from image_search.embedding.projection import normalise
from image_search.fingerprint import content_hash
from image_search.interfaces import FloatArray
from image_search.metadata.reader import read_metadata
from image_search.ranking import Weights
from image_search.services.scanning import Source
from image_search.services.searching.query import Query
from image_search.types import ImageRecord, SearchParams
from image_search.vectors.milvus_schema import BM25_COLUMN
from image_search.vectors.words import query_words
from image_search.wiring import Services, build_services

PHOTOS = 300
WORDS = 3
CROP = 0.6
GOALS = {"words": 0.93, "both": 0.95}


def main(arguments: Sequence[str]) -> None:
    """Ingest the Flickr photos with their words, and ask for some of them."""
    model = arguments[arguments.index("--model") + 1] if "--model" in arguments else "auto"
    folder = unpacked("flickr")
    with tempfile.TemporaryDirectory(prefix="bench-text-") as scratch:
        settings = load_settings(environ={}, overrides={"library.data_dir": scratch, "embedding.model": model})
        services = build_services(settings)
        source = Source(folder / "images")
        report = services.ingest.run(source, "default", metadata=read_metadata(folder / "metadata.jsonl"))
        print(f"{report.added} photos ingested with {report.model_id}")
        rows = _measure(services, {content_hash(p.read_bytes()): p.read_bytes() for p in _files(folder)})
        services.close()
    publish("text", f"{PHOTOS} of {report.added} Flickr photos by {WORDS} own words, a poor copy, both", rows)


def _files(folder: Any) -> list[Any]:
    return sorted(path for path in (folder / "images").iterdir() if path.is_file())


def _measure(services: Services, files: dict[str, bytes]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(7)
    records = [r for batch, _ in services.store.iterate(services.store.resolve("default")) for r in batch]
    asked: list[tuple[ImageRecord, str, bytes]] = []
    for row in rng.permutation(len(records)):
        record = sorted(records, key=lambda r: r.image_id)[row]
        words = list(dict.fromkeys(word for text in (record.title, *record.tags) for word in query_words(text)))
        if len(words) >= WORDS and record.image_id in files:
            three = " ".join(rng.choice(words, WORDS, replace=False))
            asked.append((record, three, _poor_copy(files[record.image_id], rng)))
        if len(asked) == PHOTOS:
            break

    def ours(make: Callable[[str, bytes], Query]) -> Callable[[str, bytes], list[str]]:
        def ask(text: str, image: bytes) -> list[str]:
            answer = services.search.search("default", make(text, image), SearchParams(top_k=10))
            return [hit.hit.record.image_id for hit in answer.hits]

        return ask

    ways: dict[str, Callable[[str, bytes], list[str]]] = {
        "words": ours(lambda text, _image: Query(text=text)),
        "picture": ours(lambda _text, image: Query(image=image)),
        "both": ours(lambda text, image: Query(image=image, text=text)),
        "both, words count double": ours(lambda text, image: Query(image=image, text=text, weights=Weights(1, 2))),
        "both, picture counts double": ours(lambda text, image: Query(image=image, text=text, weights=Weights(2, 1))),
        "Milvus's hybrid_search, reciprocal ranks": _hybrid(services, RRFRanker()),
        "Milvus's hybrid_search, weighted 1:1": _hybrid(services, WeightedRanker(0.5, 0.5)),
    }
    rows = []
    for name, ask in ways.items():
        began = time.perf_counter()
        places = []
        for record, text, image in asked:
            found = ask(text, image)
            places.append(found.index(record.image_id) + 1 if record.image_id in found else 0)
        rows.append(
            {
                "asked by": name,
                "recall@1": float(np.mean([place == 1 for place in places])),
                "recall@10": float(np.mean([place > 0 for place in places])),
                "goal": GOALS.get(name, "-"),
                "ms a query": (time.perf_counter() - began) * 1000 / len(asked),
            }
        )
    return rows


def _poor_copy(data: bytes, rng: np.random.Generator) -> bytes:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = (max(8, round(edge * CROP)) for edge in image.size)
    left = int(rng.integers(0, image.width - width + 1))
    top = int(rng.integers(0, image.height - height + 1))
    out = io.BytesIO()
    image.crop((left, top, left + width, top + height)).save(out, "JPEG", quality=50)
    return out.getvalue()


def _hybrid(services: Services, ranker: Any) -> Callable[[str, bytes], list[str]]:
    """The database's own fusion: it answers with one number a hit, so a product that tells both cannot use it."""
    opened = services.collections.open("default")
    connection = services.store._connection  # type: ignore[attr-defined]

    def embed(image: bytes) -> FloatArray:
        decoded = services.preparer.decode(image, opened.embedder.shortest_px)
        return normalise(opened.embedder.embed([decoded.image]))

    def ask(text: str, image: bytes) -> list[str]:
        picture = AnnSearchRequest(list(embed(image)), "embedding", {"metric_type": "IP"}, limit=1000)
        words = AnnSearchRequest([" ".join(query_words(text))], BM25_COLUMN, {"metric_type": "BM25"}, limit=1000)
        (hits,) = connection.call("hybrid_search", opened.physical, [picture, words], ranker, limit=10)
        return list(hits.ids)

    return ask
