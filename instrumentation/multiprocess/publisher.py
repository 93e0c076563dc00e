"""Bring a registry's series into the process' file. Recorders know nothing of it: it looks what has changed.

A series replaces its totals as a whole when a journal is folded, so whether something changed is one comparison
of identities. A pass over series that are idle costs about a tenth of a microsecond each.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from ..catalog import Kind
from ..family import AnySeries
from ..series import Counter, Gauge
from .directory import Own
from .image import Cell, Image
from .layout import SUM_PARTS
from .owner import OwnFile

_PATIENCE = 1.0  # seconds; only a pass that interrupted another of its own thread waits this long
_NO_MORE_PARTS = (0.0,) * (SUM_PARTS - 1)
_NEVER = object()


class Published(Protocol):
    """The part of a registry that is published."""

    started: float

    def series(self) -> Iterator[AnySeries]: ...


class _Kept:
    """What was published of one series.

    Attributes:
        seen: the series' state at the last pass; it is that very object unless something was recorded since.
        shown: for a gauge, what its cell was written from.
        values: what a gauge's cell holds; None before the first time.
    """

    __slots__ = ("cell", "exemplars", "seen", "shown", "values")

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.seen: object = _NEVER
        self.shown: object = _NEVER
        self.values: tuple[float, ...] | None = None
        self.exemplars: dict[int, Any] = {}


class Publisher:
    """Writes a registry's series to the file of this process.

    Args:
        registry: whose series.
        directory: where the file goes.
        inherited: in a forked child, what its parent had published: a setting that the child only inherited is
            as old there as in the parent.
    """

    def __init__(self, registry: Published, directory: Path, inherited: Publisher | None = None) -> None:
        self._registry = registry
        self._lock = Lock()
        self._inherited = inherited._kept if inherited else {}
        self._kept: dict[AnySeries, _Kept] = {}
        self._given: dict[AnySeries, float | None] = {}
        self._image = Image(os.getpid(), registry.started)
        self._file = OwnFile(directory)
        self._supervises = False
        self._closed = False

    def supervise(self) -> None:
        """Take this process for a supervisor of others until it records something, or is scraped, itself.

        What a supervisor's gauges say (a limit that was set at import, readiness) is nobody's work: its children
        have inherited the settings and say the same. So its gauges are withdrawn meanwhile.
        """
        self._supervises = True

    def evaluate(self) -> None:
        """Ask the functions of gauges for their values."""
        given: dict[AnySeries, float | None] = {}
        for series in self._registry.series():
            if series.metric.kind is Kind.GAUGE and isinstance(series, Gauge) and series.function is not None:
                point = series.point()
                given[series] = None if point is None else point.value
        self._given = given

    def publish(self, *, settle: bool = False) -> OSError | None:
        """Write what has changed; the error that kept it from the disk, if one did.

        Args:
            settle: for a scrape: wait a little for a journal that somebody else is folding.
        """
        if not self._lock.acquire(timeout=_PATIENCE):
            return None
        try:
            if not self._closed:
                self._supervises = self._supervises and not settle
                self._collect(settle)
                self._file.save(self._image)
        except OSError as error:
            return error
        finally:
            self._lock.release()
        return None

    def own(self) -> Own:
        """What this process has published, for a reader in the same process."""
        with self._lock:
            return Own(self._file.name, bytes(self._image.data))

    def _collect(self, settle: bool) -> None:
        gauges: list[tuple[Gauge, _Kept]] = []
        for series in self._registry.series():
            series.settle() if settle else series.fold()
            kept = self._kept.get(series) or self._new(series)
            state = series.totals
            if kept.seen is not state:
                if kept.seen is not _NEVER:
                    self._supervises = False
                kept.seen = state
                if not isinstance(series, Gauge):
                    self._image.set(kept.cell, _totals(series, state))
            if series.exemplars:
                self._set_exemplars(kept, dict(series.exemplars))
            if isinstance(series, Gauge):
                gauges.append((series, kept))
        for gauge, kept in gauges:  # after all others: only now is it certain whether this process supervises
            self._set_gauge(gauge, kept)

    def _set_gauge(self, gauge: Gauge, kept: _Kept) -> None:
        shown, value = self._gauge(gauge)
        if kept.shown is shown:
            return
        kept.shown = shown
        before = self._inherited.get(gauge)
        if kept.values is None and before is not None and before.values is not None and before.values[0] == value:
            kept.values = before.values
        else:
            kept.values = (value, time.time())
        self._image.set(kept.cell, kept.values)

    def _gauge(self, gauge: Gauge) -> tuple[object, float]:
        """What is to be shown of a gauge, as an object that is new when it changes, and as a number."""
        if self._supervises:
            return None, math.nan
        if gauge.function is None:
            state = gauge.totals
            return state, sum(state)
        given = self._given.get(gauge)
        return given, math.nan if given is None else given

    def _set_exemplars(self, kept: _Kept, exemplars: dict[int, Any]) -> None:
        new = {bucket: found for bucket, found in exemplars.items() if kept.exemplars.get(bucket) is not found}
        if new:
            kept.exemplars = exemplars
            self._image.set_exemplars(kept.cell, new)

    def _new(self, series: AnySeries) -> _Kept:
        kept = self._kept[series] = _Kept(self._image.series(series.metric, series.labels))
        return kept

    # Around a fork, and at the end ----------------------------------------------------------------

    def pause(self) -> bool:
        """Keep the file from being made or written until `resume`; False where that cannot be waited for."""
        return self._lock.acquire(timeout=_PATIENCE)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._lock.release()

    def abandon(self) -> None:
        """Leave the parent's file to the parent."""
        self._file.abandon()

    def close(self) -> None:
        """Publish for the last time and give up the file's lock."""
        self.publish(settle=True)
        if self._lock.acquire(timeout=_PATIENCE):
            self._closed = True
            self._file.close()
            self._lock.release()


def _totals(series: AnySeries, state: Any) -> tuple[float, ...]:
    if isinstance(series, Counter):
        return (state[0], *_NO_MORE_PARTS)
    counts, total, _ = state
    return (*counts, total, *_NO_MORE_PARTS)
