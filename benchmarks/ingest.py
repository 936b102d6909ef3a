"""Speed of ingest, everything included, against its own network and decoding run alone; and its memory.

python -m benchmarks ingest [--pictures 3000]
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.report import MOBILENET, publish, unpacked
from benchmarks.resnet50_shape import make_resnet50_shape
from image_search.config import load_settings
from image_search.embedding.models import find_model
from image_search.embedding.network import Network
from image_search.embedding.pipeline import TowheeEmbedder
from image_search.errors import InvalidInput
from image_search.imaging import decode, encode_jpeg, thumbnail
from image_search.machine import available_cores
from image_search.services.scanning import Source
from image_search.wiring import build_services

BATCH = 16


def main(arguments: Sequence[str]) -> None:
    """Run both parts and print both tables."""
    pictures = int(arguments[arguments.index("--pictures") + 1]) if "--pictures" in arguments else 3000
    with tempfile.TemporaryDirectory(prefix="bench-ingest-") as scratch:
        folder = Path(scratch)
        files = _files(pictures)
        resnet = make_resnet50_shape(folder / "resnet50_shape.onnx")
        rows = [
            _speed("MobileNetV2", MOBILENET, files, folder, peer=_decode_and_network, limit=0.85),
            _speed("ResNet-50 shape, random weights", resnet, files[:600], folder, peer=_network_alone, limit=0.8),
        ]
        publish("ingest_speed", "Pictures per second, ingest (all included) against its peer in the same run", rows)
        publish("ingest_memory", "Peak memory of the ingesting process", _memory(folder))


def _files(count: int) -> list[Path]:
    found = sorted((unpacked("caltech")).rglob("*.jpg")) + sorted((unpacked("flickr")).rglob("*.jpg"))
    # Spread over both sets, so that sizes mix.
    order = np.random.default_rng(0).permutation(len(found))[:count]
    return [found[i] for i in sorted(order)]


def _speed(
    name: str, model: Path, files: list[Path], scratch: Path, *, peer: Callable[..., float], limit: float
) -> dict[str, object]:
    """Alternates both three times; the best of each counts, because noise only ever slows."""
    listed = scratch / "files.txt"
    listed.write_text("\n".join(map(str, files)))
    found = find_model(str(model), scratch)
    network = Network(found.path, found.spec)
    embedder = TowheeEmbedder(found, network)
    ours, peers = [], []
    for turn in range(3):
        peers.append(len(files) / peer(files, embedder, network))
        data_dir = scratch / f"library-{name[:3]}-{turn}"
        settings = load_settings(
            environ={}, overrides={"library.data_dir": str(data_dir), "embedding.model": str(model)}
        )
        services = build_services(settings, bulk=True)
        services.collections.open_or_create("default")
        report = services.ingest.run(Source(Path(), listed), "default")
        services.close()
        if report.added + report.duplicates + len(report.failed) != len(files):
            raise SystemExit(f"ingest lost pictures: {report}")
        ours.append(report.images_per_second)
    return {
        "network": name,
        "peer": peer.__name__.strip("_").replace("_", " "),
        "pictures": len(files),
        "ingest /s": max(ours),
        "peer /s": max(peers),
        "ratio": max(ours) / max(peers),
        "wanted": limit,
    }


def _decode_and_network(files: list[Path], embedder: TowheeEmbedder, network: Network) -> float:
    """Seconds for decode, thumbnail, preprocess and network, overlapping, with the same threads; nothing is stored."""
    chunks: queue.Queue[list[np.ndarray] | None] = queue.Queue(maxsize=1)

    def prepare(path: Path) -> np.ndarray | None:
        try:
            image = decode(path.read_bytes(), max_pixels=200_000_000, shortest_px=embedder.shortest_px).image
        except InvalidInput:
            return None
        encode_jpeg(thumbnail(image, 320))
        return embedder.preprocess([image])[0]

    def produce() -> None:
        with ThreadPoolExecutor(available_cores()) as pool:
            for start in range(0, len(files), 128):
                chunks.put([t for t in pool.map(prepare, files[start : start + 128]) if t is not None])
        chunks.put(None)

    started = time.perf_counter()
    threading.Thread(target=produce).start()
    while (chunk := chunks.get()) is not None:
        for start in range(0, len(chunk), BATCH):
            network.run(np.stack(chunk[start : start + BATCH]))
    return time.perf_counter() - started


def _network_alone(files: list[Path], _embedder: TowheeEmbedder, network: Network) -> float:
    """Seconds for the bare network on as many random inputs."""
    edge = 224
    batch = np.random.default_rng(0).standard_normal((BATCH, 3, edge, edge), dtype=np.float32)
    started = time.perf_counter()
    for start in range(0, len(files), BATCH):
        network.run(batch[: min(BATCH, len(files) - start)])
    return time.perf_counter() - started


def _memory(scratch: Path) -> list[dict[str, object]]:
    """Peak resident memory after ingesting 1,000 and 10,000 pictures of one size, each in a process of its own."""
    rows: list[dict[str, object]] = []
    folder = scratch / "same-size"
    rng = np.random.default_rng(0)
    from PIL import Image

    for count in (1000, 10_000):
        for number in range(len(rows) and 1000, count):
            noise = Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize((400, 300))
            path = folder / f"{number // 1000}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            noise.save(path, quality=80)
        code = (
            "import sys, json, resource\n"
            "from image_search.cli import main\n"
            "try: main()\n"
            "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
        )
        command = [sys.executable, "-c", code, "--data-dir", str(scratch / f"memory-{count}")]
        command += ["--set", f"embedding.model={MOBILENET}", "ingest", str(folder), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak_mb = int(done.stderr.strip().splitlines()[-1]) / 1024
        rows.append({"pictures": json.loads(done.stdout)["added"], "peak MB": peak_mb, "ratio": peak_mb, "wanted": 1.2})
    first = rows[0]["peak MB"]
    for row in rows:
        row["ratio"] = row["peak MB"] / first  # type: ignore[operator]
    return rows
