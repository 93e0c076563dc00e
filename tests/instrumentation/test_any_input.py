"""Feed anything to every recording call, in any order, and compare what is exported with a plain model."""

from __future__ import annotations

import json
import math
import os
from collections import Counter as Tally
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from interrupts import interrupted_at
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.instrumentation.exporters.formats.json_document import render_json
from mnemoscope.instrumentation.exporters.formats.openmetrics import render_openmetrics
from mnemoscope.instrumentation.exporters.formats.text import render_text
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint, NumberPoint

pytestmark = pytest.mark.slow

# Which values are numbers -----------------------------------------------------------------------------------

LARGEST = 1e292


def good(value: Any) -> tuple[Any, float]:
    return value, float(value)


def one_of(values: list[Any]) -> st.SearchStrategy[Any]:
    """Choose by number: Hypothesis hashes what it samples from, which some of these values refuse."""
    return st.integers(0, len(values) - 1).map(lambda number: values[number])


FINITE = st.floats(min_value=-1e200, max_value=1e200)
NUMBERS = st.one_of(
    FINITE.map(good),
    st.integers(-(10**20), 10**20).map(good),
    st.booleans().map(good),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9).map(good),
    st.fractions(max_denominator=10**6).map(good),
    st.floats(width=32, min_value=-(2.0**60), max_value=2.0**60).map(lambda x: good(np.float32(x))),
    st.integers(-128, 127).map(lambda x: good(np.int8(x))),
    st.booleans().map(lambda x: good(np.bool_(x))),
    st.floats(0, 1).map(lambda x: good(np.float64(x))),
)


class Hostile:
    """An object whose every operation raises."""

    def _raise(self, *_arguments: object) -> Any:
        raise RuntimeError("hostile")

    __str__ = __repr__ = __float__ = __bool__ = __len__ = __iter__ = __eq__ = __hash__ = __lt__ = __call__ = _raise  # type: ignore[assignment]


class Liar(str):
    """A text that is equal to nothing and cannot be hashed."""

    def __eq__(self, other: object) -> bool:
        raise KeyError("liar")

    def __hash__(self) -> int:
        raise OSError("liar")

    def __str__(self) -> str:
        return self


class Colour(Enum):
    RED = "red"
    NUMBER = 7


BAD_NUMBERS = one_of(
    [
        *(math.nan, math.inf, -math.inf, 10**400, -(10**400), Decimal("NaN"), Decimal("Infinity"), Decimal("sNaN")),
        *(1e300, -1e300, np.float32("nan"), np.float64("inf")),
        *(None, "", "1", b"1", [], [1], {}, set(), object(), Hostile(), lambda: 1, int, 1j, np.complex64(1)),
        *(np.array([1.0]), np.array(1.0), np.array([1, 2]), Ellipsis, Colour.RED, UUID(int=1)),
    ]
)
TEXTS = st.one_of(st.text(max_size=150), st.sampled_from(["", "other", "read", "\ud800", "a\nb", 'q"\\', "x" * 500]))
LABELS = st.one_of(
    TEXTS,
    one_of(
        [
            None,
            7,
            1.5,
            b"x",
            UUID(int=7),
            Colour.RED,
            Colour.NUMBER,
            Hostile(),
            Liar("liar"),
            [],
            {},
            object(),
            np.int8(3),
        ]
    ),
)
ANYTHING = st.one_of(NUMBERS.map(lambda pair: pair[0]), BAD_NUMBERS, LABELS)
EXEMPLAR_NAMES = st.sampled_from(["trace_id", "span_id", "9x", "a b", "é", "", 7, None])
EXEMPLARS = st.one_of(
    st.none(),
    st.dictionaries(EXEMPLAR_NAMES, LABELS, max_size=3),
    one_of(["text", 7, [("trace_id", "1")], Hostile(), {"trace_id": Hostile()}]),
)
STEPS = st.integers(1, 400)


def model_number(pair_or_bad: Any, least: float) -> float | None:
    """Return the number that must be recorded for a value; None if the value must be dropped."""
    kind, value = pair_or_bad
    if kind == "bad" or not math.isfinite(value) or abs(value) > LARGEST or value < least:
        return None
    return float(value)


VALUES = st.one_of(NUMBERS.map(lambda p: (p[0], ("good", p[1]))), BAD_NUMBERS.map(lambda b: (b, ("bad", math.nan))))


