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

from deploy.servers import SERVERS
from deploy.stack.processes import stack_settings
from deploy.stack.web import DEPLOY
from image_search.api.app import create_app
from image_search.config import load_settings
from image_search.wiring import Services
from tests.support import draw, jpeg

ROOT = DEPLOY.parent
TOOLS = SERVERS / "tools"
CHART = DEPLOY / "helm" / "image-search"
VALUES = ("existingSecret=keys", "s3.endpoint=s3.example:9000", "ingress.host=photos.example", "ingress.tlsSecret=tls")
SECRET_NAMES = r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|ADMIN_KEY|METRICS_KEY|SIGNING_KEY|ROOT_USER"


def _tool(name: str) -> Path:
    path = TOOLS / name
    if not path.exists():
        pytest.skip(f"{Path(name).name} is not there: `make servers` gets it")
    return path


def _run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


# ---- Docker


@pytest.mark.parametrize("name", ["docker-compose.yml", "deploy/compose/rustfs.yml", "deploy/compose/seaweedfs.yml"])
def test_compose_files_follow_their_schema(name: str) -> None:
    _run(_tool("venv/bin/check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / name)


def test_the_dockerfile_is_what_hadolint_accepts() -> None:
    _run(_tool("venv/bin/hadolint"), DEPLOY / "Dockerfile")


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
            if source.startswith("./") and source != "./deploy/certs":
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


# ---- Kubernetes


def _rendered(tmp_path: Path, *values: str) -> list[dict[str, Any]]:
    helm = _tool("helm")
    chart = tmp_path / "image-search"
    shutil.copytree(CHART, chart, dirs_exist_ok=True)
    # Milvus's chart cannot be fetched here: ours is rendered without it.
    description = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(description[: description.index("dependencies:")])
    set_values = [part for value in (*VALUES, *values) for part in ("--set", value)]
    _run(helm, "lint", "--strict", chart, *set_values)
    text = _run(helm, "template", "photos", chart, *set_values)
    (tmp_path / "rendered.yaml").write_text(text)
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("autoscaling.enabled=false", "ingress.enabled=false", "networkPolicy.enabled=false"),
        ("data.accessMode=ReadWriteMany",),
    ],
)
def test_the_chart_renders_what_kubernetes_knows(tmp_path: Path, values: tuple[str, ...]) -> None:
    documents = _rendered(tmp_path, *values)
    _run(_tool("venv/bin/kubernetes-validate"), "--strict", tmp_path / "rendered.yaml")
    kinds = {document["kind"] for document in documents}
    wanted = {"Deployment", "Service", "ConfigMap", "PersistentVolumeClaim", "PodDisruptionBudget"}
    if not values:
        wanted |= {"Ingress", "HorizontalPodAutoscaler", "NetworkPolicy"}
    assert wanted <= kinds


def test_pods_run_without_rights_and_with_limits(tmp_path: Path) -> None:
    deployments = [document for document in _rendered(tmp_path) if document["kind"] == "Deployment"]
    assert len(deployments) == 2
    for deployment in deployments:
        pod = deployment["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"] + pod.get("initContainers", []):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and context["runAsNonRoot"]
            assert not context["allowPrivilegeEscalation"]
            assert container["resources"]["limits"]["memory"]
        for container in pod["containers"]:
            assert container["readinessProbe"]
            assert container["livenessProbe"]


def test_vectors_travel_past_the_limits_of_the_ingress(tmp_path: Path) -> None:
    plain, vectors = (document for document in _rendered(tmp_path) if document["kind"] == "Ingress")
    assert plain["metadata"]["name"] != vectors["metadata"]["name"]
    assert plain["spec"]["tls"] == vectors["spec"]["tls"]
    [rule], [plain_rule] = vectors["spec"]["rules"], plain["spec"]["rules"]
    assert rule["host"] == plain_rule["host"]
    paths = {path["path"]: path["backend"] for path in rule["http"]["paths"]}
    assert set(paths) == {"/export", "/import"}
    assert all(backend == plain_rule["http"]["paths"][0]["backend"] for backend in paths.values())
    prefix = "nginx.ingress.kubernetes.io/proxy-"
    said = {name.removeprefix(prefix): value for name, value in vectors["metadata"]["annotations"].items()}
    assert (said["body-size"], said["request-buffering"]) == ("0", "off")
    # As long as nginx behind it waits.
    longest = re.search(r"VECTORS_S:-(\d+)", (DEPLOY / "nginx" / "start").read_text())
    assert longest is not None
    assert said["read-timeout"] == longest[1]


