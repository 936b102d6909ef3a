"""What shorter vectors cost and gain, and three indexes on them: our default, a k-d tree, product quantisation.

python -m benchmarks projection [--pictures 40504] [--plot FILE.svg]

40,504 pictures are what one of our forerunners indexed with product quantisation 16 x 8; another one used a k-d tree.
All are real; 500 more are held back as queries.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.real_vectors import raw_vectors, real_pictures
from benchmarks.report import MOBILENET, RESULTS, publish
from benchmarks.search import Ask, ask_for_ten, fill, timed
from image_search.config import load_settings
from image_search.evaluation import exact_neighbours, latency_percentiles, recall_at_k
from image_search.interfaces import Embedder, FloatArray
from image_search.notebook.plots import projection_plot
from image_search.services.measuring.comparing import compare_projections, fitted
from image_search.wiring import Services, build_services

DIMS = (64, 128, 256, 512)
PICTURES = 40_504
QUERIES = 500
CODE_BYTES, CODE_BITS = 16, 8
OURS, TREE, QUANTISED = "image-search", "k-d tree", "PQ 16 x 8"
BACKGROUND = "BACKGROUND_Google"
"""Of Caltech: no class."""
K = 10

Built = tuple[Ask, Callable[[], int]]
"""How it is asked, and the bytes that it takes."""


def main(arguments: Sequence[str]) -> None:
    """Measure quality by projection, then the indexes, and draw both."""
    size = int(_option(arguments, "--pictures", str(PICTURES)))
    plot = Path(_option(arguments, "--plot", str(RESULTS / "projection.svg")))
    paths = real_pictures()
    raw = raw_vectors(paths, min(size + QUERIES, len(paths)))
    labels = [_label(path) for path in paths[: len(raw)]]
    pcas = [f"pca:{dim}" for dim in DIMS if len(raw) - QUERIES >= 10 * dim]
    projections = ["none", *pcas, *(f"random:{dim}" for dim in DIMS)]
    with _library() as services:
        quality = [asdict(row) for row in compare_projections(services.provider, raw, labels, projections)]
    classes, labelled = len(set(labels) - {""}), sum(map(bool, labels))
    publish(
        "projection",
        f"MobileNetV2: {labelled:,} pictures of {classes} classes each against all others; recall@10 of {len(raw):,}",
        quality,
    )
    # Held back at random: the same for every projection.
    order = np.random.default_rng(2026).permutation(len(raw))
    held, kept = order[:QUERIES], order[QUERIES:]
    truth: NDArray[np.int64] | None = None
    indexes: list[dict[str, Any]] = []
    for projection in projections:
        with _library() as services:
            # Fitted without the queries.
            embedder = fitted(services.provider, raw[kept], projection)
            gallery, queries = embedder.project(raw[kept]), embedder.project(raw[held])
            if truth is None:
                full, asked, truth = gallery, queries, exact_neighbours(gallery, queries, K)
            own = exact_neighbours(gallery, queries, K)
            for name, make in ((OURS, _ours(services, embedder)), (TREE, _tree), (QUANTISED, _quantised)):
                if name == TREE and projection == "none":
                    continue
                started = time.perf_counter()
                ask, size_bytes = make(gallery)
                build_s = time.perf_counter() - started
                found, times = timed(ask, queries)
                indexes.append(
                    {
                        "index": name,
                        "projection": projection,
                        "dim": gallery.shape[1],
                        "size_mb": round(size_bytes() / 1e6, 2),
                        "build_s": round(build_s, 2),
                        "query_ms": latency_percentiles(times)["p50_ms"],
                        "recall_at_10": round(recall_at_k(found, truth, full, asked, K), 4),
                        "of_own_vectors": round(recall_at_k(found, own, gallery, queries, K), 4),
                    }
                )
    publish("projection_indexes", f"Indexes of {len(kept):,} pictures; recall@10 against exact, full vectors", indexes)
    plot.write_text(projection_plot(quality, indexes).svg, encoding="utf-8")


def _option(arguments: Sequence[str], name: str, default: str) -> str:
    return arguments[arguments.index(name) + 1] if name in arguments else default


def _label(path: Path) -> str:
    return path.parent.name if path.parts[-3] == "caltech" and path.parent.name != BACKGROUND else ""


@contextmanager
def _library() -> Iterator[Services]:
    """An empty library of MobileNetV2, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="bench-projection-") as scratch:
        settings = load_settings(environ={}, overrides={"library.data_dir": scratch, "embedding.model": str(MOBILENET)})
        services = build_services(settings)
        try:
            yield services
        finally:
            services.close()


def _ours(services: Services, embedder: Embedder) -> Callable[[FloatArray], Built]:
    def make(gallery: FloatArray) -> Built:
        name = services.settings.library.collection
        services.collections.create(name, services.collections.new_spec(embedder.projection_id))
        row_of = fill(services.store, services.collections.open(name).physical, gallery)
        folder = services.settings.data_dir
        return (
            lambda query: [row_of[image_id] for image_id in ask_for_ten(services, name, query)],
            lambda: sum(path.stat().st_size for path in folder.glob("library.db*")),
        )

    return make


def _tree(gallery: FloatArray) -> Built:
    tree = cKDTree(gallery)
    return lambda query: [int(row) for row in tree.query(query, K)[1]], lambda: len(pickle.dumps(tree))


def _quantised(gallery: FloatArray) -> Built:
    index = faiss.IndexPQ(gallery.shape[1], CODE_BYTES, CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    index.train(gallery)
    index.add(gallery)
    # What it finds no place for is -1.
    return (
        lambda query: [int(row) for row in index.search(query[None], K)[1][0] if row >= 0],
        lambda: len(faiss.serialize_index(index)),
    )
