"""Numbers for Prometheus: requests, how long the steps of a search took, what is in the library, which jobs there are.

With several workers the requests of all of them are told, whichever answers.
"""

from __future__ import annotations

import logging
import time
from collections import Counter as Tally
from collections.abc import Iterator, Mapping

from flask import Flask, Response, current_app, g, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import MutexValue, ValueClass

from image_search.errors import ImageSearchError
from image_search.wiring import Services

CONTENT_TYPE = CONTENT_TYPE_LATEST
STEPS = ("fetch", "decode", "embed", "search")
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MAX_JOBS = 1000
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"})

_log = logging.getLogger(__name__)


class Metrics:
    """The numbers of one application."""

    def __init__(self, services: Services) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "image_search_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "image_search_request_seconds",
            "Time from a request to its answer.",
            ("method", "route"),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.steps = Histogram(
            "image_search_step_seconds",
            "Time that the steps of a search took.",
            ("step",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self._shown = self.registry
        if ValueClass is not MutexValue:
            # Each worker has written its numbers into a file of that folder; they are added up when somebody asks.
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown)  # type: ignore[no-untyped-call]
        self._shown.register(_Library(services))

    def exposition(self) -> bytes:
        """All numbers in Prometheus's text form."""
        return generate_latest(self._shown)


class _Library(Collector):
    """What is there when somebody asks."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: else the stores would be asked when it is registered."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Pictures of each collection and jobs of each state; where a store is away, that it is."""
        up = GaugeMetricFamily("image_search_up", "Whether this part answers.", labels=("part",))
        images = GaugeMetricFamily("image_search_images", "Pictures in a collection.", labels=("collection",))
        jobs = GaugeMetricFamily("image_search_jobs", "Jobs by their state.", labels=("state",))
        for part, read, family in (("library", self._images, images), ("jobs", self._jobs, jobs)):
            try:
                for label, value in read().items():
                    family.add_metric((label,), value)
                up.add_metric((part,), 1)
            except ImageSearchError as error:
                _log.warning("metrics: %s cannot be read: %s", part, error)
                up.add_metric((part,), 0)
            yield family
        yield up

    def _images(self) -> Mapping[str, int]:
        store = self._services.store
        return {name: store.count(physical) for name, physical in store.aliases().items()}

    def _jobs(self) -> Mapping[str, int]:
        states = dict.fromkeys(("queued", "running", "done", "failed", "cancelled"), 0)
        return {**states, **Tally(job.state for job in self._services.jobs.list(MAX_JOBS))}


def register_metrics(app: Flask, services: Services) -> None:
    """Count every request of the application."""
    metrics = app.extensions["metrics"] = Metrics(services)

    @app.before_request
    def begin() -> None:
        g.began_s = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        # What has no route has one name together: a caller must not be able to make new series.
        route = request.url_rule.rule if request.url_rule else "none"
        method = request.method if request.method in _METHODS else "other"
        metrics.requests.labels(method, route, response.status_code).inc()
        if "began_s" in g:
            metrics.seconds.labels(method, route).observe(time.perf_counter() - g.began_s)
        return response


def observe_steps(timing_ms: Mapping[str, float]) -> None:
    """Note how long the steps of a search took; a step that there was not took no time."""
    metrics: Metrics = current_app.extensions["metrics"]
    for step in STEPS:
        if timing_ms.get(step):
            metrics.steps.labels(step).observe(timing_ms[step] / 1000)


def exposition() -> bytes:
    """All numbers in Prometheus's text form."""
    metrics: Metrics = current_app.extensions["metrics"]
    return metrics.exposition()
