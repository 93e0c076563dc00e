"""The publisher, which writes a registry's series to the process' file.

A series replaces its totals by a new object when its journal is folded. So the publisher detects a change by comparing
identities. A pass costs about a tenth of a microsecond for each idle series.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from threading import get_ident
from typing import Any, Protocol, cast
from weakref import ref

from ..catalog import Kind
from ..recording.journal import Fold, Guard, Journal
from ..recording.metric_series import AnySeries
from ..recording.series import Counter, Gauge
from .directory import MemoryFile
from .file_contents import Cell, FileContents
from .file_format import LOG_BYTES, NO_PARENT, SUM_PARTS
from .own_file import OwnFile
from .write_ahead_log import LoggedJournal, WriteAheadLog, log_on_append, skip_missed_keys

_PATIENCE = 1.0  # seconds
_POLL = 0.0002
_NO_MORE_PARTS = (0.0,) * (SUM_PARTS - 1)
_NEVER = object()

Settings = Mapping[AnySeries, tuple[float, ...]]
"""The values of gauges, each with the time of its last change."""


class PublishedRegistry(Protocol):
    """The part of a registry that is published."""

    started: float

    def series(self) -> Iterator[AnySeries]: ...


class _PublishedSeries:
    """The published state of one series.

    Attributes:
        cell: its place in the file.
        seen: the series' totals at the last pass; the series still has this object if nothing was recorded since.
        gauge_source: for a gauge, the object that its cell was written from.
        gauge_values: for a gauge, the value and the time in its cell; None before the first write.
        exemplars: its published exemplars, by bucket.
    """

    __slots__ = ("cell", "exemplars", "gauge_source", "gauge_values", "seen")

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.seen: object = _NEVER
        self.gauge_source: object = _NEVER
        self.gauge_values: tuple[float, ...] | None = None
        self.exemplars: dict[int, Any] = {}


class _Turn(Fold):
    """A thread's turn to use the contents and the file. It lives as long as the frame that holds it; see `Guard`."""

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = get_ident()


