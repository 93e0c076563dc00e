"""Every query of every page returns data from a real Prometheus that scrapes two real instances."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import yaml

import mnemoscope as scope
from mnemoscope import alerts, catalog, runbooks
from mnemoscope.alerts.model import Record
from mnemoscope.examples.demo.prometheus import PrometheusServer
from mnemoscope.instrumentation.catalog import Kind, Metric
from mnemoscope.model.settings import Settings
from mnemoscope.runbooks import loader

pytestmark = pytest.mark.slow

SETTINGS = Settings()
PAGES = {name: runbooks.parse(name, loader.read(page)) for name, page in runbooks.pages().items()}
QUERIES = {
    fence.text: f"{name}.md:{fence.line}"
    for name, page in PAGES.items()
    for fence in page.fences
    if fence.language == "promql"
}
FACTS = [
    (name, part.partition("\n```")[0])
    for name, page in PAGES.items()
    for part in (page.facts or "").split("```promql\n")[1:]
]
# A healthy service that started recently has no past, no stuck locks and no completions that hang.
EMPTY = (
    "offset 1d",
    "offset 1w",
    "unless on (instance, lock, mode)",
    "rate(mnemo_completion_duration_seconds_count[5m])) == 0",
)
DEADLINE = 60.0


class Instance:
    """A service that records every metric of the catalog, all of its closed label sets included."""

    def __init__(self, track: str) -> None:
        self.registry = scope.Registry()
        for metric in catalog.CATALOG:
            if metric not in (catalog.ROLLOUT_INFO, catalog.SERVICE_UPTIME, catalog.INSTRUMENTATION_SERIES):
                named = {label.name: label.sample for label in metric.labels if not label.values}
                self.registry.declare(metric, **named)
        self.registry.gauge(catalog.ROLLOUT_INFO, track=track, stage="25", version=f"1.0-{track}").set(1)
        self.flag = float(track == "canary")
        self.work()

    def work(self) -> None:
        """Record one more event in every metric."""
        for family in self.registry.snapshot().families:
            for point in family.points:
                self._record(family.metric, dict(zip(family.metric.label_names, point.labels, strict=True)))

    def _record(self, metric: Metric, labels: dict[str, str]) -> None:
        if metric.kind is Kind.COUNTER:
            self.registry.counter(metric, **labels).inc()
        elif metric.kind is Kind.HISTOGRAM:
            self.registry.histogram(metric, **labels).observe(metric.buckets[2])
        elif metric is catalog.ROLLOUT_FEATURE_FLAG:
            self.registry.gauge(metric, **labels).set(self.flag)
        elif metric not in (catalog.ROLLOUT_INFO, catalog.SERVICE_UPTIME, catalog.INSTRUMENTATION_SERIES):
            self.registry.gauge(metric, **labels).set(1)


@pytest.fixture
def instances() -> Iterator[tuple[list[Instance], list[str]]]:
    with ExitStack() as running:
        both = [Instance("stable"), Instance("canary")]
        servers = [running.enter_context(scope.serve(port=0, registry=one.registry)) for one in both]
        yield both, [f"127.0.0.1:{server.port}" for server in servers]


def record_rules() -> str:
    groups = []
    for group in alerts.build(SETTINGS).groups:
        found = [rule for rule in group.rules if isinstance(rule, Record)]
        groups.append({"name": group.name, "rules": [{"record": rule.name, "expr": rule.expr} for rule in found]})
    return yaml.safe_dump({"groups": groups})


def without_data(prometheus: PrometheusServer) -> set[str]:
    return {query for query in QUERIES if not prometheus.query(query)}


@pytest.mark.prometheus
def test_every_query_of_every_page_evaluates_and_finds_data(
    prometheus_server: Callable[..., PrometheusServer],
    instances: tuple[list[Instance], list[str]],
    free_port: int,
) -> None:
    both, addresses = instances
    unreachable = f"127.0.0.1:{free_port}"
    prometheus = prometheus_server(rules=record_rules(), targets=[*addresses, unreachable])
    expected = {query for query in QUERIES if any(part in query for part in EMPTY)}

    deadline = time.monotonic() + DEADLINE
    while (empty := without_data(prometheus)) != expected and time.monotonic() < deadline:
        for instance in both:
            instance.work()

    assert {QUERIES[query]: query for query in empty - expected} == {}
    assert {QUERIES[query] for query in expected - empty} == set(), "expected to be empty, and is not"
    for _, expression in FACTS:
        prometheus.query(expression)  # raises where Prometheus' own parser reads it otherwise than ours
    assert {name for name, _ in FACTS} == set(alerts.alert_names())
