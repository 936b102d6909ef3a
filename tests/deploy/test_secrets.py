"""deploy/make-env and deploy/make-cert: fresh secrets, readable by their owner, never overwritten."""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509

from deploy.stack.web import DEPLOY

SECRETS = ("ADMIN_KEY", "SIGNING_KEY", "METRICS_KEY", "MILVUS_PASSWORD", "S3_SECRET_KEY", "S3_ACCESS_KEY")


def _run(*command: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], env={**os.environ, **env}, capture_output=True, text=True, check=False
    )


def _values(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_every_secret_is_long_and_its_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert _run(DEPLOY / "make-env", tmp_path / name).returncode == 0
    first, second = _values(tmp_path / "a"), _values(tmp_path / "b")
    secrets = [values[name] for values in (first, second) for name in (*SECRETS, "GRAFANA_PASSWORD")]
    assert all(len(secret) >= 20 and secret.isalnum() for secret in secrets)
    assert len(set(secrets)) == len(secrets)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_what_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / ".env"
    target.write_text("mine\n")
    again = _run(DEPLOY / "make-env", target)
    assert (again.returncode, target.read_text()) == (1, "mine\n")
    assert "left as it is" in again.stderr
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert _run(DEPLOY / "make-env", tmp_path / "link").returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", "link"]


def test_of_many_at_once_one_writes_the_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda _: _run(DEPLOY / "make-env", tmp_path / ".env").returncode, range(16)))
    assert codes.count(0) == 1
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_the_secret_of_the_chart_is_as_fresh_and_as_private(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert _run(DEPLOY / "make-env", "--chart", tmp_path / name).returncode == 0
    first, second = _values(tmp_path / "a"), _values(tmp_path / "b")
    assert set(first) == set(second)
    assert all(first[name] != second[name] and len(first[name]) >= 20 for name in first)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


@pytest.mark.parametrize("arguments", [["--chart"], ["--other"], ["a", "b"], ["--chart", "a", "b"]])
def test_what_make_env_does_not_know_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run([DEPLOY / "make-env", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
class TestCertificate:
    def test_it_names_the_hosts_and_its_key_is_private(self, tmp_path: Path) -> None:
        made = _run(DEPLOY / "make-cert", "photos.lan", "192.168.1.7", "fd00::7", CERT_DIR=str(tmp_path / "certs"))
        assert made.returncode == 0, made.stderr
        certificate = x509.load_pem_x509_certificate((tmp_path / "certs" / "cert.pem").read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["localhost", "photos.lan"]
        assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == [
            "127.0.0.1",
            "::1",
            "192.168.1.7",
            "fd00::7",
        ]
        assert not stat.S_IMODE((tmp_path / "certs" / "key.pem").stat().st_mode) & 0o007
        pair = (tmp_path / "certs" / "cert.pem", tmp_path / "certs" / "key.pem")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*pair)

    @pytest.mark.parametrize("name", ["a b", "x\nDNS:evil", "a,DNS:evil", "", "$(id)"])
    def test_what_is_no_name_is_refused(self, tmp_path: Path, name: str) -> None:
        refused = _run(DEPLOY / "make-cert", name, CERT_DIR=str(tmp_path / "certs"))
        assert refused.returncode == 2
        assert not (tmp_path / "certs").exists()

    def test_a_key_that_is_there_stays(self, tmp_path: Path) -> None:
        (tmp_path / "key.pem").write_text("mine")
        assert _run(DEPLOY / "make-cert", CERT_DIR=str(tmp_path)).returncode == 1
        assert [path.name for path in tmp_path.iterdir()] == ["key.pem"]
