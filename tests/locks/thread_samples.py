"""Helpers of the tests of locks for threads: they read one series, and run threads that are always joined."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mnemoscope import catalog
from mnemoscope.instrumentation.locks.watch import waits
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint

PATIENCE = 60.0
"""Seconds after which a test that waits for something has failed, however busy the machine."""


def read(registry: Registry, metric: catalog.Metric, **labels: str) -> float:
    """Return the value, or the number of observations, of all series with these labels."""
    total = 0.0
    for family in registry.snapshot().families:
        if family.metric is metric:
            for point in family.points:
                found = dict(zip(metric.label_names, point.labels, strict=True))
                if labels.items() <= found.items():
                    total += point.observations if isinstance(point, HistogramPoint) else point.value
    return total


def seconds(registry: Registry, metric: catalog.Metric) -> float:
    """Return the sum of all observations of a histogram."""
    points = [p for f in registry.snapshot().families if f.metric is metric for p in f.points]
    return sum(p.sum for p in points if isinstance(p, HistogramPoint))


def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; fail if it never does."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.002)):
        if condition():
            return
        pause.wait(0.002)
    raise AssertionError("it never came to that")


def waiting(registry: Registry, number: int = 1) -> None:
    """Wait until `number` threads wait for locks of this registry."""
    until(lambda: read(registry, catalog.LOCK_WAITERS) == number)


def blocked(thread: int) -> bool:
    """Return whether a thread is in the blocking call of a wait for a lock."""
    waits_now = any(wait.waiter.thread == thread for wait in waits.under_way())
    return waits_now and sys._current_frames()[thread].f_code.co_name in ("acquire", "_wait_unendably")


@contextmanager
def running(*targets: Callable[[], object]) -> Iterator[list[threading.Thread]]:
    """Run these in threads, and join them at the end."""
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
