"""The files of the deployment: what each tool says of them, and what no tool looks at."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.stack.processes import stack_settings
from deploy.stack.web import DEPLOY
from image_search.config import load_settings
from tests.deploy.tools import run, tool

ROOT = DEPLOY.parent
SECRET_NAMES = r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|ADMIN_KEY|METRICS_KEY|SIGNING_KEY|ROOT_USER"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


# ---- Docker


@pytest.mark.parametrize("name", ["docker-compose.yml", "deploy/compose/rustfs.yml", "deploy/compose/seaweedfs.yml"])
def test_compose_files_follow_their_schema(name: str) -> None:
    run(tool("venv/bin/check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / name)


def test_the_dockerfile_is_what_hadolint_accepts() -> None:
    run(tool("venv/bin/hadolint"), DEPLOY / "Dockerfile")


def test_every_image_is_pinned_and_none_is_gone(compose: dict[str, Any]) -> None:
    overrides = [yaml.safe_load(path.read_text()) for path in (DEPLOY / "compose").glob("*.yml")]
    services = [service for file in (compose, *overrides) for service in file["services"].values()]
    images = {service["image"] for service in services}
    own = {image for image in images if image.startswith("image-search-")}
    assert own == {"image-search-api", "image-search-api-gpu", "image-search-web"}
    for image in images - own:
        tag = image.split("@")[0].rpartition(":")[2]
        assert re.search(r"\d", tag) and tag != "latest", image
        # Deleted from Docker Hub in 2026.
        assert not re.match(r"(docker\.io/)?minio/minio", image)
    bases = re.findall(r"^(?:FROM|ARG PYTHON_IMAGE=)\s*(\S+:\S+)", (DEPLOY / "Dockerfile").read_text(), re.M)
    assert len(bases) == 2 - 1 or all(re.search(r":\d+\.\d+", base) for base in bases), bases


def test_every_service_that_stays_says_truly_how_it_is(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name == "init":
            assert service["restart"] == "no"
            continue
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
    test = " ".join(compose["services"]["api"]["healthcheck"]["test"])
    assert "/readyz" in test
    assert (DEPLOY / "image" / "healthy").is_file()


def test_who_needs_others_waits_for_their_health(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other == "init" else "service_healthy"
            assert how["condition"] == wanted, (name, other)
    for name, others in {
        "web": {"api"},
        "api": {"init", "milvus", "minio"},
        "milvus": {"etcd", "minio"},
        "api-gpu": {"init", "milvus", "minio"},
    }.items():
        assert set(services[name]["depends_on"]) == others


def test_only_nginx_is_published_beyond_loopback(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for port in service.get("ports", []):
            assert name == "web" or str(port).startswith("127.0.0.1:"), (name, port)
    assert compose["networks"]["back"]["internal"] is True
    for name in ("milvus", "etcd", "minio"):
        assert compose["services"][name]["networks"] == ["back"]


def test_what_is_kept_lies_in_named_volumes(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            read_only = volume.endswith(":ro")
            assert source in compose["volumes"] or (source.startswith("./deploy/") and read_only), (name, volume)
            # These two are made by whoever deploys.
            if source.startswith("./") and source not in ("./deploy/certs", "./deploy/acme"):
                assert (ROOT / source).exists(), source


def test_no_password_has_a_default_and_make_env_writes_each(compose: dict[str, Any], tmp_path: Path) -> None:
    subprocess.run([DEPLOY / "make-env", tmp_path / "env"], check=True, capture_output=True)
    written = dict(
        line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if re.match(r"\w+=", line)
    )
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{(\w+)(:[?-])?([^}]*)\}", text)
    for name, mark, _ in used:
        if re.search(SECRET_NAMES, name) and name != "USER_KEY":
            assert mark == ":?", f"{name} may be empty"
        if mark == ":?":
            assert written[name], name
    for service in compose["services"].values():
        for name, value in (service.get("environment") or {}).items():
            if re.search(SECRET_NAMES, name):
                assert str(value).removeprefix("root:").startswith("${"), name
    unknown = set(written) - {name for name, _, _ in used} - {"PUBLIC_NAME"}
    assert not unknown, f"nobody reads {unknown}"


def test_the_documented_settings_of_the_stack_are_all_there_are() -> None:
    used = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    documented = (ROOT / "docs" / "deploy.md").read_text()
    table = documented[documented.index("| in `.env` |") : documented.index("What stands in `.env`")]
    named = set(re.findall(r"`([A-Z_]+)[=`]", table))
    assert named <= used, named - used
    # WEB_OWNER and the secrets are make-env's; the rest is in the table.
    hidden = {name for name in used - named if not re.search(SECRET_NAMES, name)}
    assert hidden == {"WEB_OWNER"}


def test_containers_have_no_more_rights_than_they_need(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["read_only"] is (name not in ("milvus", "prometheus")), name
    for stage in re.split(r"^FROM ", (DEPLOY / "Dockerfile").read_text(), flags=re.M)[1:]:
        if re.search(r"^CMD ", stage, re.M):
            assert "USER 10001:10001" in stage


def test_settings_of_the_stack_are_settings_of_ours(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        ours = {k: str(v) for k, v in (service.get("environment") or {}).items() if k.startswith("IMAGE_SEARCH_")}
        plain = {
            k: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", re.sub(r"\$\{\w+:\?[^}]*\}", "x" * 48, v)) for k, v in ours.items()
        }
        settings = load_settings(environ={**stack_settings(), **plain})
        assert settings.http_server.trusted_proxies == 1


def test_what_goes_into_the_images_is_in_their_context() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M):
        for source in sources.split():
            assert list(ROOT.glob(source.rstrip("/"))), source
            wanted = source.rstrip("/")
            assert any(wanted.startswith(line[1:].split("*")[0]) for line in ignored if line.startswith("!")), source


def test_the_image_is_made_of_a_script_that_runs_here_too(tmp_path: Path) -> None:
    """All but the packages of the index, which are installed here already."""
    import sysconfig

    target = tmp_path / "image"
    env = {**os.environ, "REQUIREMENTS": "no", "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"}
    subprocess.run([DEPLOY / "image" / "install", target], env=env, check=True, capture_output=True)
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": sysconfig.get_path("purelib")}
    script = [target / "bin" / "python", "-c", "import image_search; print(image_search.__file__)"]
    # The editable install that runs these tests comes later on its path than the wheel.
    found = subprocess.run(script, env=clean, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert str(target) in found
    web = next((target / "lib").glob("python*/site-packages/image_search/web/index.html"))
    assert web.read_text() == (ROOT / "web" / "index.html").read_text()
    shown = subprocess.run(
        [target / "bin" / "image-search", "models", "which", "--json"],
        env=clean,
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert json.loads(shown.stdout)["model_id"].startswith("compact@")
    assert not list(tmp_path.glob(".config")), "nothing is written into the home"


def test_the_user_of_the_image_is_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run([DEPLOY / "image" / "prepare"], env={**os.environ, "ROOT": str(tmp_path)}, check=os.getuid() == 0)
    if os.getuid() != 0:
        pytest.skip("only root may give a folder to another user")
    assert (tmp_path / "data").stat().st_uid == 10001
    assert "10001:10001" in (tmp_path / "etc" / "passwd").read_text()


@pytest.mark.parametrize("code", [200, 503])
def test_health_is_what_the_service_says(code: int) -> None:
    import sys
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(b"a part is away")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/readyz"
        script = DEPLOY / "image" / "healthy"
        done = subprocess.run([sys.executable, script, url], capture_output=True, text=True, check=False)
        server.shutdown()
    assert (done.returncode == 0) is (code == 200)
    assert ("a part is away" in done.stderr) is (code != 200)


# ---- systemd


@pytest.mark.parametrize("name", ["image-search", "image-search-web"])
def test_the_units_are_such_that_systemd_accepts(tmp_path: Path, name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    text = (DEPLOY / "systemd" / f"{name}.service").read_text()
    unit = tmp_path / f"{name}.service"
    # The program is not installed here.
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={shutil.which('true') or '/bin/true'}", text))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr, done.stderr
    # Settings that cannot be used end with 2 (application and nginx/start), and stay so.
    assert "RestartPreventExitStatus=2" in text


def test_commands_beside_the_unit_reach_its_store() -> None:
    text = (DEPLOY / "systemd" / "image-search.service").read_text()
    [folder] = re.findall(r"(?m)^StateDirectory=(.+)$", text)
    # The socket of the embedded store lies in TMPDIR; /tmp is another one for each unit of a dynamic user.
    [temporary] = re.findall(r"(?m)^Environment=TMPDIR=(\S+)$", text)
    # Two state directories, one in the other: systemd up to 251 does not start such a unit twice.
    assert " " not in folder
    assert temporary.startswith(f"/var/lib/{folder}/")
    assert f"\nExecStartPre=/bin/mkdir -p {temporary}\n" in text
    documented = (ROOT / "docs" / "deploy.md").read_text()
    assert f"--setenv=TMPDIR={temporary}" in documented
    assert f"--property=StateDirectory={folder} " in documented


def test_the_unit_of_nginx_sets_what_its_start_knows() -> None:
    text = (DEPLOY / "systemd" / "image-search-web.service").read_text()
    known = set(re.findall(r"\$\{([A-Z_]+):?-", (DEPLOY / "nginx" / "start").read_text()))
    names = {
        pair.split("=")[0]
        for line in re.findall(r"(?m)^Environment=(.+)$", text)
        for pair in line.split()
        if "=" in pair
    }
    assert {"SERVERS", "CERT_FILE", "KEY_FILE", "ACCESS_LOG"} <= names <= known


# ---- the stack as a whole


def test_the_ports_of_the_parts_agree(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["api"]["environment"]["IMAGE_SEARCH_STORAGE__ENDPOINT"] == "minio:9000"
    assert services["milvus"]["environment"]["MINIO_ADDRESS"] == "minio:9000"
    assert services["milvus"]["environment"]["MINIO_BUCKET_NAME"] != "image-search"
    assert services["web"]["environment"]["SERVERS"] == "api:5000"
    # Prometheus finds both kinds of the application by one name, whichever network it asks in.
    for network in services["prometheus"]["networks"]:
        assert "api" in services["api-gpu"]["networks"][network]["aliases"]
        assert network in services["api"]["networks"]


@pytest.mark.parametrize("name", ["rustfs", "seaweedfs"])
def test_another_s3_server_has_a_volume_and_the_rights_of_its_own(name: str) -> None:
    file = yaml.safe_load((DEPLOY / "compose" / f"{name}.yml").read_text())
    service = file["services"]["minio"]
    assert service["volumes"] == [f"{name}:/data"]
    assert set(file["volumes"]) == {name}
    # Root without capabilities can neither give files away nor become somebody else.
    assert service["user"].split(":")[0] != "0"
