"""Prometheus and Grafana: their queries against the numbers that the application really tells."""

from __future__ import annotations

import json
import re
import shutil
from typing import Any

import pytest
import yaml

from deploy.stack.web import DEPLOY
from image_search.api.app import create_app
from image_search.wiring import Services
from tests.deploy.tools import run
from tests.support import draw, jpeg

MONITORING = DEPLOY / "monitoring"
# Of Prometheus itself, and of MinIO as its documentation names them: no MinIO can be had here.
OTHERS = {"up", "minio_cluster_capacity_usable_free_bytes", "minio_cluster_capacity_usable_total_bytes"}


def _scrape_jobs() -> dict[str, Any]:
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    return {job["job_name"]: job for job in config["scrape_configs"]}


def _rules() -> list[dict[str, Any]]:
    file = yaml.safe_load((MONITORING / "rules.yml").read_text())
    return [rule for group in file["groups"] for rule in group["rules"]]


def _queries() -> list[str]:
    dashboard = json.loads((MONITORING / "grafana/dashboards/image-search.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return asked + [rule["expr"] for rule in _rules()]


def test_every_query_names_numbers_that_there_are(services: Services) -> None:
    client = create_app(services.settings, services).test_client()
    # A first search and a first insert, so that their steps have been timed.
    picture = jpeg(draw((200, 30, 30)))
    services.library.insert("default", picture)
    for path in ("/search", "/insert"):
        client.post(path, data=picture, content_type="image/jpeg")
    lines = client.get("/metrics").text.splitlines()
    kinds = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    there = set(kinds) | {f"{name}_bucket" for name, kind in kinds.items() if kind == "histogram"} | OTHERS
    found = re.findall(r'(\w+)="([^"]*)"', " ".join(lines))
    values: dict[str, set[str]] = {"le": set(), "collection": set(), "job": set(_scrape_jobs())}
    for label, value in found:
        values.setdefault(label, set()).add(value)
    assert len(_queries()) > 15
    for query in _queries():
        named = set(re.findall(r"\b((?:image_search|minio)_\w+|up)\b", re.sub(r'"[^"]*"', '""', query)))
        assert named and named <= there, query
        for label, how, wanted in re.findall(r'[{,]\s*(\w+)(=~?)"([^"]*)"', query):
            assert label in values, query
            pattern = wanted if how == "=~" else re.escape(wanted)
            # No request has failed here inside the service.
            there_now = values[label] | ({"500"} if label == "status" else set())
            assert any(re.fullmatch(pattern, value) for value in there_now), query
        by = {label.strip() for part in re.findall(r"by \(([^)]*)\)", query) for label in part.split(",")}
        assert by <= set(values), query
        # What goes up and down is no counter: each fall would be taken for a start from nothing.
        for counted in re.findall(r"(?:rate|increase)\((\w+)", query):
            assert counted.endswith(("_total", "_bucket")), query


def test_every_alert_says_what_is_wrong_and_how_bad() -> None:
    rules = _rules()
    assert {"ImageSearchDown", "ImageSearchPartAway", "ImageSearchErrors", "ImageSearchStoreDown"} <= {
        rule["alert"] for rule in rules
    }
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")
    if (promtool := shutil.which("promtool")) is not None:
        run(promtool, "check", "rules", MONITORING / "rules.yml")


def test_prometheus_asks_services_that_there_are() -> None:
    services = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
    jobs = _scrape_jobs()
    for job in jobs.values():
        hosts = [target.split(":")[0] for entry in job.get("static_configs", []) for target in entry["targets"]]
        hosts += [name for entry in job.get("dns_sd_configs", []) for name in entry["names"]]
        assert set(hosts) <= set(services)
        assert all(set(services[host]["networks"]) & set(services["prometheus"]["networks"]) for host in hosts)
    assert jobs["image-search"]["authorization"]["credentials_file"] == "/run/secrets/metrics_key"
    assert services["prometheus"]["secrets"] == ["metrics_key"]


@pytest.mark.parametrize("name", ["prometheus.yml", "rules.yml"])
def test_what_prometheus_reads_is_mounted_where_it_looks(name: str) -> None:
    services = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
    assert f"./deploy/monitoring/{name}:/etc/prometheus/{name}:ro" in services["prometheus"]["volumes"]
