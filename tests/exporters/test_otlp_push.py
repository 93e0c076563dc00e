"""Pushes over HTTP and gRPC to real receivers, good and bad."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from exporter_samples import (
    EXEMPLAR,
    SPAN_ID,
    STARTED,
    TAKEN,
    TRACE_ID,
    lock_waits,
    lookups,
    sample_values,
    snapshot,
    whole_catalog,
)
from otlp_receivers import SECONDS, Receiver, grpc_receiver, http_receiver

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.catalog import CATALOG, Kind
from mnemoscope.instrumentation.exporters.otlp.pusher import OtlpPusher
from mnemoscope.instrumentation.recording.snapshot import Family, NumberPoint, Snapshot

pytestmark = pytest.mark.slow

CUMULATIVE, DELTA = 2, 1
RECEIVERS = {"http/protobuf": http_receiver, "grpc": grpc_receiver}
NEVER = 3600.0

Push = Callable[..., OtlpPusher]


@pytest.fixture(params=RECEIVERS)
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def receiver(protocol: str) -> Iterator[Receiver]:
    with RECEIVERS[protocol]() as running:
        yield running


@pytest.fixture
def push(receiver: Receiver, protocol: str) -> Iterator[Push]:
    """Starts a pusher to the receiver, which pushes only on `flush` unless an interval is given."""
    started: list[OtlpPusher] = []

    def start(snapshot_function: Callable[[], Snapshot], **options: Any) -> OtlpPusher:
        given = {"endpoint": receiver.endpoint, "protocol": protocol, "interval": NEVER, "timeout": 20.0, **options}
        started.append(OtlpPusher(snapshot_function, **given))
        return started[-1]

    yield start
    receiver.answering.set()
    for pusher in started:
        pusher.close(timeout=0.0)


def attributes(point: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in point.attributes}


# What arrives -------------------------------------------------------------------------------------


def test_a_counter_arrives_as_a_monotonic_cumulative_sum(push: Push, receiver: Receiver) -> None:
    assert push(lambda: snapshot(lookups(3, 4))).flush()
    metric = receiver.next_metrics()[catalog.CACHE_LOOKUPS.otel_name()]
    assert (metric.description, metric.unit) == (catalog.CACHE_LOOKUPS.help, catalog.CACHE_LOOKUPS.unit.value)
    assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, CUMULATIVE)
    points = {attributes(p)["result"]: p for p in metric.sum.data_points}
    assert {result: p.as_double for result, p in points.items()} == {"hit": 3.0, "miss": 4.0}
    assert attributes(points["hit"]) == {"cache": "redb", "result": "hit"}
    assert points["hit"].start_time_unix_nano == int(STARTED * 1e9)
    assert points["hit"].time_unix_nano == int(TAKEN * 1e9)


def test_a_histogram_arrives_with_its_bounds_whole_counts_and_no_invented_extremes(
    push: Push, receiver: Receiver
) -> None:
    assert push(lambda: snapshot(lock_waits(1, 0, 2, total=0.25))).flush()
    metric = receiver.next_metrics()[catalog.LOCK_WAIT_DURATION.otel_name()]
    (point,) = metric.histogram.data_points
    assert metric.unit == "s"
    assert metric.histogram.aggregation_temporality == CUMULATIVE
    assert list(point.explicit_bounds) == list(catalog.LOCK_WAIT_DURATION.buckets)
    assert list(point.bucket_counts) == [1, 0, 2] + [0] * (len(catalog.LOCK_WAIT_DURATION.buckets) - 2)
    assert (point.count, point.sum) == (3, 0.25)
    assert not point.HasField("min")
    assert not point.HasField("max")


def test_a_gauge_arrives_as_a_gauge(push: Push, receiver: Receiver) -> None:
    assert push(lambda: snapshot(Family(catalog.COMPLETION_IN_FLIGHT, (NumberPoint((), 7),)))).flush()
    (point,) = receiver.next_metrics()[catalog.COMPLETION_IN_FLIGHT.otel_name()].gauge.data_points
    assert point.as_double == 7.0


def test_an_exemplar_leads_to_its_trace(push: Push, receiver: Receiver) -> None:
    plain = EXEMPLAR._replace(labels=(("trace_id", "no hex"), ("user", "7")))
    counter = Family(catalog.EPISODE_CREATED, (NumberPoint((), 1, EXEMPLAR),))
    other = Family(catalog.RECALL_FALLBACKS, (NumberPoint((), 1, plain),))
    waits = lock_waits(1)
    (point,) = waits.points
    waits = waits._replace(points=(point._replace(exemplars=(EXEMPLAR,) + (None,) * 15),))
    assert push(lambda: snapshot(waits, counter, other)).flush()
    metrics = receiver.next_metrics()
    for kept in (
        metrics[catalog.LOCK_WAIT_DURATION.otel_name()].histogram.data_points[0].exemplars,
        metrics[catalog.EPISODE_CREATED.otel_name()].sum.data_points[0].exemplars,
    ):
        assert [(e.trace_id.hex(), e.span_id.hex(), e.as_double) for e in kept] == [(TRACE_ID, SPAN_ID, EXEMPLAR.value)]
        assert kept[0].time_unix_nano == int(EXEMPLAR.timestamp * 1e9)
    (kept,) = metrics[catalog.RECALL_FALLBACKS.otel_name()].sum.data_points[0].exemplars
    assert {pair.key: pair.value.string_value for pair in kept.filtered_attributes} == dict(plain.labels)


def test_the_whole_catalog_arrives_sample_for_sample(push: Push, receiver: Receiver) -> None:
    shot = whole_catalog(exemplars=True)
    assert push(lambda: shot).flush()
    arrived = {}
    for name, metric in receiver.next_metrics().items():
        translated = prometheus_name(name, metric)
        data = getattr(metric, metric.WhichOneof("data"))
        for point in data.data_points:
            labels = frozenset(attributes(point).items())
            if metric.WhichOneof("data") == "histogram":
                arrived[f"{translated}_count", labels] = point.count
                arrived[f"{translated}_sum", labels] = point.sum
            else:
                arrived[translated, labels] = point.as_double
    assert arrived == {key: value for key, value in sample_values(shot).items() if not key[0].endswith("_bucket")}


def test_a_label_value_that_protobuf_cannot_hold_does_not_cost_the_push(push: Push, receiver: Receiver) -> None:
    assert push(lambda: snapshot(Family(catalog.CACHE_SIZE, (NumberPoint(("\ud800",), 1),)))).flush()
    (point,) = receiver.next_metrics()[catalog.CACHE_SIZE.otel_name()].gauge.data_points
    assert attributes(point) == {"cache": "?"}


def test_families_without_series_are_left_out(push: Push, receiver: Receiver) -> None:
    assert push(lambda: snapshot(Family(catalog.LOCK_WAIT_DURATION, ()), lookups(1, 1))).flush()
    assert list(receiver.next_metrics()) == [catalog.CACHE_LOOKUPS.otel_name()]


# Who sends, and with what -------------------------------------------------------------------------


def resource_of(receiver: Receiver) -> dict[str, str]:
    request, _ = receiver.next()
    (resource_metrics,) = request.resource_metrics
    (scope_metrics,) = resource_metrics.scope_metrics
    assert scope_metrics.scope.name == "mnemoscope"
    return {pair.key: pair.value.string_value for pair in resource_metrics.resource.attributes}


def test_the_resource_is_what_is_given_over_what_the_environment_says(
    push: Push, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,team=memory")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
    assert push(snapshot_of_one, resource_attributes={"team": "recall"}).flush()
    resource = resource_of(receiver)
    assert resource["service.name"] == "from-environment"
    assert (resource["team"], resource["deployment.environment.name"]) == ("recall", "test")
    assert resource["service.instance.id"]


def test_headers_reach_the_receiver(push: Push, receiver: Receiver) -> None:
    assert push(snapshot_of_one, headers={"x-scope-orgid": "tenant-1"}).flush()
    _, headers = receiver.next()
    assert headers["x-scope-orgid"] == "tenant-1"


def test_everything_can_come_from_the_standard_environment_variables(
    receiver: Receiver, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "nonsense, overruled by the variable for metrics")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "authorization=Bearer%20abc")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "50")
    pusher = OtlpPusher(snapshot_of_one)
    try:
        assert (pusher.protocol, pusher.interval) == (protocol, 0.05)
        _, headers = receiver.next()
        assert headers["authorization"] == "Bearer abc"
    finally:
        pusher.close()


@pytest.mark.parametrize("text", ["", "soon", "-5", "nan", "inf"])
def test_nonsense_in_the_interval_variable_means_the_default(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", text)
    with http_receiver() as receiver:
        pusher = OtlpPusher(snapshot_of_one, receiver.endpoint)
        assert pusher.interval == 10.0
        pusher.close()


def test_an_http_endpoint_with_a_path_is_left_as_it_is() -> None:
    with http_receiver() as receiver:
        for given, expected in (("", "/v1/metrics"), ("/", "/v1/metrics"), ("/otlp/v1/metrics", "/otlp/v1/metrics")):
            assert OtlpPusher(snapshot_of_one, receiver.endpoint + given, interval=NEVER).close()
            assert receiver.next()[1][":path"] == expected


# When, and what happens when it goes wrong --------------------------------------------------------


def snapshot_of_one() -> Snapshot:
    return snapshot(lookups(1, 1))


def test_it_pushes_by_itself_again_and_again(push: Push, receiver: Receiver) -> None:
    push(snapshot_of_one, interval=0.02)
    for _ in range(3):
        receiver.next()


def test_flushing_does_not_put_off_the_regular_pushes(push: Push, receiver: Receiver) -> None:
    pusher = push(snapshot_of_one, interval=1.0)
    for _ in range(2 * SECONDS):
        assert pusher.flush()
        receiver.next()
    # Deferred by an interval for each of them, the next one would come too late for this.
    receiver.next()


def test_closing_pushes_what_is_left_and_ends_the_thread(push: Push, receiver: Receiver) -> None:
    pusher = push(snapshot_of_one)
    assert pusher.close()
    assert receiver.next_metrics()
    assert pusher.close() is False
    assert pusher.flush() is False
    assert not pusher._thread.is_alive()


def test_a_push_that_is_refused_is_counted_and_the_next_one_is_tried(push: Push, receiver: Receiver) -> None:
    outcomes: list[str] = []
    scrapes: list[str] = []
    pusher = push(snapshot_of_one, on_export=outcomes.append, on_scrape=lambda name, _seconds: scrapes.append(name))
    receiver.failing = True
    assert pusher.flush() is False
    receiver.failing = False
    assert pusher.flush() is True
    assert (outcomes, scrapes) == (["error", "ok"], ["otlp", "otlp"])


def test_a_receiver_that_is_not_there_is_an_error_that_raises_nothing(protocol: str, free_port: int) -> None:
    outcomes: queue.Queue[str] = queue.Queue()
    pusher = OtlpPusher(
        snapshot_of_one, f"http://127.0.0.1:{free_port}", protocol, NEVER, timeout=0.3, on_export=outcomes.put
    )
    assert pusher.flush() is False
    assert outcomes.get(timeout=SECONDS) == "error"
    pusher.close(timeout=2.0)


def test_closing_ends_the_wait_for_a_retry(protocol: str, free_port: int) -> None:
    # Left alone, the exporter would wait for half a minute between its tries.
    pusher = OtlpPusher(snapshot_of_one, f"http://127.0.0.1:{free_port}", protocol, NEVER, timeout=3600.0)
    assert pusher.flush(timeout=0.2) is False
    assert pusher.close(timeout=0.1) is False
    pusher._thread.join(SECONDS)
    assert not pusher._thread.is_alive()


def test_flush_and_close_return_in_time_though_the_receiver_hangs(push: Push, receiver: Receiver) -> None:
    receiver.answering.clear()
    pusher = push(snapshot_of_one, timeout=3600.0)
    assert pusher.flush(timeout=0.1) is False
    assert receiver.arrived.wait(SECONDS)
    # That these two come back at all, long before the hour is over, is the point.
    assert pusher.close(timeout=0.1) is False
    receiver.answering.set()


def test_an_exception_in_collection_or_in_a_hook_does_not_end_the_pusher(
    push: Push, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    shots = iter([RuntimeError("no snapshot"), snapshot_of_one()])

    def collect() -> Snapshot:
        shot = next(shots)
        if isinstance(shot, RuntimeError):
            raise shot
        return shot

    pusher = push(collect, on_export=lambda _outcome: 1 / 0)
    assert pusher.flush() is False
    assert pusher.flush() is True
    assert "no snapshot" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert receiver.next_metrics()


def test_many_threads_may_flush_at_once(push: Push) -> None:
    pusher = push(snapshot_of_one)
    results: list[bool] = []
    threads = [threading.Thread(target=lambda: results.append(pusher.flush(SECONDS))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert results == [True] * 8


# Delta temporality --------------------------------------------------------------------------------


@pytest.fixture
def _delta(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "DELTA")


@pytest.mark.usefixtures("_delta")
def test_deltas_are_what_was_added_since_the_last_push_that_succeeded(push: Push, receiver: Receiver) -> None:
    shots = iter(
        [
            snapshot(lookups(3, 1), lock_waits(1, 1, total=1.0), taken=STARTED + 10),
            snapshot(lookups(4, 1), lock_waits(2, 1, total=3.0), taken=STARTED + 20),  # refused
            snapshot(lookups(9, 1), lock_waits(5, 1, total=4.0), taken=STARTED + 30),
        ]
    )
    pusher = push(lambda: next(shots))
    seen = []
    for failing in (False, True, False):
        receiver.failing = failing
        assert pusher.flush() is not failing
        if not failing:
            metrics = receiver.next_metrics()
            total = metrics[catalog.CACHE_LOOKUPS.otel_name()].sum
            buckets = metrics[catalog.LOCK_WAIT_DURATION.otel_name()].histogram
            assert total.aggregation_temporality == buckets.aggregation_temporality == DELTA
            (point,) = buckets.data_points
            seen.append((
                [p.as_double for p in total.data_points], list(point.bucket_counts)[:2], point.count, point.sum,
                point.start_time_unix_nano / 1e9 - STARTED, point.time_unix_nano / 1e9 - STARTED,
            ))  # fmt: skip
    assert seen == [([3, 1], [1, 1], 2, 1.0, 0, 10), ([6, 0], [4, 0], 4, 3.0, 10, 30)]


@pytest.mark.usefixtures("_delta")
def test_a_series_that_was_reset_counts_whole_and_a_gauge_has_no_delta(push: Push, receiver: Receiver) -> None:
    def shot(hits: float, waits: int) -> Snapshot:
        level = Family(catalog.COMPLETION_IN_FLIGHT, (NumberPoint((), hits),))
        return snapshot(lookups(hits, 0), lock_waits(waits), level)

    shots = iter([shot(10, 10), shot(2, 3)])
    pusher = push(lambda: next(shots))
    for hits, waits in ((10, 10), (2, 3)):
        assert pusher.flush()
        metrics = receiver.next_metrics()
        assert metrics[catalog.CACHE_LOOKUPS.otel_name()].sum.data_points[0].as_double == hits
        assert metrics[catalog.LOCK_WAIT_DURATION.otel_name()].histogram.data_points[0].count == waits
        assert metrics[catalog.COMPLETION_IN_FLIGHT.otel_name()].gauge.data_points[0].as_double == hits


# Names --------------------------------------------------------------------------------------------


def prometheus_name(name: str, metric: Any) -> str:
    """Return the name that Prometheus gives an OTLP metric, by its documented rule.

    https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ and Prometheus' own
    translator: words of letters and digits, the unit unless a word contains it, `ratio` for gauges of unit 1, `total`.
    """
    words = "".join(c if c.isalnum() else " " for c in name).split()
    unit = {"s": "seconds", "By": "bytes", "1": ""}.get(metric.unit, "" if "{" in metric.unit else metric.unit)
    if unit and unit not in words:
        words.append(unit)
    kind = metric.WhichOneof("data")
    if kind == "sum" and metric.sum.is_monotonic:
        words = [word for word in words if word != "total"] + ["total"]
    if kind == "gauge" and metric.unit == "1":
        words = [word for word in words if word != "ratio"] + ["ratio"]
    return "_".join(words)


def test_prometheus_derives_the_scraped_name_from_every_otlp_name() -> None:
    with http_receiver() as receiver:
        assert OtlpPusher(whole_catalog, receiver.endpoint, interval=NEVER).close()
        metrics = receiver.next_metrics()
    derived = {name: prometheus_name(name, metric) for name, metric in metrics.items()}
    assert derived == {metric.otel_name(): metric.prometheus_name() for metric in CATALOG}
    assert {metric.kind for metric in CATALOG} == set(Kind)


# Processes ----------------------------------------------------------------------------------------

FORKING = """
import os, sys
sys.path.insert(0, sys.argv[3])
from exporter_samples import lookups, snapshot
from mnemoscope.instrumentation.exporters.otlp.pusher import OtlpPusher

