"""Speed and fidelity of each form of each network, beside its float32 in onnxruntime in the same run.

python -m benchmarks embedding

openvino (requirements-bench.txt) is measured where it is installed; the product does without it. A float16 file is no
form of its own: on a processor onnxruntime computes it in float32 all the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.report import MOBILENET, publish, unpacked
from benchmarks.resnet50_shape import make_resnet50_shape
from image_search.embedding.models import REGISTRY, ModelSpec, read_spec, registered_path
from image_search.embedding.network import Network
from image_search.embedding.preprocess import preprocess
from image_search.embedding.projection import normalise
from image_search.embedding.quantise import neighbours_kept
from image_search.imaging import decode
from image_search.interfaces import FloatArray
from image_search.machine import available_cores

REFERENCE = "onnxruntime float32"
FORMS = (REFERENCE, "onnxruntime int8", "openvino float32", "openvino bfloat16", "openvino int8")
BATCHES = (1, 8)
THREADS = (1, 2)
PICTURES = 304
CALIBRATION = 192
"""Pictures given to `models quantise`: fewer than it would take, because its ranges are slow to find."""
CALIBRATION_SPEED_ONLY = 48
LIMIT = 3.0 / 3.8
"""`compact` against MobileNetV2, one picture, one thread."""

Run = Callable[[FloatArray], FloatArray]
"""(n, 3, H, W) -> (n, dim), not normalised."""


@dataclass(frozen=True)
class Candidate:
    """A network and its files."""

    title: str
    spec: ModelSpec
    float32: Path
    int8: Path
    """As `image-search models quantise` writes it; openvino reads the same file."""
    knows_pictures: bool = True
    """Random weights put every picture in one place: how near they stay to each other says nothing."""


def main(_arguments: Sequence[str]) -> None:
    """Measure every network and print three tables."""
    with tempfile.TemporaryDirectory(prefix="bench-embedding-") as scratch:
        folder = Path(scratch)
        compact, mobilenet, resnet = candidates = _candidates(folder)
        inputs = {c.title: _inputs(c.spec, PICTURES if c.knows_pictures else max(BATCHES)) for c in candidates}
        versus = _compact_row(compact, mobilenet, inputs)
        speed = [row for c in (compact, mobilenet, resnet) for row in _speed(c, inputs[c.title])]
        fidelity = [row for c in (compact, mobilenet) for row in _fidelity(c, inputs[c.title])]
    publish("embedding_speed", "Milliseconds a picture; ratio to onnxruntime float32, below 1 is faster", speed)
    judged = f"on {PICTURES} pictures of Caltech-101, int8 made with {CALIBRATION} of Flickr"
    publish("embedding_fidelity", f"Fidelity to onnxruntime float32 {judged}", fidelity)
    publish("embedding_compact", "compact against MobileNetV2: one picture, one thread, onnxruntime float32", [versus])


def _candidates(folder: Path) -> list[Candidate]:
    compact = REGISTRY["compact"]
    resnet = make_resnet50_shape(folder / "resnet50_shape.onnx")
    return [
        Candidate("compact", compact, registered_path(compact, folder), _quantised("compact", folder, CALIBRATION)),
        Candidate("MobileNetV2", _spec_beside(MOBILENET), MOBILENET, _quantised(str(MOBILENET), folder, CALIBRATION)),
        Candidate(
            "ResNet-50, random weights",
            _spec_beside(resnet),
            resnet,
            _quantised(str(resnet), folder, CALIBRATION_SPEED_ONLY),
            knows_pictures=False,
        ),
    ]


def _spec_beside(path: Path) -> ModelSpec:
    return read_spec(path.with_suffix(".json"))


def _quantised(model: str, folder: Path, count: int) -> Path:
    """The int8 file that the command line makes of a model, calibrated on other pictures than those judged here."""
    pictures = folder / f"calibration-{count}"
    if not pictures.is_dir():
        pictures.mkdir()
        for file in _spread("flickr", count):
            shutil.copy(file, pictures)
    command = [sys.executable, "-m", "image_search", "--data-dir", str(folder / "library")]
    command += ["models", "quantise", model, "--with", str(pictures), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Path(json.loads(done.stdout)["path"])


def _spread(name: str, count: int) -> list[Path]:
    """As many files of a shared set, evenly."""
    files = sorted(unpacked(name).rglob("*.jpg"))
    return [files[i] for i in np.linspace(0, len(files) - 1, count).astype(int)]


def _inputs(spec: ModelSpec, count: int) -> FloatArray:
    """(count, 3, H, W): pictures prepared as the product does."""
    files = _spread("caltech", count)
    pictures = (decode(f.read_bytes(), max_pixels=10**8, shortest_px=spec.resize_shortest_px).image for f in files)
    return np.stack([preprocess(picture, spec) for picture in pictures])


def _missing(form: str) -> str:
    """Why a form cannot be had here, "" where it can."""
    if not form.startswith("openvino"):
        return ""
    if find_spec("openvino") is None:
        return "openvino is not installed"
    from openvino import Core

    if form.endswith("bfloat16") and "BF16" not in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "this processor has no bfloat16"
    return ""


def _runs(candidate: Candidate, threads: int, batch: int) -> dict[str, Run]:
    """Every form that can be had here, loaded."""
    return {form: _load(candidate, form, threads, batch) for form in FORMS if not _missing(form)}


def _load(candidate: Candidate, form: str, threads: int, batch: int) -> Run:
    runtime, precision = form.split()
    path = candidate.int8 if precision == "int8" else candidate.float32
    if runtime == "onnxruntime":
        return Network(path, candidate.spec, threads=threads).run
    return _load_openvino(path, candidate.spec, precision, threads, batch)


def _load_openvino(path: Path, spec: ModelSpec, precision: str, threads: int, batch: int) -> Run:
    from openvino import Core

    core = Core()
    network = core.read_model(path)
    # A fixed shape is what it is fastest with.
    network.reshape([batch, 3, spec.crop_px, spec.crop_px])
    compiled = core.compile_model(
        network,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # It would bind the calling thread to a core, and onnxruntime's turn with it.
            "ENABLE_CPU_PINNING": False,
            # Not said, it would take bfloat16 wherever the processor has it.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        },
    )
    request = compiled.create_infer_request()
    output = compiled.output(spec.output) if spec.output else compiled.output(0)

    def run(tensors: FloatArray) -> FloatArray:
        return np.asarray(request.infer({0: tensors}, share_inputs=True)[output], np.float32).reshape(batch, -1)

    return run


def _medians(runs: Mapping[str, tuple[Run, FloatArray]], *, seconds: float = 6.0, least: int = 15) -> dict[str, float]:
    """Median seconds of each; all take turns in a new order each round, so that noise and caches hit all alike."""
    for run, batch in runs.values():
        run(batch)
    taken: dict[str, list[float]] = {name: [] for name in runs}
    order = list(runs)
    rng = np.random.default_rng(0)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds or len(taken[order[0]]) < least:
        for name in rng.permutation(order):
            run, batch = runs[name]
            begun = time.perf_counter()
            run(batch)
            taken[name].append(time.perf_counter() - begun)
    return {name: median(times) for name, times in taken.items()}


def _speed(candidate: Candidate, inputs: FloatArray) -> list[dict[str, object]]:
    """A row for each form: milliseconds and ratio for every number of threads and pictures at once."""
    rows: dict[str, dict[str, object]] = {
        form: {"network": candidate.title, "form": f"{form}: {why}" if (why := _missing(form)) else form}
        for form in FORMS
    }
    for threads in (t for t in THREADS if t <= available_cores()):
        for batch in BATCHES:
            tensors = inputs[:batch]
            runs = _runs(candidate, threads, batch)
            found = _medians({form: (run, tensors) for form, run in runs.items()})
            for form in FORMS:
                has = form in found
                at = f"{threads} thread{'s' * (threads > 1)}, {batch} at once"
                rows[form][f"ms, {at}"] = 1000 * found[form] / batch if has else "-"
                rows[form][f"ratio, {at}"] = found[form] / found[REFERENCE] if has else "-"
    return list(rows.values())


def _fidelity(candidate: Candidate, inputs: FloatArray) -> list[dict[str, object]]:
    """A row for each form but the reference: how near its vectors are to the reference's, and its neighbours."""
    batch = max(BATCHES)
    vectors = {
        form: normalise(np.concatenate([run(inputs[i : i + batch]) for i in range(0, len(inputs), batch)]))
        for form, run in _runs(candidate, available_cores(), batch).items()
    }
    rows: list[dict[str, object]] = []
    for form in FORMS[1:]:
        row: dict[str, object] = {"network": candidate.title, "form": form}
        if why := _missing(form):
            row["form"] = f"{form}: {why}"
            row |= dict.fromkeys(("mean cosine", "worst cosine", "same of 10 neighbours"), "-")
        else:
            cosines = np.sum(vectors[form] * vectors[REFERENCE], axis=1)
            row["mean cosine"] = f"{cosines.mean():.5f}"
            row["worst cosine"] = f"{cosines.min():.5f}"
            row["same of 10 neighbours"] = neighbours_kept(vectors[REFERENCE], vectors[form])
        rows.append(row)
    return rows


def _compact_row(compact: Candidate, mobilenet: Candidate, inputs: Mapping[str, FloatArray]) -> dict[str, object]:
    found = _medians(
        {c.title: (_load(c, REFERENCE, 1, 1), inputs[c.title][:1]) for c in (compact, mobilenet)}, seconds=10.0
    )
    ours, peer = found[compact.title], found[mobilenet.title]
    return {"compact ms": 1000 * ours, "MobileNetV2 ms": 1000 * peer, "ratio": ours / peer, "limit": LIMIT}
