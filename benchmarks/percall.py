"""Samplers of what one call, block or increment costs, over the same code without it."""

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
    """Return an amount of work; less of it in a run that only tries the harness, whose figures then mean nothing."""
    return max(1, int(amount * LOAD))


SAMPLE_SECONDS = 0.01 * LOAD
MINIMUM_CALLS = scaled(5_000)
"""Enough that work put off to every hundredth call, say, is paid for in each sample."""
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
    """Sample nanoseconds of CPU time that `statement` costs over `baseline`; `names` are what it refers to.

    CPU time, since it leaves out what other processes took of the machine meanwhile. The baseline is measured
    anew in each sample, right before the statement.
    """
    return _over(_loop(statement, names), _loop(baseline, names))


def per_await(statement: str, baseline: str = "await async_work()", **names: Any) -> Sampler:
    """Sample the same for a statement with `await` in it; nothing in it may really wait."""
    return _over(_async_loop(statement, names), _async_loop(baseline, names))


def in_threads(
    count: int, statement: str, baseline: str = "work()", *, clock: Clock = time.process_time, **names: Any
) -> Sampler:
    """Sample nanoseconds per call over the baseline, with `count` threads that call at once.

    The number of calls is the same whatever the number of threads. The CPU time is that of all threads, what they
    spend on waking each other included.
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
    # Written out as source, as timeit does it: a call through a variable would cost as much as what is measured.
    namespace = {"work": work, "async_work": async_work, "repeat": repeat, "clock": clock, **names}
    exec(_TEMPLATE.format(define=define, statement=statement), namespace)
    loop: Callable[..., Any] = namespace["loop"]
    return loop


def _loop(statement: str, names: dict[str, Any]) -> Loop:
    return _compiled("def", statement, names, time.process_time)


def _async_loop(statement: str, names: dict[str, Any]) -> Loop:
    coroutine_function = _compiled("async def", statement, names, time.process_time)

    def loop(calls: int) -> float:
        # Without an event loop, whose own cost is not what is measured.
        try:
            coroutine_function(calls).send(None)
        except StopIteration as end:
            return float(end.value)
        raise RuntimeError(f"{statement!r} waits; a cost per call is measured on what does not")

    return loop


def _together(loop: Loop, threads: int, calls: int, clock: Clock) -> float:
    """Return seconds from the moment at which all threads are there until the last one is done."""
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
