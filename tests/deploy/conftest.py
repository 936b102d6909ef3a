"""What the tests of the deployment share: a real service over a tiny network, and nginx before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.stack.web import Web, have_nginx, web
from tests.live import environment, serving, write_tiny_model

ADMIN_KEY = "the-admin-key-of-the-test"
CORS_ORIGIN = "https://page.example"
MAX_REQUEST_BYTES = 3_000_000


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file that averages colours."""
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def service(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a real service, as it runs behind nginx."""
    env = environment(
        tiny_model,
        tmp_path_factory.mktemp("library"),
        IMAGE_SEARCH_SECURITY__ADMIN_KEY=ADMIN_KEY,
        IMAGE_SEARCH_HTTP_SERVER__TRUSTED_PROXIES="1",
        IMAGE_SEARCH_HTTP_SERVER__CORS_ORIGINS=CORS_ORIGIN,
    )
    with serving(env) as (address, _process):
        yield address.removeprefix("http://")


@pytest.fixture(scope="session")
def front(service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """nginx before it."""
    if not have_nginx():
        pytest.skip("needs nginx (apt-get install nginx-light) and openssl")
    with web(
        tmp_path_factory.mktemp("web"),
        service,
        HSTS_S="300",
        CORS_ORIGINS=CORS_ORIGIN,
        MAX_REQUEST_BYTES=str(MAX_REQUEST_BYTES),
        RATE_PER_ADDRESS="1000",
    ) as running:
        yield running


@pytest.fixture
def browser(front: Web) -> Iterator[httpx.Client]:
    """A client that trusts nginx's certificate."""
    with httpx.Client(base_url=front.https, verify=front.trust, trust_env=False, timeout=60) as client:
        yield client
