"""The model registry: a model is data. A registered one goes by its name, any other ONNX file by its path.

`auto` stands for the model that a library was built with; a new library takes the one that comes with the package.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from image_search.errors import ConfigError, EmbedderError

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
    """Hugging Face repository; "" = not fetched from there. Without one, a registered model comes with the package."""
    revision: str = ""
    filename: str = ""


# ImageNet's statistics per channel, as torchvision publishes them with its weights.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

AUTO = "auto"
"""In place of a model's name: the model that a library was built with, for a new one `DEFAULT_MODEL`."""
DEFAULT_MODEL = "compact"
_WEIGHTS = Path(__file__).parent / "weights"

REGISTRY: Mapping[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="compact",
            dim=256,
            resize_shortest_px=128,
            crop_px=128,
            mean=_IMAGENET_MEAN,
            std=_IMAGENET_STD,
            resample="bilinear",
            input="image",
            output="embedding",
            sha256="41d8aa7eeb5cc9a17328655cd3b39f89e1f41a0424bf8dc5258488961baaf443",
            licence="Apache-2.0",
            source="the project's own network, comes with the package",
            filename="compact.onnx",
        ),
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
    """The file of a registered model, of one that `models quantise` made, or of an .onnx path; downloads nothing.

    Raises ConfigError where the name is unknown, EmbedderError where its file is not there or is not the right one.
    """
    if model.endswith(".onnx"):
        path = Path(model).expanduser().absolute()
        if not path.is_file():
            raise EmbedderError(f"model file {model!r} does not exist")
        return checked(read_spec(path.with_suffix(".json")), path)
    spec = REGISTRY.get(model)
    if spec is None:
        derived = derived_path(model, cache_dir)
        if derived is None or not derived.is_file():
            raise ConfigError(
                f"unknown model {model!r}: known are {_known(cache_dir)}, or the path of an .onnx file with its .json "
                "beside it (embedding.model, or IMAGE_SEARCH_EMBEDDING__MODEL)"
            )
        return checked(read_spec(derived.with_suffix(".json")), derived)
    path = registered_path(spec, cache_dir)
    if not path.is_file() and not spec.repo_id:
        raise EmbedderError(f"model {model!r} belongs to this package, but its file is gone: install the package again")
    if not path.is_file():
        raise EmbedderError(
            f"model {model!r} is not on this machine: run `image-search models pull {model}`, or put its file "
            f"{spec.filename} into the model cache as {model}/{spec.filename}"
        )
    return checked(spec, path)


def find_model_by_id(model_id: str, cache_dir: Path) -> ModelFile:
    """The file that a library was built with, wherever a model of that name is known to be.

    Raises EmbedderError that says what to do where it is not on this machine, or is there with other weights.
    """
    name = model_id.rpartition("@")[0]
    found: str | None = None
    for place in (name, _noted_path(model_id, cache_dir)):
        if not place:
            continue
        try:
            file = find_model(place, cache_dir)
        except (ConfigError, EmbedderError) as error:
            found = found or (str(error) if place in REGISTRY else None)
            continue
        if file.model_id == model_id:
            return file
        found = f"what has that name on this machine is {file.model_id}, other weights; bring the former file back"
    if found is None:
        found = "set embedding.model to its .onnx file, with the .json beside it"
    raise EmbedderError(f"model {model_id} is not here: {found}")


def note_model(file: ModelFile, cache_dir: Path) -> None:
    """Remember where a model lies that is not found by its name, so that `auto` finds it by its id.

    Raises EmbedderError where that cannot be written.
    """
    name = file.spec.name
    by_name = registered_path(REGISTRY[name], cache_dir) if name in REGISTRY else derived_path(name, cache_dir)
    if file.path == by_name or _noted_path(file.model_id, cache_dir) == str(file.path):
        return
    note = _note(file.model_id, cache_dir)
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        # By a rename: another process must never read half a line.
        temporary = note.with_name(f"{note.name}.{uuid.uuid4().hex[:8]}.part")
        temporary.write_text(f"{file.path}\n", encoding="utf-8")
        temporary.replace(note)
    except OSError as error:
        raise EmbedderError(f"the model cache cannot be written: {error.strerror}") from error


def _note(model_id: str, cache_dir: Path) -> Path:
    return cache_dir / "noted" / f"{re.sub('[^A-Za-z0-9_.@-]', '_', model_id)}.txt"


def _noted_path(model_id: str, cache_dir: Path) -> str:
    """The path that was noted for a model, "" where there is none or it leads nowhere now."""
    try:
        path = _note(model_id, cache_dir).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        # A note that is not there, or is no longer readable, is as good as none: the model can be named.
        return ""
    return path if path.endswith(".onnx") and Path(path).is_file() else ""


def registered_path(spec: ModelSpec, cache_dir: Path) -> Path:
    """Where the file of a registered model is kept: in the package, or where a download puts it."""
    return cache_dir / spec.name / spec.filename if spec.repo_id else _WEIGHTS / spec.filename


def derived_path(name: str, cache_dir: Path) -> Path | None:
    """Where `models quantise` keeps the model of that name; None for what cannot be a name."""
    return cache_dir / name / f"{name}.onnx" if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", name) else None


def derived_names(cache_dir: Path) -> list[str]:
    """Models that `models quantise` made here, sorted."""
    return sorted(p.stem for p in cache_dir.glob("*/*.onnx") if p.stem == p.parent.name and p.stem not in REGISTRY)


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
    # An integer of 400 digits is valid JSON, and no number that can be reckoned with.
    return type(value) in (int, float) and abs(value) < 1e30  # type: ignore[arg-type]


def checked(spec: ModelSpec, path: Path) -> ModelFile:
    """The model in a file. Raises EmbedderError where its checksum is not the one that is known, or was noted first."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EmbedderError(f"model file {path.name!r} cannot be read: {error.strerror}") from error
    if spec.sha256 and digest != spec.sha256:
        raise EmbedderError(
            f"model file {path.name!r} is damaged or another one: its SHA-256 begins {digest[:12]}, "
            f"expected {spec.sha256[:12]}; {_mending(spec)}"
        )
    if not spec.sha256 and REGISTRY.get(spec.name) is spec:
        _compare_with_first_use(path, digest)
    return ModelFile(spec, path, digest)


def _mending(spec: ModelSpec) -> str:
    if spec.repo_id:
        return "delete it and fetch it again"
    return "install the package again" if spec.name in REGISTRY else "delete it and make it again (models quantise)"


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


def _known(cache_dir: Path) -> str:
    return ", ".join([*sorted(REGISTRY), *derived_names(cache_dir)])
