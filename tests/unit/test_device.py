"""What the network runs on: the processor, or a graphics card where there is one and its package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from image_search.config import Settings, load_settings
from image_search.embedding.models import ModelSpec, find_model
from image_search.embedding.network import Network, choose_device
from image_search.errors import ConfigError
from image_search.wiring import build_services

HAS_CUDA = "CUDAExecutionProvider" in ort.get_available_providers()


def _compact(tmp_path: Path) -> tuple[Path, ModelSpec]:
    found = find_model("compact", tmp_path)
    return found.path, found.spec


def _services_settings(tmp_path: Path, **more: str) -> Settings:
    overrides = {"library.data_dir": str(tmp_path / "data")} | {f"embedding.{k}": v for k, v in more.items()}
    return load_settings(environ={}, overrides=overrides)


def test_the_processor_is_always_there(tmp_path: Path) -> None:
    network = Network(*_compact(tmp_path), threads=1, device="cpu")
    assert (network.device, choose_device("cpu")) == ("cpu", "cpu")


def test_auto_gives_the_same_numbers_as_the_processor(tmp_path: Path) -> None:
    path, spec = _compact(tmp_path)
    tensors = np.random.default_rng(1).standard_normal((3, 3, spec.crop_px, spec.crop_px)).astype(np.float32)
    rows = [Network(path, spec, threads=1, device=device).run(tensors) for device in ("cpu", "auto")]
    cosines = (rows[0] * rows[1]).sum(1) / np.linalg.norm(rows[0], axis=1) / np.linalg.norm(rows[1], axis=1)
    assert cosines.min() > 0.999


@pytest.mark.skipif(HAS_CUDA, reason="this ONNX Runtime has CUDA")
def test_a_card_that_is_wanted_and_cannot_be_had_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"embedding\.device = cuda.*gpu"):
        Network(*_compact(tmp_path), threads=1, device="cuda")
    services = build_services(_services_settings(tmp_path, device="cuda"))
    with pytest.raises(ConfigError):
        _ = services.provider.device
    services.close()


@pytest.mark.skipif(not HAS_CUDA, reason="needs an ONNX Runtime with CUDA (image-search[gpu])")
def test_a_card_is_used(tmp_path: Path) -> None:
    assert Network(*_compact(tmp_path), threads=1, device="cuda").device == "cuda"


def test_a_card_takes_larger_batches_and_a_number_holds_for_both(tmp_path: Path) -> None:
    for device, sizes in (("cpu", {"0": 16, "5": 5}), ("auto", {"0": 64 if HAS_CUDA else 16, "7": 7})):
        for given, expected in sizes.items():
            services = build_services(_services_settings(tmp_path, device=device, batch_size=given))
            assert services.batch_size == expected
            services.close()


def test_the_workers_of_a_service_share_its_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_search.wiring.available_cores", lambda: 8)
    for processes, threads in ((1, 8), (2, 4), (3, 2), (20, 1)):
        services = build_services(_services_settings(tmp_path), processes=processes)
        assert services.network_threads == threads
        services.close()
    named = build_services(_services_settings(tmp_path, threads="3"), processes=8)
    assert named.network_threads == 3
    named.close()