pusher = OtlpPusher(lambda: snapshot(lookups(1, 1)), sys.argv[1], sys.argv[2], interval=3600)
assert pusher.flush()
child = os.fork()
if child == 0:
    os._exit(0 if pusher.flush() else 1)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_pushes_as_an_instance_of_its_own_and_the_parent_once_more_at_its_end(
    receiver: Receiver, protocol: str
) -> None:
    here = __file__.rsplit("/", 1)[0]
    subprocess.run([sys.executable, "-c", FORKING, receiver.endpoint, protocol, here], check=True, timeout=60)
    parent, child, at_exit = (resource_of(receiver)["service.instance.id"] for _ in range(3))
    assert parent != child
    assert parent == at_exit


@pytest.mark.slow
def test_a_process_ends_in_time_though_the_receiver_is_gone(free_port: int, protocol: str) -> None:
    script = FORKING.split("assert pusher.flush()")[0]
    here = __file__.rsplit("/", 1)[0]
    address = f"http://127.0.0.1:{free_port}"
    subprocess.run([sys.executable, "-c", script, address, protocol, here], check=True, timeout=60)


def test_without_opentelemetry_the_error_names_the_extra_to_install() -> None:
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "try: import mnemoscope.instrumentation.exporters.otlp.pusher\n"
        "except ImportError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert "pip install 'mnemoscope[otlp]'" in run.stdout


def test_the_instance_id_may_be_given(push: Push, receiver: Receiver) -> None:
    assert push(snapshot_of_one, resource_attributes={"service.instance.id": "memory-0"}).flush()
    assert resource_of(receiver)["service.instance.id"] == "memory-0"
