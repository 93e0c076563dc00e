"""Short ways to what a snapshot says."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.instrumentation.multiprocess import Sharing
from mnemoscope.instrumentation.registry import Registry
from mnemoscope.instrumentation.snapshot import HistogramPoint, NumberPoint, Snapshot


def point(shot: Snapshot, metric: Metric, *labels: str) -> NumberPoint | HistogramPoint | None:
    """The one series of `metric` with these labels."""
    found = [p for family in shot.families if family.metric.name == metric.name for p in family.points]
    chosen = [p for p in found if p.labels == labels]
    assert len(chosen) <= 1
    return chosen[0] if chosen else None


def value(source: Registry | Snapshot, metric: Metric, *labels: str) -> float | None:
    """The number of a counter or gauge; None where there is no such series."""
    shot = source if isinstance(source, Snapshot) else source.snapshot()
    found = point(shot, metric, *labels)
    assert not isinstance(found, HistogramPoint)
    return None if found is None else found.value


def histogram(source: Registry, metric: Metric, *labels: str) -> HistogramPoint:
    """The point of a histogram."""
    found = point(source.snapshot(), metric, *labels)
    assert isinstance(found, HistogramPoint)
    return found


def sharing(registry: Registry) -> Sharing:
    """A registry's part in its directory."""
    assert registry._sharing is not None
    return registry._sharing


def end(registry: Registry) -> None:
    """What the end of a process is to its registry."""
    sharing(registry).close()


def until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """The first true result of `condition`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.01)
