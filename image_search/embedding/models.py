"""The model registry: a model is data. A registered one is fetched by name, any other ONNX file is named by path."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from image_search.errors import ConfigError, EmbedderError, FetchError

Resample = Literal["bilinear", "bicubic", "lanczos"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What must be known of a network to run it; the JSON beside a model file has these keys."""

    name: str
    dim: int
    """Length of the output vector."""
    resize_shortest_px: int
    """The shortest edge is resized to this before the centre crop."""
    crop_px: int
    mean: tuple[float, float, float]
    """Per channel (RGB), of values in [0, 1]."""
    std: tuple[float, float, float]
    resample: Resample = "bicubic"
    input: str = ""
    """Name of the input in the ONNX file; "" = its only input."""
    output: str = ""
    """Name of the output; "" = its first output."""
    sha256: str = ""
    """Checksum of the file; "" = unknown, recorded at the first use."""
    licence: str = ""
    source: str = ""
    repo_id: str = ""
    """Hugging Face repository; "" = not fetched from there."""
    revision: str = ""
    filename: str = ""


# ImageNet's statistics per channel, as torchvision publishes them with its weights.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

REGISTRY: Mapping[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="resnet50",
            dim=2048,
            resize_shortest_px=256,
            crop_px=224,
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
            licence="Apache-2.0",
            source="ResNet-50, ImageNet-1k, pooled features",
            repo_id="Qdrant/resnet50-onnx",
            revision="43b3ed7",
            filename="model.onnx",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model whose file is on this machine."""

    spec: ModelSpec
    path: Path
    sha256: str

    @property
    def model_id(self) -> str:
        """name@first 12 hex digits of sha256(file)."""
        return f"{self.spec.name}@{self.sha256[:12]}"


def find_model(model: str, cache_dir: Path) -> ModelFile:
    """The file of a registered model or of an .onnx path; downloads nothing.

    Raises ConfigError where the name is unknown, EmbedderError where its file is not there or is not the right one.
    """
    if not model:
        raise ConfigError(
            "no model is configured: set embedding.model (or IMAGE_SEARCH_EMBEDDING__MODEL) to "
            f"{_known()} or to the path of an .onnx file with its .json beside it"
        )
    if model in REGISTRY:
        spec = REGISTRY[model]
        path = cached_path(spec, cache_dir)
        if not path.is_file():
            raise EmbedderError(
                f"model {model!r} is not on this machine: run `image-search models pull {model}`, or put its file "
                f"{spec.filename} into the model cache as {model}/{spec.filename}"
            )
        return _checked(spec, path)
    if not model.endswith(".onnx"):
        raise ConfigError(f"unknown model {model!r}: known are {_known()}, or the path of an .onnx file")
    path = Path(model).expanduser().absolute()
    if not path.is_file():
        raise EmbedderError(f"model file {model!r} does not exist")
    return _checked(read_spec(path.with_suffix(".json")), path)


def cached_path(spec: ModelSpec, cache_dir: Path) -> Path:
    """Where the file of a registered model is kept."""
    return cache_dir / spec.name / spec.filename


def pull_model(name: str, cache_dir: Path) -> ModelFile:
    """Download a registered model, resuming where an earlier try stopped; one that is there is only checked.

    Shows the hub's own progress bar on stderr. Raises ConfigError, FetchError (with how to supply the file by hand).
    """
    if name not in REGISTRY:
        raise ConfigError(f"unknown model {name!r}: known are {_known()}")
    spec = REGISTRY[name]
    path = cached_path(spec, cache_dir)
    if not path.is_file():
        _download(spec, path)
    return _checked(spec, path)


def _download(spec: ModelSpec, path: Path) -> None:
    # Imported here: only this command needs the hub's client, and it is slow to import.
    from httpx2 import HTTPError  # the hub client's own HTTP library
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    # Not hf_hub_download: since 2.0 it throws away what a stopped download had, and fetches all of it again.
    url = hf_hub_url(spec.repo_id, spec.filename, revision=spec.revision)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remote = get_hf_file_metadata(url, token=False)
        # A part belongs to one content: the tag is the SHA-256 of a large file.
        part = path.with_name(f"{path.name}.{re.sub('[^0-9A-Za-z]', '', remote.etag or '')[:64]}.part")
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            start = file.seek(0, os.SEEK_END)
            http_get(url, file, resume_size=start, expected_size=remote.size, displayed_filename=path.name)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if re.fullmatch("[0-9a-f]{64}", remote.etag or "") and digest != remote.etag:
            part.unlink()
            raise OSError("what came is not what the hub has")
        part.replace(path)
    except (HfHubHTTPError, HTTPError, OSError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise FetchError(
            f"model {spec.name!r} could not be fetched from the hub ({spec.repo_id}, revision {spec.revision})"
            f"{': the disk is full' if full else ''}. "
            f"Without network: fetch {spec.filename} elsewhere and either put it into the model cache as "
            f"{spec.name}/{spec.filename}, or name the file itself in embedding.model with a .json beside it",
            retryable=True,
        ) from error


def read_spec(path: Path) -> ModelSpec:
    """The model that a JSON file describes. Raises ConfigError that names what is wrong in it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path.name} is missing: a model file needs a JSON beside it with {', '.join(_REQUIRED)}"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path.name} cannot be read as JSON") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path.name}: must be a JSON object with {', '.join(_REQUIRED)}")
    return _spec_from(data, path.name)