class AnyInput(RuleBasedStateMachine):
    """Every public recording call, with anything, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = scope.Registry(max_label_sets=8)
        self.counts = 0.0
        self.counted: list[float] = []
        self.observed: list[float] = []
        self.gauge = 0.0
        self.results: list[float] = []
        self.lookups = Tally[str]()
        self.outcomes = Tally[str]()
        self.writes = self.labelled = self.stored = self.maybe = 0
        self.counter = self.registry.counter(m.CACHE_STALE_READS, cache="fixed")
        self.histogram = self.registry.histogram(m.LOCK_WAIT_DURATION, lock="fixed", mode="read")
        self.level = self.registry.gauge(m.COMPLETION_QUEUE_DEPTH)

    @rule(value=VALUES, exemplar=EXEMPLARS)
    def count(self, value: Any, exemplar: Any) -> None:
        self.counter.inc(value[0], exemplar)
        self.counted += [x for x in [model_number(value[1], 0.0)] if x is not None]

    @rule(value=VALUES, exemplar=EXEMPLARS)
    def observe(self, value: Any, exemplar: Any) -> None:
        self.histogram.observe(value[0], exemplar)
        self.observed += [x for x in [model_number(value[1], 0.0)] if x is not None]

    @rule(value=VALUES, how=st.sampled_from(["set", "inc", "dec"]))
    def change_gauge(self, value: Any, how: str) -> None:
        getattr(self.level, how)(value[0])
        number = model_number(value[1], -LARGEST)
        if number is not None:
            self.gauge = {"set": number, "inc": self.gauge + number, "dec": self.gauge - number}[how]

    @rule(label=LABELS, value=VALUES)
    def count_under_any_label(self, label: Any, value: Any) -> None:
        self.registry.counter(m.CACHE_EVICTIONS, cache=label).inc(value[0])
        self.registry.histogram(m.LOCK_HOLD_DURATION, lock=label, mode=label).observe(1)
        self.registry.gauge(m.INDEX_ENTRIES, index=label).set(value[0])
        self.labelled += 1

    @rule(index=LABELS, outcome=ANYTHING)
    def write(self, index: Any, outcome: Any) -> None:
        with scope.index_write(index, registry=self.registry) as operation:
            operation.outcome = outcome
        assert operation.seconds is not None
        self.writes += 1

    @rule(results=VALUES, diversity=VALUES, decorated=st.booleans())
    def recall(self, results: Any, diversity: Any, decorated: bool) -> None:
        if decorated:
            probe = scope.recall("flat", results=lambda _found: results[0], registry=self.registry)
            assert probe(lambda: "found")() == "found"
        else:
            with scope.recall("flat", registry=self.registry) as operation:
                operation.results, operation.diversity = results[0], diversity[0]
        number = model_number(results[1], 0.0)
        if results[0] is not None and number is not None:
            self.results.append(number)

    @rule(hit=ANYTHING, decorated=st.booleans())
    def look_up(self, hit: Any, decorated: bool) -> None:
        if decorated:
            assert scope.cache_lookup("c", is_hit=lambda _r: hit, registry=self.registry)(lambda: "value")() == "value"
        else:
            with scope.cache_lookup("c", registry=self.registry) as lookup:
                lookup.hit = hit
        try:
            self.lookups["hit" if hit else "miss"] += 1
        except Exception:
            pass

    @rule(label=LABELS, kind=ANYTHING, fails=st.booleans(), predicate=ANYTHING)
    def store(self, label: Any, kind: Any, fails: bool, predicate: Any) -> None:
        @scope.per_call(
            scope.storage,
            backend=lambda: label,
            operation="load",
            kind=lambda _e: kind,
            is_error=lambda _e: predicate,
            registry=self.registry,
        )
        def load() -> None:
            if fails:
                raise KeyError

        try:
            load()
        except KeyError:
            assert fails
        self.stored += 1

    @rule(episodes=ANYTHING, concepts=ANYTHING)
    def consolidate(self, episodes: Any, concepts: Any) -> None:
        with scope.consolidation(registry=self.registry) as run:
            run.episodes, run.concepts = episodes, concepts

    @rule(answer=ANYTHING, raises=st.booleans())
    def ask(self, answer: Any, raises: bool) -> None:
        def function() -> Any:
            if raises:
                raise ValueError
            return answer

        self.registry.gauge(m.SERVICE_READY).set_function(function)

    @rule(step=STEPS)
    def be_interrupted(self, step: int) -> None:
        interrupted_at(step, lambda: [self.counter.inc(0.0) for _ in range(120)])
        interrupted_at(step, lambda: self.histogram.point())

    @rule()
    @precondition(lambda self: len(self.counted) % 5 == 0)
    def fork(self) -> None:
        child = os.fork()
        if child == 0:
            try:
                self.counter.inc(2)
                fine = self.counter.point().value == 2 and self.histogram.point().observations == 0
                self.scrape()
                os._exit(0 if fine else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    @invariant()
    def totals_are_those_of_the_model(self) -> None:
        assert self.counter.point().value == pytest.approx(math.fsum(self.counted))
        point = self.histogram.point()
        assert point.observations == len(self.observed)
        assert point.sum == pytest.approx(math.fsum(self.observed))
        assert type(point.sum) is type(self.counter.point().value) is float

    def points(self, metric: m.Metric) -> list[NumberPoint | HistogramPoint]:
        return [p for f in self.registry.snapshot().families if f.metric is metric for p in f.points]

    def count_of(self, metric: m.Metric) -> int:
        return sum(p.observations for p in self.points(metric) if isinstance(p, HistogramPoint))

    @rule()
    def scrape(self) -> None:
        shot = self.registry.snapshot()
        list(parse_text(b"".join(render_text(shot)).decode()))
        list(parse_openmetrics(b"".join(render_openmetrics(shot)).decode()))
        json.loads(b"".join(render_json(shot)))

    @rule()
    def compare(self) -> None:
        assert self.count_of(m.INDEX_WRITE_DURATION) == self.writes
        assert self.count_of(m.LOCK_HOLD_DURATION) == self.labelled
        assert self.count_of(m.STORAGE_OPERATION_DURATION) == self.stored
        assert self.count_of(m.RECALL_RESULTS) == len(self.results)
        found = {p.labels[1]: p.value for p in self.points(m.CACHE_LOOKUPS) if isinstance(p, NumberPoint)}
        assert {key: n for key, n in found.items() if n} == dict(self.lookups)
        level = [p.value for p in self.points(m.COMPLETION_QUEUE_DEPTH) if isinstance(p, NumberPoint)]
        assert level == [pytest.approx(self.gauge)] or not math.isfinite(self.gauge)

    def teardown(self) -> None:
        self.scrape()
        self.compare()


TestAnyInput = AnyInput.TestCase
TestAnyInput.settings = settings(
    max_examples=80, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
