"""Every error of pymilvus and gRPC comes out as one of ours."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import grpc
import pytest

pytest.importorskip("pymilvus", reason="pymilvus is not installed")

from pymilvus import exceptions

from image_search.errors import CollectionNotFound, ImageSearchError, VectorStoreError
from image_search.vectors.milvus_connection import (
    MEANINGS,
    ConnectionLost,
    _of_version,
    _translate_errors,
)
from image_search.vectors.milvus_schema import Capabilities

CLASSES = [
    kind
    for _, kind in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(kind, Exception) and kind.__module__ == exceptions.__name__
]


@pytest.mark.parametrize(("own", "wanted"), [(None, "NONE"), ("INFO", "INFO")])
def test_grpc_keeps_out_of_the_terminal_unless_it_was_asked(own: str | None, wanted: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "GRPC_VERBOSITY"}
    environment |= {"GRPC_VERBOSITY": own} if own else {}
    code = "import os, image_search.vectors.milvus_connection; print(os.environ['GRPC_VERBOSITY'])"
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == f"{wanted}\n"


class Status(grpc.RpcError, grpc.Call):
    """A raw gRPC failure, as pymilvus lets some through."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "details"

    initial_metadata = trailing_metadata = is_active = time_remaining = cancel = add_callback = None


def translated(error: Exception) -> ImageSearchError:
    with pytest.raises(ImageSearchError) as caught, _translate_errors():
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def test_there_are_classes_to_walk() -> None:
    assert len(CLASSES) > 20


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_has_a_meaning(kind: type[Exception]) -> None:
    assert kind in MEANINGS, f"{kind.__name__} is new in pymilvus: say in MEANINGS what it means to us"
    assert isinstance(translated(kind(message="x")), (VectorStoreError, CollectionNotFound))


def test_no_meaning_is_of_a_class_that_is_gone() -> None:
    assert set(MEANINGS) <= set(CLASSES)


def test_an_absent_collection() -> None:
    by_code = exceptions.MilvusException(code=100, message="collection not found")
    by_legacy_code = exceptions.MilvusException(code=1, message="not exist", compatible_code=4)
    assert isinstance(translated(by_code), CollectionNotFound)
    assert isinstance(translated(by_legacy_code), CollectionNotFound)


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_every_status_of_grpc(code: grpc.StatusCode) -> None:
    raw = translated(Status(code))
    wrapped = translated(exceptions.MilvusException(code=code, message="retries ran out"))
    for error in (raw, wrapped):
        assert isinstance(error, VectorStoreError)
    lost = code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert isinstance(raw, ConnectionLost) == isinstance(wrapped, ConnectionLost) == lost
    assert translated(Status(grpc.StatusCode.DEADLINE_EXCEEDED)).retryable  # type: ignore[attr-defined]
    assert not translated(Status(grpc.StatusCode.UNAUTHENTICATED)).retryable  # type: ignore[attr-defined]


def test_a_lost_connection_is_retryable_and_names_no_socket() -> None:
    error = translated(exceptions.MilvusException(code=2, message="Fail connecting to unix:/x/engine.sock"))
    assert isinstance(error, ConnectionLost)
    assert error.retryable
    assert "sock" not in str(error)


def test_the_engines_source_lines_are_left_out() -> None:
    error = translated(exceptions.MilvusException(code=2000, message="mismatch at /build/core/Plan.cpp:63"))
    assert "Plan.cpp" not in str(error)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), _translate_errors():
        raise KeyError("ours to fix")


@pytest.mark.parametrize(
    ("version", "can"),
    [
        ("2.3.5", Capabilities(binary_vector=False, text=False, like=False)),
        ("v2.4.1", Capabilities(binary_vector=True, text=False)),
        ("2.5.0", Capabilities(binary_vector=True, text=True)),
        ("v3.0.2-dev", Capabilities(binary_vector=True, text=True)),
        ("milvus_lite-3.2.2", Capabilities(binary_vector=False, text=True, lite3=True)),
    ],
)
def test_what_a_version_can(version: str, can: Capabilities) -> None:
    assert _of_version(version) == can


def test_a_server_that_is_too_old() -> None:
    with pytest.raises(VectorStoreError, match=r"2\.2\.9"):
        _of_version("v2.2.9")
