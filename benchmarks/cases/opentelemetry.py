"""The OpenTelemetry SDK's costs per call. It has no timer, so the case has the decorator that its users write."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from time import perf_counter
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from ..percall import Sampler, async_work, per_await, per_call, work


def decorated() -> Sampler:
    histogram = _meter().create_histogram("index.write.duration", unit="s")

    def timed(target: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(target)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = perf_counter()
            outcome = "ok"
            try:
                return target(*args, **kwargs)
            except Exception:
                outcome = "error"
                raise
            finally:
                histogram.record(perf_counter() - started, {"index": "spatiotemporal", "outcome": outcome})

        return wrapper

    return per_call("f()", f=timed(work))


def coroutine() -> Sampler:
    histogram = _meter().create_histogram("index.write.duration", unit="s")

    async def timed() -> None:
        started = perf_counter()
        outcome = "ok"
        try:
            return await async_work()
        except Exception:
            outcome = "error"
            raise
        finally:
            histogram.record(perf_counter() - started, {"index": "spatiotemporal", "outcome": outcome})

    return per_await("await f()", f=timed)


def counter() -> Sampler:
    series = _meter().create_counter("cache.lookups")
    return per_call(
        "series.add(1, attributes)",
        baseline="pass",
        series=series,
        attributes={"cache": "redb", "result": "hit"},
    )


def _meter() -> Any:
    return MeterProvider([InMemoryMetricReader()]).get_meter("benchmarks")
