"""Values: numbers of every kind are recorded as floats; anything else is dropped alone, counted, and logged once."""

from __future__ import annotations

import inspect
import logging
import math
import threading
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from recorded import outcomes, value
from support.ids import shown

import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.instrumentation.exporters.formats.openmetrics import render_openmetrics
from mnemoscope.instrumentation.recording.journal import LIMIT


@pytest.fixture
def registry() -> scope.Registry:
    return scope.Registry()


GOOD = [
    *(True, 1, 0.5, Decimal("0.7"), Fraction(1, 3), np.float32(0.1), np.float64(0.5), np.float16(2)),
    *(np.int64(3), np.uint8(200), np.bool_(True), 10**30),
]
BAD = [
    *((x, "wrong_type") for x in (None, "1", b"1", [1.0], (1.0,), {}, object(), 1j, np.complex64(1), np.array([1.0]))),
    *((x, "wrong_type") for x in (np.array(1.0), lambda: 1.0, float, Decimal("sNaN"))),
    *((x, "not_finite") for x in (math.nan, math.inf, -math.inf, Decimal("NaN"), np.float32("nan"))),
    *((x, "overflow") for x in (10**400, 1e308, Fraction(10**400))),
]
NEGATIVE = [-1, -0.1, Decimal("-1"), -5e-324, np.int8(-1)]


def dropped(registry: scope.Registry, metric: m.Metric, reason: str) -> float:
    return registry.counter(m.INSTRUMENTATION_DROPPED, metric=metric.name, reason=reason).point().value


@pytest.mark.parametrize("number", GOOD, ids=shown)
def test_a_number_of_every_kind_is_recorded_as_a_float(registry: scope.Registry, number: Any) -> None:
    counter = registry.counter(m.CACHE_STALE_READS, cache="c")
    gauge = registry.gauge(m.INDEX_ENTRIES, index="s")
    histogram = registry.histogram(m.LOCK_WAIT_DURATION, lock="a", mode="read")
    counter.inc(number)
    gauge.set(number)
    histogram.observe(number)
    for found in (counter.point().value, gauge.point().value, histogram.point().sum):  # type: ignore[union-attr]
        assert found == float(number)
        assert type(found) is float


@pytest.mark.parametrize(("bad", "reason"), [*BAD, *((x, "negative") for x in NEGATIVE)], ids=shown)
def test_a_value_that_cannot_be_recorded_is_dropped_alone_and_counted_by_its_reason(
    registry: scope.Registry, bad: Any, reason: str
) -> None:
    counter = registry.counter(m.CACHE_STALE_READS, cache="c")
    histogram = registry.histogram(m.LOCK_WAIT_DURATION, lock="a", mode="read")
    for _ in range(LIMIT - 5):  # so that the dropped value is in the middle of a batch
        counter.inc(0.5)
        histogram.observe(0.5)
    counter.inc(bad)
    histogram.observe(bad, exemplar={"trace_id": "refused"})
    for _ in range(LIMIT):
        counter.inc(0.5)
        histogram.observe(0.5)
    assert counter.point().value == (2 * LIMIT - 5) * 0.5
    assert (histogram.point().observations, histogram.point().sum) == (2 * LIMIT - 5, (2 * LIMIT - 5) * 0.5)
    assert not any(histogram.point().exemplars), "a refused value leaves no exemplar"
    assert dropped(registry, m.CACHE_STALE_READS, reason) == dropped(registry, m.LOCK_WAIT_DURATION, reason) == 1


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=shown)
def test_a_gauge_keeps_its_value_after_a_value_that_cannot_be_recorded(
    registry: scope.Registry, bad: Any, reason: str
) -> None:
    gauge = registry.gauge(m.INDEX_ENTRIES, index="s")
    gauge.set(7)
    for change in (gauge.set, gauge.inc, gauge.dec):
        change(bad)
    assert gauge.point().value == 7  # type: ignore[union-attr]
    assert dropped(registry, m.INDEX_ENTRIES, reason) == 3


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=shown)
def test_a_gauge_whose_function_returns_no_number_is_left_out_of_the_scrape(
    registry: scope.Registry, bad: Any, reason: str
) -> None:
    gauge = registry.gauge(m.INDEX_ENTRIES, index="s")
    gauge.set_function(lambda: bad)
    assert gauge.point() is None
    assert dropped(registry, m.INDEX_ENTRIES, reason) == 1