_REQUIRED = ("name", "dim", "resize_shortest_px", "crop_px", "mean", "std")


def _spec_from(data: dict[str, Any], where: str) -> ModelSpec:
    known = {f.name for f in fields(ModelSpec)}
    if missing := [key for key in _REQUIRED if key not in data]:
        raise ConfigError(f"{where}: {', '.join(missing)} missing")
    if unknown := sorted(set(data) - known):
        raise ConfigError(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    for key in ("dim", "resize_shortest_px", "crop_px"):
        if type(data[key]) is not int or not 1 <= data[key] <= 32_768:
            raise ConfigError(f"{where}: {key} must be a whole number from 1 to 32768, not {data[key]!r}")
    if data["resize_shortest_px"] < data["crop_px"]:
        raise ConfigError(f"{where}: resize_shortest_px must not be below crop_px")
    for key in ("mean", "std"):
        value = data[key]
        if not (isinstance(value, list) and len(value) == 3 and all(_is_number(v) for v in value)):
            raise ConfigError(f"{where}: {key} must be three numbers (R, G, B), not {value!r}")
    if not all(data["std"]):
        raise ConfigError(f"{where}: std must not be 0")
    if data.get("resample", "bicubic") not in get_args(Resample):
        raise ConfigError(f"{where}: resample must be one of {', '.join(get_args(Resample))}")
    for key in ("name", "input", "output", "sha256", "licence", "source", "repo_id", "revision", "filename"):
        if not isinstance(data.get(key, ""), str):
            raise ConfigError(f"{where}: {key} must be a text, not {data[key]!r}")
    if not data["name"]:
        raise ConfigError(f"{where}: name must not be empty")
    if not re.fullmatch(r"|[0-9a-f]{64}", data.get("sha256", "")):
        raise ConfigError(f"{where}: sha256 must be 64 lowercase hex digits, or empty")
    return ModelSpec(**{**data, "mean": tuple(data["mean"]), "std": tuple(data["std"])})


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _checked(spec: ModelSpec, path: Path) -> ModelFile:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EmbedderError(f"model file {path.name!r} cannot be read: {error.strerror}") from error
    if spec.sha256 and digest != spec.sha256:
        raise EmbedderError(
            f"model file {path.name!r} is damaged or another one: its SHA-256 begins {digest[:12]}, "
            f"expected {spec.sha256[:12]}; delete it and fetch it again"
        )
    if not spec.sha256 and REGISTRY.get(spec.name) is spec:
        _compare_with_first_use(path, digest)
    return ModelFile(spec, path, digest)


def _compare_with_first_use(path: Path, digest: str) -> None:
    # The registry does not know this file's checksum: the first use records it, so that later damage is noticed.
    record = path.with_suffix(".sha256")
    try:
        if not record.exists():
            # By a rename: another process must never compare with half a line.
            temporary = record.with_name(f"{record.name}.{uuid.uuid4().hex[:8]}.part")
            temporary.write_text(digest + "\n", encoding="ascii")
            temporary.replace(record)
        elif record.read_text(encoding="ascii").strip() != digest:
            raise EmbedderError(
                f"model file {path.name!r} has changed since its first use (its checksum was noted in {record.name}): "
                "delete both and fetch it again"
            )
    except (OSError, UnicodeDecodeError) as error:
        raise EmbedderError(f"the checksum beside model file {path.name!r} cannot be kept: {error}") from error


def _known() -> str:
    return ", ".join(sorted(REGISTRY))
