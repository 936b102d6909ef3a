"""An int8 form of a network, calibrated on pictures, kept beside other models, and how far it is to be trusted."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from image_search.embedding.int8 import calibrate, has_tools, prepare, write_int8
from image_search.embedding.models import ModelFile, ModelSpec, checked, derived_path, find_model, note_model, read_spec
from image_search.embedding.network import Network
from image_search.embedding.projection import normalise
from image_search.errors import ConfigError, EmbedderError, InvalidInput, InvalidParameter
from image_search.evaluation import exact_neighbours, recall_at_k
from image_search.interfaces import FloatArray

SUFFIX = "-int8"

MIN_SPEED_RATIO = 1.1
MIN_COSINE = 0.98
MIN_NEIGHBOURS_KEPT = 0.9

_NEIGHBOURS = 10
_CALIBRATION_CHUNK = 8
_EMBED_BATCH = 16
_TRIAL_PICTURES = 64
"""Of the calibration, to choose between the two forms of weights."""
_TIMED_RUNS = 40
_TIMED_S = 6.0

StepListener: TypeAlias = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and of how much."""


@dataclass(frozen=True, slots=True)
class QuantiseReport:
    """What was made, and how it compares with the float32 network on pictures that did not calibrate it."""

    name: str
    model_id: str
    """Of the float32 network."""
    int8_model_id: str
    path: str
    calibration_pictures: int
    report_pictures: int
    file_bytes: int
    int8_file_bytes: int
    speed_ratio_one_thread: float
    """Time of the float32 network by that of the int8 one: batch of 1, medians of runs that alternate."""
    speed_ratio_all_cores: float
    mean_cosine: float
    """Of the two embeddings of a picture."""
    worst_cosine: float
    neighbours_kept: float
    """Share of the ten nearest that stay among the ten nearest; ties count, whichever of the equals comes."""
    pays: bool
    faithful: bool


def find_source(name: str, cache_dir: Path) -> ModelFile:
    """The float32 model of that name or path.

    Raises InvalidParameter where it is an int8 form already or its name can be no file's, EmbedderError where the
    `onnx` package is missing, and what `find_model` raises.
    """
    if not has_tools():
        raise EmbedderError("quantising needs the onnx package: pip install 'image-search[quantise]'")
    file = None if name.endswith(SUFFIX) else find_model(name, cache_dir)
    if file is None or file.spec.name.endswith(SUFFIX):
        raise InvalidParameter("NAME", f"model {name!r} is an int8 form already: give the one that it was made from")
    if derived_path(file.spec.name + SUFFIX, cache_dir) is None:
        raise InvalidParameter(
            "NAME", f"the model is called {file.spec.name!r}: only letters, digits and . _ - (at most 75) make a file"
        )
    return file


def quantise(
    model: ModelFile,
    calibration: FloatArray,
    held_out: FloatArray,
    cache_dir: Path,
    *,
    on_step: StepListener = lambda *_: None,
    stop: threading.Event | None = None,
) -> QuantiseReport:
    """Write NAME-int8 into the model cache, whole or not at all, and compare it with the float32 network.

    `calibration` and `held_out` are (n, 3, crop_px, crop_px) network inputs of different pictures, at least one and
    eleven of them. The file is made for this machine's processor: one without instructions for int8 dot products may
    get weights of seven bits.

    Raises InvalidInput when `stop` is set, EmbedderError for a network that cannot be run or quantised, or a cache
    that cannot be written.
    """
    steps = _Steps(on_step, stop or threading.Event())
    # First of all, for its plain words about a file that is no network or not what its description says.
    network = Network(model.path, model.spec, threads=1)
    reference = _embed(network, held_out, "embedding", steps)
    with tempfile.TemporaryDirectory(prefix="image-search-quantise-") as folder:
        made = _quantised(model, network, calibration, Path(folder), steps)
        int8 = Network(made, model.spec, threads=1)
        embeddings = _embed(int8, held_out, "comparing", steps)
        one_thread = _speed_ratio(network, int8, held_out, steps)
        all_cores = _speed_ratio(Network(model.path, model.spec), Network(made, model.spec), held_out, steps)
        # Last of all: what was stopped before leaves nothing.
        written = _write(model, made.read_bytes(), cache_dir)
    cosines = (reference * embeddings).sum(axis=1)
    kept = neighbours_kept(reference, embeddings)
    return QuantiseReport(
        name=written.spec.name,
        model_id=model.model_id,
        int8_model_id=written.model_id,
        path=str(written.path),
        calibration_pictures=len(calibration),
        report_pictures=len(held_out),
        file_bytes=model.path.stat().st_size,
        int8_file_bytes=written.path.stat().st_size,
        speed_ratio_one_thread=round(one_thread, 3),
        speed_ratio_all_cores=round(all_cores, 3),
        mean_cosine=round(float(cosines.mean()), 5),
        worst_cosine=round(float(cosines.min()), 5),
        neighbours_kept=round(kept, 4),
        pays=max(one_thread, all_cores) >= MIN_SPEED_RATIO,
        faithful=bool(cosines.mean() >= MIN_COSINE) and kept >= MIN_NEIGHBOURS_KEPT,
    )


def neighbours_kept(reference: FloatArray, others: FloatArray) -> float:
    """Mean share of each row's ten nearest other rows in (n, dim) `others` that are its ten nearest in `reference`."""
    exact = _nearest_others(reference)
    return recall_at_k(_nearest_others(others).tolist(), exact, reference, reference, exact.shape[1])


