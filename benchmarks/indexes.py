"""Indexes on a Milvus server: what each finds of exact search's ten, how fast, and how long it takes to build.

python -m benchmarks indexes [--rows 100000] [--kinds FLAT,HNSW] [--server URI] [--plot FILE.svg]

Without --server on the one that `make servers` gets. Beside them, in the same run: exact search by faiss in this
process, on the same vectors.
"""

from __future__ import annotations

import argparse
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real_vectors import raw_vectors, real_pictures
from benchmarks.report import RESULTS, publish
from benchmarks.search import CLIENTS, Ask, exact_by_faiss, fill, queries_per_second, timed
from deploy.servers import MilvusServer, missing, running
from image_search.embedding.projection import fit_pca, normalise
from image_search.evaluation import exact_neighbours, latency_percentiles, recall_at_k
from image_search.interfaces import FloatArray
from image_search.notebook.plots import index_plot
from image_search.types import CollectionSpec, IndexKind, IndexSpec, SearchParams
from image_search.vectors.milvus_store import MilvusVectorStore

DIM, K, QUERIES = 256, 10, 200
ROWS = 100_000
NOISE = 0.05
EFS, NPROBES = (16, 64, 128, 256), (4, 16, 32, 64)
KINDS: tuple[tuple[IndexKind, tuple[SearchParams, ...]], ...] = (
    ("FLAT", (SearchParams(K),)),
    ("HNSW", tuple(SearchParams(K, ef=ef) for ef in EFS)),
    *((kind, tuple(SearchParams(K, nprobe=n) for n in NPROBES)) for kind in ("IVF_FLAT", "IVF_SQ8", "SCANN", "IVF_PQ")),
    ("DISKANN", (SearchParams(K),)),
)


def main(arguments: Sequence[str]) -> None:
    """Build each index on the same vectors, ask it with each of its settings, draw recall over time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks indexes")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--server", default="", help="URI of a Milvus server")
    parser.add_argument("--kinds", default="", help="some of them, with commas between")
    parser.add_argument("--plot", type=Path, default=RESULTS / "indexes.svg")
    options, _ = parser.parse_known_args(arguments)
    if not options.server and (reason := missing("milvus")):
        print(f"indexes: {reason}")
        return
    gallery, queries = _vectors(options.rows)
    here = {"index": "faiss, exact, here", "asked with": "", "filled and built s": ""}
    rows = [here | _measured(exact_by_faiss(gallery), gallery, queries)]
    with _server(options.server) as uri:
        store = MilvusVectorStore(uri, timeout_s=120)
        for kind, settings in KINDS:
            if options.kinds and kind not in options.kinds.split(","):
                continue
            # The package's server is built without it.
            if kind != "DISKANN" or options.server:
                rows += _index(store, kind, settings, gallery, queries)
                # Index after index: a build may take long, and what is measured should not go with it.
                publish("indexes", f"Indexes of a Milvus server, {len(gallery):,} vectors of {DIM}, top {K}", rows)
                options.plot.write_text(index_plot(rows).svg, encoding="utf-8")
        store.close()


def _vectors(size: int) -> tuple[FloatArray, FloatArray]:
    """((size, DIM), (QUERIES, DIM)): real pictures, as many more like them as are wanted, and others as queries."""
    paths = real_pictures()
    raw = raw_vectors(paths, len(paths))
    rng = np.random.default_rng(2026)
    order = rng.permutation(len(raw))
    held, kept = order[:QUERIES], order[QUERIES:][:size]
    pca = fit_pca([raw[kept]], DIM, "mobilenet@0000000000")
    real, queries = normalise(pca.apply(raw[kept])), normalise(pca.apply(raw[held]))
    more = real[rng.integers(0, len(real), size - len(real))]
    noised = normalise(more + NOISE * rng.standard_normal(more.shape, np.float32))
    return np.concatenate([real, noised]), queries


@contextmanager
def _server(given: str) -> Iterator[str]:
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="bench-indexes-") as scratch:
        server = MilvusServer(Path(scratch))
        with running(server):
            yield server.uri


def _index(
    store: MilvusVectorStore,
    kind: IndexKind,
    settings: Sequence[SearchParams],
    gallery: FloatArray,
    queries: FloatArray,
) -> list[dict[str, Any]]:
    name = f"bench_{kind.lower()}_{secrets.token_hex(4)}"
    store.create_collection(name, CollectionSpec("mobilenet@0000000000", DIM, index=IndexSpec(kind)))
    try:
        started = time.perf_counter()
        row_of = fill(store, name, gallery)
        built_s = time.perf_counter() - started
        # The server hands what was just written over to its index by and by: loaded anew it is at once.
        store._connection.call("release_collection", name)
        store._connection.call("load_collection", name)
        rows = []
        for params in settings:

            def ask(query: FloatArray, params: SearchParams = params) -> list[int]:
                (hits,) = store.search(name, query[None], params)
                return [row_of[hit.record.image_id] for hit in hits]

            asked = " ".join(
                f"{setting} = {value}" for setting in ("ef", "nprobe") if (value := getattr(params, setting))
            )
            row = {"index": kind, "asked with": asked, "filled and built s": str(round(built_s, 1))}
            rows.append(row | _measured(ask, gallery, queries))
        return rows
    finally:
        store.drop_collection(name)


def _measured(ask: Ask, gallery: FloatArray, queries: FloatArray) -> dict[str, Any]:
    found, times = timed(ask, queries)
    percentiles = latency_percentiles(times)
    return {
        "recall@10": round(recall_at_k(found, exact_neighbours(gallery, queries, K), gallery, queries, K), 4),
        "p50 ms": percentiles["p50_ms"],
        "p99 ms": percentiles["p99_ms"],
        f"queries/s, {CLIENTS} clients": round(queries_per_second(ask, queries), 1),
    }
