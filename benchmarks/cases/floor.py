"""Lower bounds: a bare call, and the smallest possible timing decorator."""

from __future__ import annotations

from functools import wraps
from time import perf_counter
from typing import Any

from ..percall import Sampler, async_work, in_threads, per_await, per_call, work


def bare_call() -> Sampler:
    """Call an empty function; this figure is the cost itself, the others are the cost above it."""
    return per_call("work()", baseline="pass")


def bare_await() -> Sampler:
    return per_await("await async_work()", baseline="pass")


def decorated() -> Sampler:
    return per_call("f()", f=with_two_readings(work))


def coroutine() -> Sampler:
    async def timed() -> Any:
        started = perf_counter()
        result = await async_work()
        _ = perf_counter() - started
        return result

    return per_await("await f()", f=timed)


def one_thread() -> Sampler:
    return in_threads(1, "f()", f=with_two_readings(work))


def eight_threads() -> Sampler:
    return in_threads(8, "f()", f=with_two_readings(work))


def one_thread_wall() -> Sampler:
    return in_threads(1, "f()", f=with_two_readings(work), clock=perf_counter)


def eight_threads_wall() -> Sampler:
    return in_threads(8, "f()", f=with_two_readings(work), clock=perf_counter)


def with_two_readings(target: Any) -> Any:
    @wraps(target)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = perf_counter()
        result = target(*args, **kwargs)
        _ = perf_counter() - started
        return result

    return wrapper
