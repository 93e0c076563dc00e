"""The time of the slowest of many single calls: each is timed separately, and nothing is subtracted.

About one recording in a hundred does work that others have deferred; an average hides that.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import perf_counter_ns

from ..percall import Sampler, scaled, work
from .floor import with_two_readings

CALLS = scaled(100_000)
"""A thousandth of them is still a hundred calls."""

Call = Callable[[], object]


def floor_p50() -> Sampler:
    return percentile(50, _floor())


def floor_p99() -> Sampler:
    return percentile(99, _floor())


def floor_p999() -> Sampler:
    return percentile(99.9, _floor())


def ours_p50() -> Sampler:
    return percentile(50, _ours())


def ours_p99() -> Sampler:
    return percentile(99, _ours())


def ours_p999() -> Sampler:
    return percentile(99.9, _ours())


def prometheus_p50() -> Sampler:
    return percentile(50, _prometheus())


def prometheus_p99() -> Sampler:
    return percentile(99, _prometheus())


def prometheus_p999() -> Sampler:
    return percentile(99.9, _prometheus())


def percentile(percent: float, call: Call, clock: Callable[[], float] = perf_counter_ns) -> Sampler:
    """Return nanoseconds that `percent` of all calls do not exceed, to a tenth of a percent."""

    def sample() -> float:
        took = [0.0] * CALLS
        for number in range(CALLS):
            started = clock()
            call()
            took[number] = clock() - started
        return statistics.quantiles(took, n=1_000, method="inclusive")[round(percent * 10) - 1]

    return sample


def _floor() -> Call:
    call: Call = with_two_readings(work)
    return call


def _ours() -> Call:
    import mnemoscope as scope

    return scope.index_write("spatiotemporal")(work)


def _prometheus() -> Call:
    from .prometheus import histogram

    durations = histogram()

    def block() -> None:
        with durations.labels("spatiotemporal", "ok").time():
            work()

    return block
