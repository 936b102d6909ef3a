"""The Helm chart: rendered by helm, checked against Kubernetes' schemas, and what neither looks at."""

from __future__ import annotations

import json
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

CHART = DEPLOY / "helm" / "image-search"
VALUES = (
    "existingSecret=image-search",
    "s3.endpoint=s3.example:9000",
    "milvus.externalS3.host=s3.example",
    "ingress.host=photos.example",
    "ingress.tlsSecret=tls",
)

Document = dict[str, Any]


def _chart(tmp_path: Path) -> Path:
    """Ours without Milvus's, which cannot be fetched here."""
    chart = tmp_path / "image-search"
    shutil.copytree(CHART, chart, dirs_exist_ok=True)
    description = (chart / "Chart.yaml").read_text()
    (chart / "Chart.yaml").write_text(description[: description.index("dependencies:")])
    return chart


def _rendered(tmp_path: Path, *values: str) -> list[Document]:
    helm, chart = tool("helm"), _chart(tmp_path)
    set_values = [part for value in (*VALUES, *values) for part in ("--set", value)]
    run(helm, "lint", "--strict", chart, *set_values)
    text = run(helm, "template", "photos", chart, *set_values)
    (tmp_path / "rendered.yaml").write_text(text)
    return [document for document in yaml.safe_load_all(text) if document]


def _of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def _refused(tmp_path: Path, *values: str) -> str:
    set_values = [part for value in values for part in ("--set", value)]
    command = [tool("helm"), "template", "photos", _chart(tmp_path), *set_values]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("autoscaling.enabled=false", "ingress.enabled=false", "networkPolicy.enabled=false"),
        ("data.accessMode=ReadWriteMany", "data.storageClass=nfs", "spreadOver=null"),
        (
            "api.nodeSelector.kind=gpu",
            "api.tolerations[0].key=gpu",
            "api.resources.limits.nvidia\\.com/gpu=1",
            "imagePullSecrets[0]=registry",
            "networkPolicy.from[0].namespaceSelector.matchLabels.name=ingress",
            "ingress.annotations.x\\.example/number=1",
            "ingress.tlsSecret=",
        ),
    ],
)
def test_the_chart_renders_what_kubernetes_knows(tmp_path: Path, values: tuple[str, ...]) -> None:
    documents = _rendered(tmp_path, *values)
    run(tool("venv/bin/kubernetes-validate"), "--strict", tmp_path / "rendered.yaml")
    kinds = {document["kind"] for document in documents}
    wanted = {"Deployment", "Service", "ConfigMap", "PersistentVolumeClaim", "PodDisruptionBudget"}
    if not values:
        wanted |= {"Ingress", "HorizontalPodAutoscaler", "NetworkPolicy"}
    assert wanted <= kinds


def test_pods_run_without_rights_and_with_limits(tmp_path: Path) -> None:
    deployments = _of_kind(_rendered(tmp_path), "Deployment")
    assert len(deployments) == 2
    for deployment in deployments.values():
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
            # It is told to stop before everybody knows that it will.
            assert container["lifecycle"]["preStop"]["exec"]["command"][0] == "sleep"