def test_small_numpy_floats_do_not_shrink_a_total(registry: scope.Registry) -> None:
    counter = registry.counter(m.CACHE_STALE_READS, cache="c")
    counter.inc(np.float32(2**24))
    for _ in range(10):
        counter.inc(np.float32(1))
    assert counter.point().value == 2**24 + 10


def test_sums_stay_finite_whatever_is_recorded(registry: scope.Registry) -> None:
    histogram = registry.histogram(m.LOCK_WAIT_DURATION, lock="a", mode="read")
    for _ in range(3 * LIMIT):
        histogram.observe(1e308)
        histogram.observe(1e292)
    assert math.isfinite(histogram.point().sum)
    assert histogram.point().observations == 3 * LIMIT


# Attributes of a block ------------------------------------------------------------------------------


def test_a_bad_attribute_of_a_block_never_raises_and_loses_no_other_recording(
    registry: scope.Registry,
) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError

    with scope.consolidation(registry=registry) as run:
        run.episodes, run.concepts = None, 3  # type: ignore[assignment]
    with scope.recall("flat", registry=registry) as recall:
        recall.results = [1]  # type: ignore[assignment]
    with scope.cache_lookup("redb", registry=registry) as lookup:
        lookup.hit = np.array([True, False])  # type: ignore[assignment]
    with scope.index_write("s", registry=registry) as write:
        write.outcome = []  # type: ignore[assignment]
    with scope.index_write(Unprintable(), registry=registry):  # type: ignore[arg-type]
        pass
    assert (value(registry, m.CONSOLIDATION_EPISODES), value(registry, m.CONCEPT_FORMED)) == (0, 3)
    assert value(registry, m.RECALL_DURATION, "flat", "ok") == 1
    assert value(registry, m.RECALL_RESULTS, "flat") == value(registry, m.RECALL_EMPTY, "flat") == 0
    assert value(registry, m.CACHE_LOOKUP_DURATION, "redb") == 1
    assert [value(registry, m.CACHE_LOOKUPS, "redb", r) for r in ("hit", "miss", "error")] == [0, 0, 0]
    assert outcomes(registry) == (1, 0, 0)
    assert value(registry, m.INDEX_WRITE_DURATION, "other", "ok") == 1
    for metric, reason in (
        (m.CONSOLIDATION_EPISODES, "wrong_type"),
        (m.RECALL_RESULTS, "wrong_type"),
        (m.CACHE_LOOKUPS, "wrong_type"),
        (m.INDEX_WRITE_DURATION, "wrong_type"),
        (m.INDEX_WRITE_DURATION, "label_value"),
    ):
        assert dropped(registry, metric, reason) == 1, (metric.name, reason)


class Store(Enum):
    PRIMARY = "turso"


@pytest.mark.parametrize(
    ("label", "text"),
    [(Store.PRIMARY, "turso"), (UUID(int=7), str(UUID(int=7))), (7, "7"), (None, "None"), (np.int64(3), "3")],
)
def test_a_label_value_is_written_as_readable_text(registry: scope.Registry, label: Any, text: str) -> None:
    with scope.storage(label, "load", registry=registry):
        pass
    registry.counter(m.CACHE_STALE_READS, cache=label).inc()
    assert value(registry, m.STORAGE_OPERATION_DURATION, text, "load", "ok") == 1
    assert value(registry, m.CACHE_STALE_READS, text) == 1