class Publisher:
    """Writes a registry's series to the file of this process.

    Args:
        registry: the registry whose series are published.
        directory: the directory of the file.
        make_room: see `WriteAheadLog`.
        parent: in a forked child, the id of the parent's file.
        inherited: in a forked child, the parent's settings of gauges. An inherited setting keeps its time of change.

    Attributes:
        changed: whether the last pass over all series found a change.
        error: the error of the last pass, if the file could not be written.
    """

    def __init__(
        self,
        registry: PublishedRegistry,
        directory: Path,
        make_room: Callable[[bool], None],
        parent: bytes = NO_PARENT,
        inherited: Settings | None = None,
    ) -> None:
        self._registry = registry
        self._guard = Guard()
        self._paused: _Turn | None = None
        self._parent = parent
        self._inherited = inherited or {}
        self._function_values: dict[AnySeries, float | None] = {}
        self._file = OwnFile(directory)
        self._make_room = make_room
        self._closed = False
        self.changed = False
        self.error: OSError | None = None
        self._begin()

    def _begin(self) -> None:
        self._contents: FileContents | None = None
        self._complete = False
        self._published: dict[AnySeries, _PublishedSeries] = {}
        self._to_log: list[tuple[Journal, int]] = []
        self._log = WriteAheadLog(self._make_room)

    @property
    def mapping_error(self) -> Exception | None:
        """The reason why the file could not be mapped."""
        return self._file.mapping_error

    def evaluate_gauges(self) -> None:
        """Call the functions of gauges, and keep their values for the next pass."""
        given: dict[AnySeries, float | None] = {}
        for series in self._registry.series():
            if series.metric.kind is Kind.GAUGE and isinstance(series, Gauge) and series.function is not None:
                point = series.point()
                given[series] = None if point is None else point.value
        self._function_values = given

    def publish(self, *, wait_for_folds: bool = False, release_slots: bool = True) -> bool:
        """Write all changes, and return whether the pass was made.

        Args:
            wait_for_folds: wait a little for journals that other threads are folding, as a scrape does.
            release_slots: free the log's slots whose recordings are published; see `occupy_free_slots`.
        """
        return self._publish(
            None, _PATIENCE, wait_for_folds=wait_for_folds, release_slots=release_slots, check_file=True
        )

    def publish_one(self, series: AnySeries, patience: float) -> bool:
        """Write the changes of one series in a thread that records, and return whether the pass was made."""
        return self._publish(series, patience)

    def make_room(self, patience: float) -> bool:
        """Publish in a thread that records, to free slots of the log, and return whether there are free slots."""
        return self._publish(None, patience, enough=lambda: bool(self._log.free)) or bool(self._log.free)

    def _publish(
        self,
        only: AnySeries | None,
        patience: float,
        *,
        enough: Callable[[], bool] = lambda: False,
        wait_for_folds: bool = False,
        release_slots: bool = True,
        check_file: bool = False,
    ) -> bool:
        turn = _Turn()
        claim: ref[Fold] = ref(turn)
        if not self._wait_for_turn(claim, patience, enough):
            return False
        try:
            if not self._closed:
                self._pass(only, wait_for_folds, release_slots, check_file)
            return True
        except OSError as error:
            self.error = error
            return False
        finally:
            self._guard.release(claim)

    def occupy_free_slots(self) -> None:
        """Leave no slot of the log free, so that the next recording wakes an idle process' publishing thread."""
        self._log.occupy_free_slots()

    def restart(self) -> None:
        """Start again, because the registry was cleared. The next pass replaces the file."""
        turn = _Turn()
        claim: ref[Fold] = ref(turn)
        if self._wait_for_turn(claim, _PATIENCE):
            self._begin()
            self._guard.release(claim)

    def memory_file(self) -> MemoryFile:
        """Return this process' file as it is in memory, for a reader in the same process."""
        turn = _Turn()
        claim: ref[Fold] = ref(turn)
        self._wait_for_turn(claim, _PATIENCE)  # if not, the last pass may be incomplete
        data = bytes((self._contents or self._new_contents()).data)
        self._guard.release(claim)
        return MemoryFile(self._file.name, data)

    def _wait_for_turn(self, claim: ref[Fold], patience: float, enough: Callable[[], bool] = lambda: False) -> bool:
        """Wait until no other thread makes a pass, and return True: this thread may make one.

        Return False when `patience` ends, when `enough` returns True, or if this thread's own pass was interrupted by
        the signal handler or finaliser that calls this.
        """
        deadline = time.monotonic() + patience
        while not self._guard.admits(claim):
            holder = self._guard.holder()
            if isinstance(holder, _Turn) and holder.thread == get_ident():
                return False
            if enough() or time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)
        return True

    def _new_contents(self) -> FileContents:
        return FileContents(os.getpid(), self._registry.started, self._parent, LOG_BYTES)

    def _pass(self, only: AnySeries | None, wait_for_folds: bool, release_slots: bool, check_file: bool) -> None:
        """Write the changes of all series, or of `only` one, to the contents and to the file."""
        if not self._complete:  # the first pass, or the last pass was interrupted and its contents are unknown
            self._begin()
            self._contents, only = self._new_contents(), None
        self._complete, contents = False, cast("FileContents", self._contents)
        filled = 0 if only is not None or not release_slots else len(self._log.filled)
        changed, folded = self._collect(contents, self._registry.series() if only is None else (only,), wait_for_folds)
        self._complete = True
        self._file.save(contents, check_file)
        self._log.use_mapping(self._file.mapping)
        if folded:
            self._log.release(filled)
        while self._to_log:
            journal, number = self._to_log[-1]
            log_on_append(journal, number, self._log)
            self._to_log.pop()
        if only is None:
            self.changed = changed
        self.error = None

    def _collect(self, contents: FileContents, every: Iterable[AnySeries], wait_for_folds: bool) -> tuple[bool, bool]:
        """Write series to the contents; return whether one changed, and whether every journal was folded."""
        changed, folded = False, True
        for series in every:
            if not series.fold():
                time.sleep(_POLL)  # lets the thread that is folding it continue
                folded &= series.fold()
                if wait_for_folds:
                    series.settle()
            kept = self._published.get(series) or self._add(contents, series)
            totals = series.totals
            if kept.seen is not totals:
                changed = True
                if not isinstance(series, Gauge):
                    if series.journal.__class__ is LoggedJournal:
                        skip_missed_keys(series.journal)
                    contents.set(kept.cell, _cell_values(series, totals))
                kept.seen = totals
            if series.exemplars:
                self._set_exemplars(contents, kept, dict(series.exemplars))
            if isinstance(series, Gauge):
                self._set_gauge(contents, series, kept)
        return changed, folded

    def _set_gauge(self, contents: FileContents, gauge: Gauge, kept: _PublishedSeries) -> None:
        source, value = self._gauge(gauge)
        if kept.gauge_source is source:
            return
        kept.gauge_source = source
        inherited = self._inherited.get(gauge)
        if kept.gauge_values is None and inherited is not None and inherited[0] == value:
            kept.gauge_values = inherited
        else:
            kept.gauge_values = (value, time.time())
        contents.set(kept.cell, kept.gauge_values)

    def _gauge(self, gauge: Gauge) -> tuple[object, float]:
        """Return an object that is replaced when the gauge changes, and the gauge's value (NaN if it has none)."""
        if gauge.function is None:
            totals = gauge.totals
            return totals, sum(totals)
        value = self._function_values.get(gauge)
        return value, math.nan if value is None else value

    def _set_exemplars(self, contents: FileContents, kept: _PublishedSeries, exemplars: dict[int, Any]) -> None:
        new = {bucket: found for bucket, found in exemplars.items() if kept.exemplars.get(bucket) is not found}
        if new:
            contents.set_exemplars(kept.cell, new)
            kept.exemplars = exemplars

    def _add(self, contents: FileContents, series: AnySeries) -> _PublishedSeries:
        kept = self._published[series] = _PublishedSeries(contents.series(series.metric, series.labels))
        if not isinstance(series, Gauge):
            self._to_log.append((series.journal, kept.cell.number))
        return kept

    # Around a fork, and at the end ----------------------------------------------------------------

    def pause(self) -> None:
        """Write all changes, and then nothing until `resume`.

        A forked child inherits the published settings with their times. It could not close a half-made file.
        """
        self.publish()
        turn = _Turn()
        if self._wait_for_turn(ref(turn), _PATIENCE):
            self._paused = turn

    def resume(self) -> None:
        """Allow passes again after `pause`."""
        turn, self._paused = self._paused, None
        if turn is not None:
            self._guard.release(ref(turn))

    def forked(self) -> Publisher:
        """Return the publisher of this forked child, and leave the parent's file to the parent."""
        self._file.abandon()
        published = self._published.items()
        settings = {series: kept.gauge_values for series, kept in published if kept.gauge_values is not None}
        parent = self._contents.id if self._contents is not None else self._parent
        return Publisher(self._registry, self._file.directory, self._make_room, parent, {**self._inherited, **settings})

    def close(self) -> None:
        """Publish for the last time, and release the file's lock."""
        self.publish(wait_for_folds=True)
        turn = _Turn()
        claim: ref[Fold] = ref(turn)
        if self._wait_for_turn(claim, _PATIENCE):
            self._closed = True
            self._file.close()
            self._guard.release(claim)


def _cell_values(series: AnySeries, totals: Any) -> tuple[float, ...]:
    """Return the totals of a counter or histogram as `value_struct` packs them."""
    if isinstance(series, Counter):
        return (totals[0], *_NO_MORE_PARTS, totals[1])
    counts, total, _, recorded = totals
    return (*counts, total, *_NO_MORE_PARTS, recorded)
