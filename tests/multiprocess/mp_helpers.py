"""Short ways to what a snapshot says."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.instrumentation.multiprocess import Sharing
from mnemoscope.instrumentation.multiprocess.cellfile import CellFile
from mnemoscope.instrumentation.multiprocess.merge import Merged
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint, NumberPoint, Snapshot

Points = dict[tuple[str, ...], NumberPoint | HistogramPoint]
"""By the name of the metric and the labels' values."""


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
    assert registry.sharing is not None
    return registry.sharing


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


def stop_threads(registry: Registry) -> None:
    """Publish only when a test says so."""
    tickers = sharing(registry)._tickers
    for ticker in tickers:
        ticker.stop()
    until(lambda: not any(_runs(ticker) for ticker in tickers), "its threads have ended")
    tickers.clear()


def _runs(ticker: object) -> bool:
    for frame in sys._current_frames().values():
        at: FrameType | None = frame
        while at is not None:
            if at.f_code.co_name == "_run" and at.f_locals.get("self") is ticker:
                return True
            at = at.f_back
    return False


def points(data: bytes, *, alive: bool) -> Points:
    """What a reader takes from a file of a process that is alive, or has ended."""
    file, merged = CellFile(lambda metric: metric), Merged()
    file.parse(data)
    merged.add(file, data, alive=alive, lenient=True)
    return {(family.metric.name, *point.labels): point for family in merged.families() for point in family.points}


def file_of(registry: Registry) -> Path:
    """The registry's file."""
    return sharing(registry)._path / sharing(registry)._publisher._file.name


def if_killed(registry: Registry) -> Points:
    """What a process leaves to readers if it is killed now."""
    return points(file_of(registry).read_bytes(), alive=False)
