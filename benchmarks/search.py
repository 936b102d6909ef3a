"""Speed of search in the embedded store beside faiss exact search in the same run; and queries per second.

python -m benchmarks search [--sizes 10000,100000,210000]
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np

from benchmarks.report import MOBILENET, publish, unpacked
from image_search.config import load_settings
from image_search.embedding.projection import normalise
from image_search.evaluation import exact_neighbours, latency_percentiles, recall_at_k
from image_search.interfaces import FloatArray, VectorStore
from image_search.services.scanning import Source
from image_search.storage.keys import original_key
from image_search.types import CollectionSpec, ImageRecord, SearchParams
from image_search.wiring import Services, build_services

DIM = 256
QUERIES = 300
CLIENTS = 8

Ask = Callable[[FloatArray], Sequence[int]]
"""The rows found for one (dim,) query."""


def main(arguments: Sequence[str]) -> None:
    """Fill a library with real vectors and noise, and ask it."""
    sizes = [10_000, 100_000, 210_000]
    if "--sizes" in arguments:
        sizes = [int(s) for s in arguments[arguments.index("--sizes") + 1].split(",")]
    with tempfile.TemporaryDirectory(prefix="bench-search-") as scratch:
        settings = load_settings(environ={}, overrides={"library.data_dir": scratch, "embedding.model": str(MOBILENET)})
        services = build_services(settings)
        real = _real_vectors(services)
        rows = [_measure(services, real, size) for size in sizes]
        services.close()
    publish("search", f"Search, top 10, {DIM} numbers, embedded store: all but decode and embed", rows)


def fill(store: VectorStore, name: str, gallery: FloatArray) -> dict[str, int]:
    """The row of each picture by its id, once all of (n, dim) unit vectors are in the collection and indexed."""
    ids = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(len(gallery))]
    for start in range(0, len(gallery), 5000):
        records = [
            ImageRecord(i, original_key(i), (400, 300), (f"picture {i[:8]}.jpg",)) for i in ids[start : start + 5000]
        ]
        store.upsert(name, records, gallery[start : start + 5000])
    store.build_index(name)
    return {image_id: row for row, image_id in enumerate(ids)}


def ask_for_ten(services: Services, name: str, query: FloatArray) -> list[str]:
    """The ids of ten hits: the way of a query without decode and embed, from its vector to hits with their records."""
    opened = services.collections.open(name)
    (hits,) = services.store.search(opened.physical, query[None], SearchParams(top_k=10))
    return [hit.record.image_id for hit in hits]


def timed(ask: Ask, queries: FloatArray) -> tuple[list[Sequence[int]], list[float]]:
    """What each query finds, and the seconds that it took; the first few are asked once before."""
    for query in queries[:20]:
        ask(query)
    found, times = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(ask(query))
        times.append(time.perf_counter() - started)
    return found, times


def queries_per_second(ask: Ask, queries: FloatArray) -> float:
    """Of `CLIENTS` threads at once."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        started = time.perf_counter()
        list(pool.map(ask, queries))
        return len(queries) / (time.perf_counter() - started)


def exact_by_faiss(gallery: FloatArray) -> Ask:
    """Exact search of (n, dim) unit vectors in this process: the measure beside which the others stand."""
    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery)
    return lambda query: [int(row) for row in index.search(query[None], 10)[1][0]]


def _real_vectors(services: Services) -> FloatArray:
    """(n, 256) PCA of MobileNetV2 over the Caltech pictures."""
    services.ingest.run(Source(unpacked("caltech")), "default")
    services.indexing.rebuild("default", projection=f"pca:{DIM}")
    return np.concatenate([v for _, v in services.store.iterate(services.store.resolve("default"))])


def _measure(services: Services, real: FloatArray, size: int) -> dict[str, object]:
    rng = np.random.default_rng(size)
    noise = 0.05
    gallery = normalise(real[rng.integers(0, len(real), size)] + noise * rng.standard_normal((size, DIM), np.float32))
    queries = normalise(
        real[rng.integers(0, len(real), QUERIES)] + noise * rng.standard_normal((QUERIES, DIM), np.float32)
    )
    name = f"size_{size}"
    opened = services.collections.open("default")
    services.collections.create(
        name, CollectionSpec(opened.spec.model_id, DIM, opened.spec.projection_id, opened.spec.index)
    )
    started = time.perf_counter()
    row_of = fill(services.store, name, gallery)
    inserted_s = time.perf_counter() - started

    def ask(query: FloatArray) -> list[int]:
        return [row_of[image_id] for image_id in ask_for_ten(services, name, query)]

    found, ours = timed(ask, queries)
    _, theirs = timed(exact_by_faiss(gallery), queries)
    rate = queries_per_second(ask, queries)
    exact = exact_neighbours(gallery, queries, 10)
    p, f = latency_percentiles(ours), latency_percentiles(theirs)
    return {
        "pictures": size,
        "insert rows/s": size / inserted_s,
        "p50 ms": p["p50_ms"],
        "p99 ms": p["p99_ms"],
        "faiss p50 ms": f["p50_ms"],
        "faiss p99 ms": f["p99_ms"],
        "allowed ms (2 x faiss + 4)": 2 * f["p50_ms"] + 4,
        "recall@10": recall_at_k(found, exact, gallery, queries, 10),
        f"queries/s, {CLIENTS} clients": rate,
    }