def test_pods_spread_over_nodes_where_their_volume_lets_them(tmp_path: Path) -> None:
    shared = _rendered(tmp_path, "data.accessMode=ReadWriteMany")
    for name, deployment in _of_kind(shared, "Deployment").items():
        template = deployment["spec"]["template"]
        assert "affinity" not in template["spec"], name
        spread = template["spec"]["topologySpreadConstraints"]
        assert [rule["topologyKey"] for rule in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        for rule in spread:
            assert rule["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
            assert rule["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == name.removeprefix("photos-")
    assert set(_of_kind(shared, "PodDisruptionBudget")) == {"photos-api", "photos-web"}


def test_pods_that_a_volume_keeps_together_may_leave_their_node(tmp_path: Path) -> None:
    documents = _rendered(tmp_path, "data.accessMode=ReadWriteOnce")
    pod = _of_kind(documents, "Deployment")["photos-api"]["spec"]["template"]["spec"]
    [term] = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert "topologySpreadConstraints" not in pod
    # A budget would keep the last of them where the others may not come back to.
    budgets = _of_kind(documents, "PodDisruptionBudget")
    assert set(budgets) == {"photos-web"}
    assert budgets["photos-web"]["spec"]["maxUnavailable"] == 1
    assert "topologySpreadConstraints" in _of_kind(documents, "Deployment")["photos-web"]["spec"]["template"]["spec"]


def test_vectors_travel_past_the_limits_of_the_ingress(tmp_path: Path) -> None:
    plain, vectors = _of_kind(_rendered(tmp_path), "Ingress").values()
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


def test_one_ingress_asks_for_the_certificate_of_both(tmp_path: Path) -> None:
    issuer, own = "cert-manager.io/cluster-issuer", "controller.example/option"
    values = [f"ingress.annotations.{name.replace('.', chr(92) + '.')}=mine" for name in (issuer, own)]
    ingresses = _of_kind(_rendered(tmp_path, *values), "Ingress")
    assert ingresses["photos"]["metadata"]["annotations"][issuer] == "mine"
    assert issuer not in ingresses["photos-vectors"]["metadata"]["annotations"]
    assert all(ingress["metadata"]["annotations"][own] == "mine" for ingress in ingresses.values())


def test_the_chart_sets_what_the_stack_sets(tmp_path: Path) -> None:
    [config] = _of_kind(_rendered(tmp_path), "ConfigMap").values()
    assert stack_settings().items() <= config["data"].items()
    secret = {"IMAGE_SEARCH_STORAGE__ACCESS_KEY": "a", "IMAGE_SEARCH_STORAGE__SECRET_KEY": "b"}
    settings = load_settings(environ={**config["data"], **secret})
    assert settings.http_server.workers == 2
    # Of the cores of a node, all of which a pod sees, each worker would take its share.
    assert settings.embedding.threads == 1


def test_settings_of_an_operator_take_the_place_of_ours(tmp_path: Path) -> None:
    values = tmp_path / "mine.json"
    names = ("HTTP_SERVER__THREADS", "HTTP_SERVER__MAX_REQUEST_BYTES", "URL_FETCH__TOTAL_S", "SECURITY__USER_KEY")
    # Also what says no, or nothing.
    names += ("HTTP_SERVER__TRUSTED_PROXIES", "STORAGE__SECURE", "STORAGE__REGION")
    given = dict(zip(names, (4, 64_000_000, 2.5, "words", 0, False, ""), strict=True))
    values.write_text(json.dumps({"api": {"settings": {f"IMAGE_SEARCH_{name}": v for name, v in given.items()}}}))
    set_values = [part for value in VALUES for part in ("--set", value)]
    text = run(tool("helm"), "template", "photos", _chart(tmp_path), "--values", values, *set_values)
    for name in given:
        assert len(re.findall(rf"^  IMAGE_SEARCH_{name}:", text, re.M)) == 1, name
    [config] = _of_kind([d for d in yaml.safe_load_all(text) if d], "ConfigMap").values()
    settings = load_settings(environ=config["data"])
    assert (settings.http_server.threads, settings.http_server.max_request_bytes) == (4, 64_000_000)
    assert settings.url_fetch.total_s == 2.5
    assert (settings.http_server.trusted_proxies, settings.storage.secure, settings.storage.region) == (0, False, "")


def test_milvus_has_a_password_and_the_store_that_there_is(tmp_path: Path) -> None:
    """Of the values for Milvus's own chart, whose MinIO is gone and whose Pulsar is for clusters."""
    milvus = yaml.safe_load((CHART / "values.yaml").read_text())["milvus"]
    assert milvus["minio"]["enabled"] is milvus["pulsarv3"]["enabled"] is False
    assert milvus["externalS3"]["enabled"] is True
    compose = (DEPLOY.parent / "docker-compose.yml").read_text()
    assert f"milvusdb/milvus:{milvus['image']['all']['tag']}@" in compose
    environment = {entry["name"]: entry for entry in milvus["standalone"]["extraEnv"]}
    assert environment["COMMON_SECURITY_AUTHORIZATIONENABLED"]["value"] == "true"
    assert set(environment) <= set(yaml.safe_load(compose)["services"]["milvus"]["environment"])
    without = [value for value in VALUES if "externalS3" not in value]
    assert "milvus.externalS3.host" in _refused(tmp_path, *without)
    _rendered(tmp_path, "milvus.enabled=false", "milvusUri=http://elsewhere:19530", "milvus.externalS3.host=")
    assert 'existingSecret names "other"' in _refused(tmp_path, *VALUES, "existingSecret=other")


def test_the_secret_that_make_env_writes_is_the_one_that_pods_read(tmp_path: Path) -> None:
    documents = _rendered(tmp_path)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = yaml.safe_dump_all([*documents, *values["milvus"]["standalone"]["extraEnv"]])
    wanted = {
        found["key"]
        for entry in _walk(list(yaml.safe_load_all(text)))
        if (found := entry.get("secretKeyRef")) and not found.get("optional")
    }
    run(DEPLOY / "make-env", "--chart", tmp_path / "keys.env")
    lines = [line for line in (tmp_path / "keys.env").read_text().splitlines() if not line.startswith("#")]
    written = dict(line.split("=", 1) for line in lines)
    assert set(written) == wanted
    assert written["milvus-token"] == f"root:{written['milvus-password']}"


def _walk(value: object) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [found for part in value for found in _walk(part)]
    if isinstance(value, dict):
        return [value, *(found for part in value.values() for found in _walk(part))]
    return []


def test_the_operator_of_prometheus_gets_what_the_stack_has(tmp_path: Path) -> None:
    documents = _rendered(tmp_path, "monitoring.enabled=true", "monitoring.labels.release=prometheus")
    [monitor] = _of_kind(documents, "ServiceMonitor").values()
    service = _of_kind(documents, "Service")["photos-api"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    # The name of the job in the rules and the dashboard.
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "image-search"
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["authorization"]["credentials"] == {"name": "image-search", "key": "metrics-key"}
    [rules] = _of_kind(documents, "PrometheusRule").values()
    assert rules["spec"] == yaml.safe_load((DEPLOY / "monitoring" / "rules.yml").read_text())
    assert all(document["metadata"]["labels"]["release"] == "prometheus" for document in (monitor, rules))
    assert not {"ServiceMonitor", "PrometheusRule"} & {document["kind"] for document in _rendered(tmp_path)}


def test_a_chart_without_its_secrets_is_refused(tmp_path: Path) -> None:
    assert re.search(r"existingSecret|s3\.endpoint|ingress\.host", _refused(tmp_path))