def test_the_chart_sets_what_the_stack_sets(tmp_path: Path) -> None:
    [config] = [document for document in _rendered(tmp_path) if document["kind"] == "ConfigMap"]
    assert stack_settings().items() <= config["data"].items()
    secret = {"IMAGE_SEARCH_STORAGE__ACCESS_KEY": "a", "IMAGE_SEARCH_STORAGE__SECRET_KEY": "b"}
    assert load_settings(environ={**config["data"], **secret}).http_server.workers == 2


def test_a_chart_without_its_secrets_is_refused(tmp_path: Path) -> None:
    helm = _tool("helm")
    chart = tmp_path / "image-search"
    shutil.copytree(CHART, chart)
    description = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(description[: description.index("dependencies:")])
    refused = subprocess.run([helm, "template", "x", chart], capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert re.search(r"existingSecret|s3\.endpoint|ingress\.host", refused.stderr)


# ---- systemd


def test_the_unit_is_one_that_systemd_accepts(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    text = (DEPLOY / "systemd" / "image-search.service").read_text()
    unit = tmp_path / "image-search.service"
    # The program is not installed here.
    unit.write_text(text.replace("/opt/image-search/bin/image-search", shutil.which("true") or "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr, done.stderr


# ---- monitoring


def test_every_query_names_numbers_that_there_are(services: Services) -> None:
    dashboard = json.loads((DEPLOY / "monitoring/grafana/dashboards/image-search.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((DEPLOY / "monitoring" / "rules.yml").read_text())
    queries += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    client = create_app(services.settings, services).test_client()
    # A first search, so that its steps have been timed.
    picture = jpeg(draw((200, 30, 30)))
    services.library.insert("default", picture)
    assert client.post("/search", data=picture, content_type="image/jpeg").status_code == 200
    lines = client.get("/metrics").text.splitlines()
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    there = typed | {name + "_bucket" for name in typed}
    labels = set(re.findall(r'(\w+)="', " ".join(lines))) | {"le", "collection"}
    assert len(queries) > 15
    for query in queries:
        named = set(re.findall(r"image_search_\w+", query))
        assert named <= there, query
        assert named or 'up{job="image-search"}' in query, query
        assert set(re.findall(r"[{,]\s*(\w+)=", query)) - {"job"} <= labels, query
        by = {label.strip() for found in re.findall(r"by \(([^)]*)\)", query) for label in found.split(",")}
        assert by <= labels, query


def test_prometheus_asks_services_that_there_are(compose: dict[str, Any]) -> None:
    text = (DEPLOY / "monitoring" / "prometheus.yml").read_text()
    config = yaml.safe_load(text)
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    for job in jobs.values():
        hosts = [target.split(":")[0] for entry in job.get("static_configs", []) for target in entry["targets"]]
        hosts += [name for entry in job.get("dns_sd_configs", []) for name in entry["names"]]
        assert set(hosts) <= set(compose["services"])
    assert jobs["image-search"]["authorization"]["credentials_file"] == "/run/secrets/metrics_key"
    assert compose["services"]["prometheus"]["secrets"] == ["metrics_key"]
    if (promtool := shutil.which("promtool")) is not None:
        _run(promtool, "check", "rules", DEPLOY / "monitoring" / "rules.yml")


def test_the_ports_of_the_parts_agree(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["api"]["environment"]["IMAGE_SEARCH_STORAGE__ENDPOINT"] == "minio:9000"
    assert services["milvus"]["environment"]["MINIO_ADDRESS"] == "minio:9000"
    assert services["milvus"]["environment"]["MINIO_BUCKET_NAME"] != "image-search"
    assert services["web"]["environment"]["SERVERS"] == "api:5000"
