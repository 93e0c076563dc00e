"""The wrapper starts a real Prometheus, queries it, reports its errors, and stops it."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from mnemoscope.errors import MnemoscopeError
from mnemoscope.examples.demo.prometheus import PrometheusServer, Target, scrape_config

pytestmark = [pytest.mark.prometheus, pytest.mark.slow]

SECONDS = 60.0
RULES = """
groups:
  - name: example
    rules:
      - record: job:one:sum
        expr: vector(1)
      - alert: AlwaysOn
        expr: vector(1) > 0
        labels: {severity: info}
"""


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def test_it_scrapes_evaluates_and_answers(prometheus_server: Callable[..., PrometheusServer]) -> None:
    prometheus = prometheus_server(rules=RULES, targets=[Target("127.0.0.1:1", {"track": "stable"})])

    wait_for(lambda: bool(prometheus.query("job:one:sum")), "the record was not evaluated")
    assert prometheus.query("job:one:sum")[0]["value"][1] == "1"
    assert prometheus.query("1 + 1")[0]["value"][1] == "2"
    now = time.time()
    series = prometheus.query_range("job:one:sum", start=now - 60, end=now + 60, step=1)
    assert {value for _, value in series[0]["values"]} == {"1"}
    assert [group["name"] for group in prometheus.rules()] == ["example"]
    wait_for(lambda: [a["state"] for a in prometheus.alerts()] == ["firing"], "the alert does not fire")
    wait_for(lambda: [t["health"] for t in prometheus.targets()] == ["down"], "the target was not scraped")
    assert prometheus.targets()[0]["labels"]["track"] == "stable"


def test_a_person_finds_its_pages(prometheus_server: Callable[..., PrometheusServer]) -> None:
    server = prometheus_server()
    page = httpx.get(server.url, follow_redirects=True, timeout=60)
    assert page.status_code == 200
    assert "<title>Prometheus" in page.text


def test_a_refused_query_is_one_line_with_the_servers_reason(
    prometheus_server: Callable[..., PrometheusServer],
) -> None:
    with pytest.raises(MnemoscopeError, match=r"refused 'sum\(': .*unclosed left parenthesis"):
        prometheus_server().query("sum(")


def test_a_prometheus_that_died_is_one_line_that_says_so(prometheus_server: Callable[..., PrometheusServer]) -> None:
    prometheus = prometheus_server()
    ended = os.pidfd_open(prometheus.child.process.pid)
    os.kill(prometheus.child.process.pid, signal.SIGKILL)
    select.select([ended], [], [], SECONDS)
    os.close(ended)

    with pytest.raises(MnemoscopeError, match=f"Prometheus at {prometheus.url} does not answer: it ended"):
        prometheus.query("up")


def test_a_refused_configuration_is_reported_in_its_own_words(
    prometheus_server: Callable[..., PrometheusServer],
) -> None:
    with pytest.raises(MnemoscopeError, match=r"Prometheus ended while it started: .*rules\.yaml"):
        prometheus_server(rules="groups: [{name: broken, rules: [{record: x, expr: 'sum('}]}]")


def test_a_taken_port_is_refused_before_anything_starts(prometheus_binary: Path, tmp_path: Path) -> None:
    config = scrape_config("memory", [], scrape_interval="1s", evaluation_interval="1s")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = PrometheusServer(prometheus_binary, config, tmp_path, port=taken.getsockname()[1])

        with pytest.raises(MnemoscopeError, match=r"port \d+ for Prometheus cannot be used"):
            server.start()

    assert not server.log.exists()


def test_leaving_the_context_frees_the_port(prometheus_binary: Path, tmp_path: Path) -> None:
    config = scrape_config("memory", [], scrape_interval="1s", evaluation_interval="1s")

    with PrometheusServer(prometheus_binary, config, tmp_path) as server:
        assert server.query("vector(1)")

    with socket.create_server(("127.0.0.1", server.port)):
        pass