def _nearest_others(embeddings: FloatArray) -> NDArray[np.int64]:
    found = exact_neighbours(embeddings, embeddings, _NEIGHBOURS + 1)
    # Among equals a row may be missing from its own list: then the last one goes.
    rest = [row[row != i][: found.shape[1] - 1] for i, row in enumerate(found)]
    return np.stack(rest)


class _Steps:
    """Tells how far the work is, and ends it where that is wished."""

    def __init__(self, on_step: StepListener, stop: threading.Event) -> None:
        self._on_step, self._stop = on_step, stop

    def __call__(self, stage: str, done: int, total: int) -> None:
        self._on_step(stage, done, total)
        self.check()

    def check(self) -> None:
        if self._stop.is_set():
            raise InvalidInput("quantising was stopped; nothing was written")


def _embed(network: Network, tensors: FloatArray, stage: str, steps: _Steps) -> FloatArray:
    rows = []
    for start in range(0, len(tensors), _EMBED_BATCH):
        rows.append(network.run(tensors[start : start + _EMBED_BATCH]))
        steps(stage, min(start + _EMBED_BATCH, len(tensors)), len(tensors))
    return normalise(np.concatenate(rows))


def _speed_ratio(network: Network, int8: Network, tensors: FloatArray, steps: _Steps) -> float:
    """Median time of the first by that of the second, a batch of one; they take turns, so that load meets both."""
    times: tuple[list[float], list[float]] = ([], [])
    for each in (network, int8):
        each.run(tensors[:1])
    end = time.perf_counter() + _TIMED_S
    for number in range(_TIMED_RUNS):
        tensor = tensors[number % len(tensors)][None]
        for each, seconds in zip((network, int8), times, strict=True):
            started = time.perf_counter()
            each.run(tensor)
            seconds.append(time.perf_counter() - started)
        steps.check()
        if time.perf_counter() > end and number >= 4:
            break
    return float(np.median(times[0]) / np.median(times[1]))


def _quantised(model: ModelFile, network: Network, calibration: FloatArray, folder: Path, steps: _Steps) -> Path:
    """The int8 network in `folder`: of full and reduced weights the one that keeps the embeddings better here.

    Without instructions for int8 dot products (VNNI) x86 adds pairs of products in 16 bits: full weights overflow
    there, those of seven bits do not. Trying both asks no processor for its name.
    """

    def chunks() -> Iterator[FloatArray]:
        for start in range(0, len(calibration), _CALIBRATION_CHUNK):
            steps("calibrating", start, len(calibration))
            yield calibration[start : start + _CALIBRATION_CHUNK]
        steps("calibrating", len(calibration), len(calibration))

    try:
        prepared = prepare(model.path, model.spec.output, folder)
        ranges = calibrate(prepared, model.spec.input, chunks())
        candidates = []
        for number, reduce_range in enumerate((False, True)):
            steps("quantising", number, 2)
            candidates.append(write_int8(prepared, ranges, folder / f"{number}.onnx", reduce_range=reduce_range))
        steps("quantising", 2, 2)
    except InvalidInput:
        raise
    # onnx and onnxruntime raise what has no common base class.
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "")[:200]
        raise EmbedderError(
            f"model {model.spec.name!r} cannot be quantised: {type(error).__name__}: {first_line}"
        ) from error
    trial = calibration[:: max(1, len(calibration) // _TRIAL_PICTURES)]
    wanted = _embed(network, trial, "choosing", steps)

    def likeness(path: Path) -> float:
        return float((_embed(Network(path, model.spec, threads=1), trial, "choosing", steps) * wanted).sum())

    return max(candidates, key=likeness)


def _keep_former(path: Path, cache_dir: Path) -> None:
    """Put the model that is about to be replaced where the libraries that were built with it find it by its id."""
    if not path.is_file():
        return
    try:
        former = checked(read_spec(path.with_suffix(".json")), path)
    except (ConfigError, EmbedderError):
        # Half of one, or a damaged one: no library can be using it.
        return
    kept = path.parent / former.sha256[:12] / path.name
    kept.parent.mkdir(exist_ok=True)
    for source in (path.with_suffix(".json"), path):
        shutil.copyfile(source, kept.parent / source.name)
    note_model(replace(former, path=kept), cache_dir)


def _write(model: ModelFile, data: bytes, cache_dir: Path) -> ModelFile:
    """Put the network and its description where `find_model` looks for NAME-int8; the last of several writers wins."""
    name = model.spec.name + SUFFIX
    path = derived_path(name, cache_dir)
    if path is None:
        raise EmbedderError(f"{name!r} can be no file's name")
    spec: ModelSpec = replace(
        model.spec,
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        source=f"quantised to int8 from {model.model_id}",
        repo_id="",
        revision="",
        filename="",
    )
    described = json.dumps(asdict(spec), indent=2, ensure_ascii=False).encode()
    part = f".{uuid.uuid4().hex[:8]}.part"
    # The description first: without its network it is no model, and with another one it is refused by its checksum.
    targets = {path.with_suffix(".json"): described, path: data}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            for target, content in targets.items():
                target.with_name(target.name + part).write_bytes(content)
            with (path.parent / "lock").open("a") as lock:
                # Two writers' renames must not mix.
                fcntl.flock(lock, fcntl.LOCK_EX)
                _keep_former(path, cache_dir)
                for target in targets:
                    target.with_name(target.name + part).replace(target)
        finally:
            for target in targets:
                target.with_name(target.name + part).unlink(missing_ok=True)
    except OSError as error:
        raise EmbedderError(f"the model cache cannot be written: {error.strerror}") from error
    return ModelFile(spec, path, spec.sha256)
