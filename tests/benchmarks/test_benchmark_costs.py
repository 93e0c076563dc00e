"""The loops that measure a cost per call: they run what they are given, and subtract what they say."""

from __future__ import annotations

import pytest

from benchmarks.percall import MINIMUM_CALLS, in_threads, per_await, per_call


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


def test_a_thousand_additions_cost_more_than_one() -> None:
    numbers = range(1_000)

    assert per_call("sum(numbers)", numbers=numbers)() > 100 * abs(per_call("work()")())


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
