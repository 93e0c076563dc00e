"""autometrics' costs per call, with the tracker that its environment names; it has its own virtual environment."""

from __future__ import annotations

import os

from autometrics import autometrics, init

from ..percall import Sampler, async_work, per_await, per_call, work


def decorated() -> Sampler:
    _begin()
    return per_call("f()", f=autometrics(work))


def coroutine() -> Sampler:
    _begin()
    return per_await("await f()", f=autometrics(async_work))


def _begin() -> None:
    # The second call in a process only warns.
    init(tracker=os.environ["AUTOMETRICS_TRACKER"], service_name="benchmarks")
