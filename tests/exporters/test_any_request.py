"""Every page can be read with any labels, help and exemplars; every request gets an answer."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import prometheus_client
import pytest
from exporter_samples import EXEMPLAR, SPAN_ID, TRACE_ID, lock_waits, lookups, snapshot
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.catalog import Kind, Label, Metric, Unit
from mnemoscope.instrumentation.exporters.formats.json_document import render_json
from mnemoscope.instrumentation.exporters.formats.openmetrics import render_openmetrics
from mnemoscope.instrumentation.exporters.formats.text import render_text
from mnemoscope.instrumentation.exporters.health import Health
from mnemoscope.instrumentation.exporters.http.basic_auth import authorized, credentials
from mnemoscope.instrumentation.exporters.http.endpoints import Endpoints
from mnemoscope.instrumentation.exporters.http.server import Server, serve
from mnemoscope.instrumentation.exporters.otlp.data import metrics_data
from mnemoscope.instrumentation.exporters.prometheus_bridge import SnapshotCollector
from mnemoscope.instrumentation.recording.snapshot import Exemplar, Family, HistogramPoint, NumberPoint, Snapshot

pytestmark = pytest.mark.slow

SECONDS = 20
unhurried = settings(deadline=None)
ANY_TEXT = st.text(st.characters(codec="utf-8"))


def page(render: Any, shot: Snapshot) -> str:
    return b"".join(render(shot)).decode()


# Labels and help ----------------------------------------------------------------------------------


@unhurried
@given(st.lists(ANY_TEXT, min_size=2, max_size=2), ANY_TEXT)
@example(["} 1 # {", '\\"\\\\n,'], "\\n # EOF")
@example(["\0\r\x1c\x85\u2028", " "], "\r\x1c\x85\u2028 x")
def test_any_labels_and_any_help_are_read_back_as_they_were(values: list[str], text: str) -> None:
    labels = (Label("first", "an open label", example="x"), Label("le_not", "another", example="y"))
    helped = f"A {text} b"
    for kind, buckets in ((Kind.GAUGE, ()), (Kind.COUNTER, ()), (Kind.HISTOGRAM, (0.5, 1.0))):
        metric = Metric("test.any", kind, Unit.COUNT, helped, labels, buckets)
        point = HistogramPoint(tuple(values), (1, 2, 3), 4.5) if buckets else NumberPoint(tuple(values), 7)
        shot = snapshot(Family(metric, (point,)))
        for render, parse in ((render_text, parse_text), (render_openmetrics, parse_openmetrics)):
            (family,) = parse(page(render, shot))
            assert family.documentation == helped
            assert {(s.labels["first"], s.labels["le_not"]) for s in family.samples} == {tuple(values)}


# Exemplars ----------------------------------------------------------------------------------------


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")

    def __float__(self) -> float:
        raise RuntimeError("no")


ANYTHING = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(), st.binary(), st.sampled_from([Hostile(), np.float32(0.25), ["x"]])
)
NAMES = st.one_of(st.sampled_from(["trace_id", "span_id", "user", "le", "not a name", "7", "", "é"]), ANYTHING)
TEXTS = st.one_of(st.sampled_from([TRACE_ID, SPAN_ID, "-" + TRACE_ID[1:], "\0", "\ud800"]), ANYTHING)
LABELS = st.one_of(ANYTHING, st.lists(st.one_of(st.tuples(NAMES, TEXTS), ANYTHING), max_size=3).map(tuple))


def shot_with(exemplar: Any) -> Snapshot:
    """Return a snapshot: a counter and a bucket with this exemplar, and another bucket with a good one."""
    waits = lock_waits(1, 1)
    (point,) = waits.points
    assert isinstance(point, HistogramPoint)
    kept = (exemplar, EXEMPLAR, *(None for _ in point.counts[2:]))
    return snapshot(
        Family(catalog.EPISODE_CREATED, (NumberPoint((), 1, exemplar),)),
        Family(catalog.LOCK_WAIT_DURATION, (point._replace(exemplars=kept),)),
        lookups(1, 2),
    )


def pushed_exemplars(shot: Snapshot) -> list[Any]:
    """Return the exemplars of the histogram, as OTLP."""
    request = encode_metrics(metrics_data(shot, Resource({}), InstrumentationScope("mnemoscope")))
    waits = request.resource_metrics[0].scope_metrics[0].metrics[1]
    return list(waits.histogram.data_points[0].exemplars)


def exemplars_of(text: str) -> list[dict[str, str]]:
    samples = [s for family in parse_openmetrics(text) for s in family.samples]
    return [sample.exemplar.labels for sample in samples if sample.exemplar]


@unhurried
@given(st.one_of(ANYTHING, st.builds(Exemplar, LABELS, ANYTHING, ANYTHING)))
@example(Exemplar((("user", 7),), 1.0, 2.0))  # type: ignore[arg-type]  # the point
@example(Exemplar((("user", "\ud800"),), 1.0, 2.0))
@example(Exemplar((("trace_id", "-" + TRACE_ID[1:]), ("span_id", SPAN_ID)), 1.0, 2.0))
def test_no_exemplar_costs_a_page_a_push_or_another_exemplar(exemplar: Any) -> None:
    shot = shot_with(exemplar)
    good = dict(EXEMPLAR.labels)
    assert good in exemplars_of(page(render_openmetrics, shot))
    assert page(render_text, shot) == page(render_text, shot_with(None))
    assert json.loads(page(render_json, shot)) == json.loads(page(render_json, shot_with(None)))
    registry = prometheus_client.CollectorRegistry()
    registry.register(SnapshotCollector(lambda: shot))  # type: ignore[arg-type]  # it has what is used of a collector
    assert good in exemplars_of(generate_openmetrics(registry).decode())
    assert TRACE_ID in [e.trace_id.hex() for e in pushed_exemplars(shot)]


@pytest.mark.parametrize(
    "exemplar",
    [
        Exemplar((("user", 7),), 1.0, 2.0),  # type: ignore[arg-type]  # the point
        Exemplar((("user", ["7"]),), 1.0, 2.0),  # type: ignore[arg-type]  # the point
        Exemplar((("user id", "7"),), 1.0, 2.0),
        Exemplar((("üser", "7"),), 1.0, 2.0),
        Exemplar((("user", "7"), ("user", "8")), 1.0, 2.0),
        Exemplar((("user", "7\0"),), 1.0, 2.0),
        Exemplar((("user", "7"),), float("nan"), 2.0),
        Exemplar((("user", "7"),), 1.0, -2.0),
        Exemplar((("user", "7"),), 1.0, 1e300),
        "user=7",
    ],
)
def test_an_exemplar_that_cannot_be_written_is_left_out(exemplar: Any) -> None:
    shot = shot_with(exemplar)
    assert exemplars_of(page(render_openmetrics, shot)) == [dict(EXEMPLAR.labels)]
    assert [e.trace_id.hex() for e in pushed_exemplars(shot)] == [TRACE_ID]


def test_an_exemplar_of_text_that_is_no_unicode_is_shown_without_it() -> None:
    shot = shot_with(Exemplar((("user", "7\ud800"),), 1.0, 2.0))
    assert {"user": "7?"} in exemplars_of(page(render_openmetrics, shot))
    assert [pair.value.string_value for e in pushed_exemplars(shot) for pair in e.filtered_attributes] == ["7?"]


def test_an_exemplar_of_numbers_that_are_no_floats_is_shown() -> None:
    shot = shot_with(Exemplar((("user", "7"),), np.float32(0.25), 2))
    assert {"user": "7"} in exemplars_of(page(render_openmetrics, shot))


@pytest.mark.prometheus
def test_a_real_prometheus_reads_a_page_whatever_the_exemplars_hold(prometheus_server: Any) -> None:
    odd = "".join(map(chr, range(32))) + '\\"} 1 # {\x7f\x85\u2028\ufeff\uffff\ud800'
    shots = [shot_with(Exemplar((("user", text),), 1.0, 1_700_000_000.0)) for text in (odd, odd[1:])]
    with ExitStack() as running:
        servers = [running.enter_context(serve(Endpoints(lambda shot=shot: shot, Health()), port=0)) for shot in shots]
        prometheus = prometheus_server(targets=[f"127.0.0.1:{server.port}" for server in servers])
        deadline = time.monotonic() + SECONDS
        while len(prometheus.query(catalog.EPISODE_CREATED.prometheus_name())) < 2:
            assert time.monotonic() < deadline, prometheus.targets()
            time.sleep(0.1)


# Requests -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    app = Endpoints(lambda: snapshot(lock_waits(1, 2)), Health())
    with serve(app, port=0, basic_auth=("prometheus", "secret")) as running:
        yield running


def status_of(server: Server, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        line = client.makefile("rb").readline()
    match = re.fullmatch(rb"HTTP/1\.1 (\d{3}) .*\r\n", line)
    assert match, line
    return int(match[1])


ONE_LINE = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n")).map(lambda text: text.encode("latin-1"))
METHODS = st.one_of(st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"get", b"CONNECT"]), ONE_LINE)
TARGETS = st.one_of(
    ONE_LINE.map(lambda text: b"/" + text),
    ONE_LINE.map(lambda text: b"http://" + text),
    ONE_LINE.map(lambda text: b"/metrics?" + text),
    ONE_LINE.map(lambda text: b"/metrics%" + text),
    ONE_LINE,
)


@unhurried
@given(METHODS, TARGETS)
@example(b"GET", b"http://[::1/metrics")
@example(b"GET", b"/metrics?name[]=%ff&name[]=%")
@example(b"OPTIONS", b"*")
def test_any_request_line_gets_an_answer(guarded: Server, method: bytes, target: bytes) -> None:
    assert status_of(guarded, method + b" " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n") >= 200


RIGHT = base64.b64encode(b"prometheus:secret")


@unhurried
@given(st.one_of(ONE_LINE, ONE_LINE.map(lambda text: b"Basic " + text), ONE_LINE.map(lambda text: RIGHT + text)))
@example(b"Basic " + RIGHT[:-1])
@example(b"Basic \xff\xfe")
def test_any_authorization_but_the_right_one_is_refused(guarded: Server, header: bytes) -> None:
    status = status_of(guarded, b"GET /metrics HTTP/1.1\r\nAuthorization: " + header + b"\r\n\r\n")
    assert status == (200 if header.strip().lower() == b"basic " + RIGHT else 401)


@unhurried
@given(ONE_LINE, ONE_LINE, ONE_LINE)
@example(b"text/plain;q=1e999, */*;q=nan", b"gzip;q=\xb2", b"bytes=0-")
def test_any_headers_get_the_metrics(guarded: Server, accept: bytes, encoding: bytes, other: bytes) -> None:
    request = (
        b"GET /metrics HTTP/1.1\r\nAuthorization: Basic " + RIGHT
        + b"\r\nAccept: " + accept + b"\r\nAccept-Encoding: " + encoding + b"\r\nX-Other: " + other + b"\r\n\r\n"
    )  # fmt: skip
    assert status_of(guarded, request) == 200


@unhurried
@given(st.text(), st.text())
def test_any_text_may_be_compared_with_the_credentials(header: str, password: str) -> None:
    expected = credentials(("prometheus", password + "x"))
    assert authorized(header, expected) is False
    assert authorized(f"Basic {base64.b64encode(expected).decode()}", expected) is True


@unhurried
@given(st.text(), st.text(), st.text(), st.text(), st.text())
def test_the_application_raises_for_no_request(method: str, path: str, query: str, accept: str, encoding: str) -> None:
    app = Endpoints(lambda: snapshot(lock_waits(1, 2)), Health())
    headers = {"accept": accept, "accept-encoding": encoding}
    assert app.handle(method, path, query, headers).status in (404, 405)
    for known in app.paths:
        assert app.handle("GET", known, query, headers).status == 200
        assert app.handle("GET", known, f"name[]={query}", headers).status == 200