# Exemplars ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "exemplar",
    [
        {"trace id": "1"},
        {"9x": "1"},
        {"": "1"},
        {7: "1"},
        {"trace_id": "x" * 200},
        {"trace_id": 'q"\\'},
        "trace",
        7,
        [("trace_id", "1")],
    ],
    ids=shown,
)
def test_an_exemplar_that_openmetrics_cannot_carry_is_dropped_and_its_observation_recorded(
    registry: scope.Registry, exemplar: Any
) -> None:
    histogram = registry.histogram(m.LOCK_WAIT_DURATION, lock="a", mode="read")
    counter = registry.counter(m.CACHE_STALE_READS, cache="c")
    histogram.observe(0.5, exemplar=exemplar)
    counter.inc(1, exemplar=exemplar)
    assert (histogram.point().observations, counter.point().value) == (1, 1)
    assert not any(histogram.point().exemplars)
    assert (
        dropped(registry, m.LOCK_WAIT_DURATION, "exemplar") == dropped(registry, m.CACHE_STALE_READS, "exemplar") == 1
    )
    list(parse_openmetrics(b"".join(render_openmetrics(registry.snapshot())).decode()))


def test_an_exemplars_values_are_written_as_text(registry: scope.Registry) -> None:
    histogram = registry.histogram(m.LOCK_WAIT_DURATION, lock="a", mode="read")
    histogram.observe(0.5, exemplar={"trace_id": UUID(int=1), "attempt": 2})
    families = parse_openmetrics(b"".join(render_openmetrics(registry.snapshot())).decode())
    found = [s.exemplar.labels for f in families for s in f.samples if s.exemplar is not None]
    assert found == [{"trace_id": str(UUID(int=1)), "attempt": "2"}]


# Strict mode ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bad", "reason"), [*BAD, *((x, "negative") for x in NEGATIVE)], ids=shown)
def test_strict_mode_raises_in_the_call_whose_recording_is_dropped(bad: Any, reason: str) -> None:
    registry = scope.Registry(strict=True)
    calls: list[Callable[[Any], None]] = [
        registry.counter(m.CACHE_STALE_READS, cache="c").inc,
        registry.histogram(m.LOCK_WAIT_DURATION, lock="a", mode="read").observe,
    ]
    for call in calls:
        with pytest.raises(scope.RecordingError, match=rf"recording dropped \({reason}"):
            call(bad)
    with (
        pytest.raises(scope.RecordingError, match=r"recall\.results: recording dropped"),
        scope.recall("flat", registry=registry) as recall,
    ):
        recall.results = "many"  # type: ignore[assignment]


# The log --------------------------------------------------------------------------------------------


def test_the_first_dropped_recording_of_each_kind_is_logged_once_with_metric_reason_and_place(
    registry: scope.Registry, caplog: pytest.LogCaptureFixture
) -> None:
    histogram = registry.histogram(m.LOCK_WAIT_DURATION, lock="a", mode="read")
    with caplog.at_level(logging.WARNING, "mnemoscope"):
        for _ in range(3):
            histogram.observe(["secret"])  # type: ignore[arg-type]
        line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
        histogram.observe(-1)
        registry.snapshot()
        registry.snapshot()
    dropped, counted = "lock.wait.duration: recording dropped", "further ones are only counted"
    assert [record.getMessage() for record in caplog.records] == [
        f"{dropped} (wrong_type, given list) at {__file__}:{line}; {counted}",
        f"{dropped} (negative, given int) at {__file__}:{line + 2}; {counted}",
    ]


def test_a_dropped_recording_inside_a_lock_that_the_log_handler_takes_does_not_hang(registry: scope.Registry) -> None:
    lock = threading.Lock()
    logged: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert lock.acquire(blocking=False)
            logged.append(record.getMessage())
            lock.release()

    handler = Handler()
    logger = logging.getLogger("mnemoscope")
    logger.addHandler(handler)
    try:
        with lock:
            registry.counter(m.CACHE_STALE_READS, cache="c").inc(-1)
        registry.snapshot()
    finally:
        logger.removeHandler(handler)
    assert len(logged) == 1
