"""What the figures are made of: they run what they are given, and count, time and subtract what they say."""

from __future__ import annotations

import os
import time
from itertools import count

import pytest

from benchmarks.cases import memory, processes, tail
from benchmarks.percall import MINIMUM_CALLS, in_threads, per_await, per_call
from mnemoscope import catalog
from mnemoscope.instrumentation import Registry
from mnemoscope.instrumentation.recording.journal import LIMIT


class Calls:
    """Counts how often it was called."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def test_a_sample_runs_the_statement_at_least_as_often_as_it_says() -> None:
    calls = Calls()
    sample = per_call("f()", f=calls)
    before = calls.count

    sample()

    assert calls.count - before >= MINIMUM_CALLS


def test_statement_and_baseline_run_equally_often() -> None:
    measured, bare = Calls(), Calls()
    sample = per_call("f()", baseline="g()", f=measured, g=bare)
    before = measured.count

    sample()

    assert bare.count == measured.count - before


class Clock:
    """Stands still but for what calls take; in seconds, as binary fractions so that sums are exact."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


def test_a_cost_is_that_of_the_statement_over_that_of_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("benchmarks.percall.time.process_time", clock)

    sample = per_call("spend(2.0**-17)", baseline="spend(2.0**-18)", spend=clock.spend)

    assert sample() == 2.0**-18 * 1e9


def test_a_percentile_is_not_exceeded_by_that_share_of_the_calls_and_nothing_is_taken_off() -> None:
    number = count()
    clock = Clock()

    def call() -> None:
        # Of a hundred calls one takes 4 s, of a thousand one 16 s, any other 1 s.
        of = next(number)
        clock.spend(16 if of % 1_000 == 7 else 4 if of % 100 == 3 else 1)

    found = [tail.percentile(percent, call, clock)() for percent in (50, 98.8, 99, 99.8, 99.9)]

    assert found[:2] == [1, 1]
    assert found[3] == 4
    assert 1 < found[2] <= 4 < found[4] <= 16


def test_the_cpu_time_of_another_process_is_that_of_its_work() -> None:
    asking, ask = os.pipe()
    answering, answer = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.read(asking, 1)
            sum(range(100_000))
            os.write(answer, repr(time.process_time()).encode())
            os.read(asking, 1)
        finally:
            os._exit(0)

    before = processes.cpu_seconds(process)
    os.write(ask, b"1")
    own = float(os.read(answering, 100))
    after = processes.cpu_seconds(process)
    os.write(ask, b"1")
    os.waitpid(process, 0)

    assert before < own <= after


def test_a_series_under_traffic_is_measured_when_its_journal_is_full() -> None:
    series = Registry().histogram(catalog.RECALL_DURATION, path="flat", outcome="ok")

    for _ in range(memory.traffic()):
        series.observe(0.02)

    assert len(series.journal) == LIMIT
    series.observe(0.02)
    assert len(series.journal) == 1


async def test_an_await_is_measured_without_an_event_loop() -> None:
    calls = Calls()

    async def call() -> None:
        calls()

    per_await("await f()", f=call)()

    assert calls.count >= MINIMUM_CALLS


def test_an_await_that_really_waits_is_refused() -> None:
    class Waits:
        def __await__(self):  # type: ignore[no-untyped-def]  # the simplest awaitable that suspends
            yield

    with pytest.raises(RuntimeError, match="waits"):
        per_await("await w", w=Waits())


@pytest.mark.parametrize("threads", [1, 8])
def test_the_number_of_calls_is_the_same_whatever_the_number_of_threads(threads: int) -> None:
    seen: list[None] = []

    in_threads(threads, "seen.append(None)", seen=seen)()

    assert len(seen) == 8 * 20_000
