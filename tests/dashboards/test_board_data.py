"""Every query of every board returns data when a real Prometheus scrapes a service that exports the catalog."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml

from mnemoscope import dashboards
from mnemoscope.alerts import Pack, Record
from mnemoscope.dashboards import Board
from mnemoscope.examples.demo.prometheus import PrometheusServer, Target
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import CATALOG, DEFAULT_PREFIX, Kind, Metric
from mnemoscope.instrumentation.exporters.formats.text import render_text
from mnemoscope.instrumentation.recording.snapshot import Family, HistogramPoint, NumberPoint, Snapshot

pytestmark = [pytest.mark.prometheus, pytest.mark.slow]

DEADLINE = 90.0
Point = Callable[[Metric, tuple[str, ...], int], NumberPoint | HistogramPoint]

# Counters with a label whose values are not known before the first event. A healthy service has no series of them.
SILENT_WHILE_HEALTHY = {
    metric for metric in CATALOG if metric.kind is Kind.COUNTER and any(not label.values for label in metric.labels)
} - {c.CACHE_LOOKUPS, c.LOCK_CONTENDED}


def busy(metric: Metric, labels: tuple[str, ...], tick: int) -> NumberPoint | HistogramPoint:
    """Return a point that changes with every scrape."""
    if metric.kind is Kind.HISTOGRAM:
        counts = (tick,) * (len(metric.buckets) + 1)
        return HistogramPoint(labels, counts, float(sum(counts)) / 2)
    return NumberPoint(labels, float(tick) if metric.kind is Kind.COUNTER else 1.0)


def idle(metric: Metric, labels: tuple[str, ...], tick: int) -> NumberPoint | HistogramPoint:
    """Return a point as it is before the first event."""
    if metric.kind is Kind.HISTOGRAM:
        return HistogramPoint(labels, (0,) * (len(metric.buckets) + 1), 0.0)
    return NumberPoint(labels, 0.0 if metric.kind is Kind.COUNTER else 1.0)


def families(track: str, tick: int, point: Point, left_out: set[Metric]) -> Iterator[Family]:
    for metric in CATALOG:
        if metric is c.ROLLOUT_INFO:
            yield Family(metric, (NumberPoint((track, "10", "1.4.0"), 1.0),))
        elif metric not in left_out:
            sets = itertools.product(*(label.values or (label.sample,) for label in metric.labels))
            yield Family(metric, tuple(point(metric, labels, tick) for labels in sets))


@contextmanager
def service(track: str, point: Point, left_out: set[Metric]) -> Iterator[Target]:
    """Run an instance that exports every metric of the catalog except those left out."""
    ticks = itertools.count(1)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = tuple(families(track, next(ticks), point, left_out))
            body = b"".join(render_text(Snapshot(DEFAULT_PREFIX, 0.0, time.time(), found)))
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Target(f"127.0.0.1:{server.server_address[1]}", {})
        finally:
            server.shutdown()
            thread.join()


def recording_rules(pack: Pack) -> str:
    groups = [
        {"name": g.name, "rules": [{"record": r.name, "expr": r.expr} for r in g.rules if isinstance(r, Record)]}
        for g in pack.groups
    ]
    return yaml.safe_dump({"groups": groups})


def empty_queries(prometheus: PrometheusServer, boards: list[Board]) -> list[str]:
    """Return the queries that return no number now, as board, panel and reference."""
    return [
        f"{board.uid} / {title} / {ref}"
        for board in boards
        for title, _, ref, expr in dashboards.queries(board)
        if not has_data(prometheus.query(dashboards.substitute(expr, rate_interval="10s", range="1m")))
    ]


def has_data(series: list[dict[str, Any]]) -> bool:
    return any(not math.isnan(float(one["value"][1])) for one in series)


def settled(look: Callable[[], list[str]], expected: Callable[[list[str]], bool]) -> list[str]:
    """Return the result of `look` as soon as it is expected, or the last one before the deadline."""
    deadline = time.monotonic() + DEADLINE
    while True:
        found = look()
        if expected(found) or time.monotonic() > deadline:
            return found


@pytest.fixture
def serving() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_every_query_returns_data_while_two_tracks_are_busy(
    prometheus_server: Any, serving: ExitStack, boards: list[Board], pack: Pack
) -> None:
    targets = [serving.enter_context(service(track, busy, SILENT_WHILE_HEALTHY)) for track in ("stable", "canary")]
    prometheus = prometheus_server(rules=recording_rules(pack), targets=targets)
    assert settled(lambda: empty_queries(prometheus, boards), lambda found: not found) == []
    assert not has_data(prometheus.query("a_metric_that_no_service_exports"))


def test_idle_service_shows_no_errors_rather_than_no_data(
    prometheus_server: Any, serving: ExitStack, boards: list[Board], pack: Pack
) -> None:
    target = serving.enter_context(service("stable", idle, SILENT_WHILE_HEALTHY))
    prometheus = prometheus_server(rules=recording_rules(pack), targets=[target])
    wanted = ("error", "budget", "burn", "compliance", "deadlock", "fault", "timeouts", "lost", "corruption", "order")
    keys = [
        (panel.key, expr)
        for board in boards
        if board.uid != "canary-comparison"
        for panel in board.panels
        if any(word in panel.key for word in wanted)
        for _, expr in panel.queries
    ]
    assert len(keys) > 40

    def silent() -> list[str]:
        return [
            key
            for key, expr in keys
            if not has_data(prometheus.query(dashboards.substitute(expr, rate_interval="10s", range="1m")))
        ]

    assert settled(silent, lambda found: not found) == []
