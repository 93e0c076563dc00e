"""Samplers of the cost of one call, block or increment, above the same code without it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from itertools import repeat
from typing import Any

Clock = Callable[[], float]
Sampler = Callable[[], float]
Loop = Callable[[int], float]

LOAD_VARIABLE = "BENCHMARKS_LOAD"
LOAD = float(os.environ.get(LOAD_VARIABLE, "1"))


def scaled(amount: int) -> int:
    """Return an amount of work; return less in a run that only tests the harness, whose figures then mean nothing."""
    return max(1, int(amount * LOAD))


SAMPLE_SECONDS = 0.01 * LOAD
MINIMUM_CALLS = scaled(5_000)
"""Enough that each sample includes work that is deferred to every hundredth call, for example."""
CALLS_PER_THREAD = scaled(20_000)
"""Enough for threads to take turns: the interpreter switches every 5 ms."""
NANOSECONDS = 1e9

_TEMPLATE = """
{define} loop(calls):
    started = clock()
    for _ in repeat(None, calls):
        {statement}
    return clock() - started
"""


def work() -> None:
    """Do nothing: what every measured wrapper wraps."""


async def async_work() -> None:
    """Do the same as a coroutine."""


def per_call(statement: str, baseline: str = "work()", **names: Any) -> Sampler:
    """Sample the CPU time of `statement` above that of `baseline` in nanoseconds; `names` are the names that it uses.

    CPU time leaves out the time of other processes. Each sample measures the baseline again, just before the
    statement.
    """
    return _over(_loop(statement, names), _loop(baseline, names))


def per_await(statement: str, baseline: str = "await async_work()", **names: Any) -> Sampler:
    """Sample the same for a statement with `await`; nothing in it may suspend."""
    return _over(_async_loop(statement, names), _async_loop(baseline, names))


def in_threads(
    count: int, statement: str, baseline: str = "work()", *, clock: Clock = time.process_time, **names: Any
) -> Sampler:
    """Sample nanoseconds per call above the baseline, with `count` concurrent threads.

    The number of calls does not depend on the number of threads. The CPU time is that of all threads, and includes the
    time to wake each other.
    """
    total = 8 * CALLS_PER_THREAD
    loops = [_loop(text, names) for text in (baseline, statement)]

    def sample() -> float:
        bare, measured = (_together(loop, count, total // count, clock) for loop in loops)
        return (measured - bare) / total * NANOSECONDS

    return sample


def _over(measured: Loop, bare: Loop) -> Sampler:
    calls = _calibrated(measured)

    def sample() -> float:
        baseline = bare(calls)
        return (measured(calls) - baseline) / calls * NANOSECONDS

    return sample


def _calibrated(loop: Loop) -> int:
    loop(MINIMUM_CALLS)
    once = loop(MINIMUM_CALLS) / MINIMUM_CALLS
    return max(MINIMUM_CALLS, int(SAMPLE_SECONDS / max(once, 1e-9)))


def _compiled(define: str, statement: str, names: dict[str, Any], clock: Clock) -> Callable[..., Any]:
    # Compiled from source, as timeit does: a call through a variable would cost as much as the measured call.
    namespace = {"work": work, "async_work": async_work, "repeat": repeat, "clock": clock, **names}
    exec(_TEMPLATE.format(define=define, statement=statement), namespace)
    loop: Callable[..., Any] = namespace["loop"]
    return loop


def _loop(statement: str, names: dict[str, Any]) -> Loop:
    return _compiled("def", statement, names, time.process_time)


def _async_loop(statement: str, names: dict[str, Any]) -> Loop:
    coroutine_function = _compiled("async def", statement, names, time.process_time)

    def loop(calls: int) -> float:
        # Without an event loop, whose cost is not measured here.
        try:
            coroutine_function(calls).send(None)
        except StopIteration as end:
            return float(end.value)
        raise RuntimeError(f"{statement!r} waits; a cost per call is measured on what does not")

    return loop


def _together(loop: Loop, threads: int, calls: int, clock: Clock) -> float:
    """Return the seconds from the moment when all threads are ready until the last one is done."""
    began: list[float] = []
    barrier = threading.Barrier(threads, action=lambda: began.append(clock()))

    def run() -> None:
        barrier.wait()
        loop(calls)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return clock() - began[0]
