"""Short ways to read values from snapshots and from files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.instrumentation.multiprocess import MultiprocessMode
from mnemoscope.instrumentation.multiprocess.file_reader import FileReader
from mnemoscope.instrumentation.multiprocess.merge import MergedValues
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint, NumberPoint, Snapshot

Points = dict[tuple[str, ...], NumberPoint | HistogramPoint]
"""Points by the name of the metric and the labels' values."""


def point(shot: Snapshot, metric: Metric, *labels: str) -> NumberPoint | HistogramPoint | None:
    """Return the series of `metric` with these labels, if there is one."""
    found = [p for family in shot.families if family.metric.name == metric.name for p in family.points]
    chosen = [p for p in found if p.labels == labels]
    assert len(chosen) <= 1
    return chosen[0] if chosen else None


def value(source: Registry | Snapshot, metric: Metric, *labels: str) -> float | None:
    """Return the value of a counter or gauge; None if there is no such series."""
    shot = source if isinstance(source, Snapshot) else source.snapshot()
    found = point(shot, metric, *labels)
    assert not isinstance(found, HistogramPoint)
    return None if found is None else found.value


def histogram(source: Registry, metric: Metric, *labels: str) -> HistogramPoint:
    """Return the point of a histogram."""
    found = point(source.snapshot(), metric, *labels)
    assert isinstance(found, HistogramPoint)
    return found


def mode(registry: Registry) -> MultiprocessMode:
    """Return the multi-process mode of a registry."""
    assert registry.multiprocess is not None
    return registry.multiprocess


def end(registry: Registry) -> None:
    """Close a registry as the end of its process does."""
    mode(registry).close()


def until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Return the first true result of `condition`; fail if there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.01)


def stop_threads(registry: Registry) -> None:
    """Stop the periodic threads, so that only the test publishes."""
    threads = mode(registry)._threads
    for thread in threads:
        thread.stop()
    until(lambda: not any(_runs(thread) for thread in threads), "its threads have ended")
    threads.clear()


def _runs(thread: object) -> bool:
    for frame in sys._current_frames().values():
        at: FrameType | None = frame
        while at is not None:
            if at.f_code.co_name == "_run" and at.f_locals.get("self") is thread:
                return True
            at = at.f_back
    return False


def points(data: bytes, *, alive: bool) -> Points:
    """Return the points that a reader finds in a file of a process that is alive, or has ended."""
    file, merged = FileReader(lambda metric: metric), MergedValues()
    file.parse(data)
    merged.add(file, data, alive=alive, lenient=True)
    return {(family.metric.name, *point.labels): point for family in merged.families() for point in family.points}


def file_of(registry: Registry) -> Path:
    """Return the path of the registry's file."""
    return mode(registry)._path / mode(registry)._publisher._file.name


def if_killed(registry: Registry) -> Points:
    """Return the points that a process leaves to readers if it is killed now."""
    return points(file_of(registry).read_bytes(), alive=False)
