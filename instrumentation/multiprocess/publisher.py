"""Bring a registry's series into the process' file.

A series replaces its totals as a whole when a journal is folded, so whether something changed is one comparison
of identities. A pass over series that are idle costs about a tenth of a microsecond each.
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
from .write_ahead_log import LoggedJournal, WriteAheadLog, log_appends, skip_missed_keys

_PATIENCE = 1.0  # seconds
_POLL = 0.0002
_NO_MORE_PARTS = (0.0,) * (SUM_PARTS - 1)
_NEVER = object()

Settings = Mapping[AnySeries, tuple[float, ...]]
"""What gauges are set to, and since when."""


class PublishedRegistry(Protocol):
    """The part of a registry that is published."""

    started: float

    def series(self) -> Iterator[AnySeries]: ...


class _PublishedSeries:
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


class _Turn(Fold):
    """A thread's use of the contents and the file, which lives as long as the frame that has it; see `Guard`."""

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = get_ident()


class Publisher:
    """Writes a registry's series to the file of this process.

    Args:
        registry: whose series.
        directory: where the file goes.
        make_room: see `WriteAheadLog`.
        parent: in a forked child, id of its parent's file.
        inherited: in a forked child, what its parent's gauges were set to: a setting that the child only inherited is
            as old there as in the parent.

    Attributes:
        changed: whether the last pass over all series found something new.
        error: what kept the last pass from the disk.
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
        """Why the file could not be mapped."""
        return self._file.mapping_error

    def evaluate_gauges(self) -> None:
        """Ask the functions of gauges for their values."""
        given: dict[AnySeries, float | None] = {}
        for series in self._registry.series():
            if series.metric.kind is Kind.GAUGE and isinstance(series, Gauge) and series.function is not None:
                point = series.point()
                given[series] = None if point is None else point.value
        self._function_values = given

    def publish(self, *, settle: bool = False, keep_occupied: bool = False) -> bool:
        """Write what has changed; whether that is done.

        Args:
            settle: for a scrape: wait a little for a journal that somebody else is folding.
            keep_occupied: leave the slots of the log that are in use as they are; see `shut`.
        """
        return self._publish(None, _PATIENCE, settle=settle, keep_occupied=keep_occupied, look=True)

    def publish_one(self, series: AnySeries, patience: float) -> bool:
        """Write what has changed of one series, in a thread that records; whether that is done."""
        return self._publish(series, patience)

    def make_room(self, patience: float) -> bool:
        """Publish in a thread that records, so that slots of the log become free; whether some are."""
        return self._publish(None, patience, enough=lambda: bool(self._log.free)) or bool(self._log.free)

    def _publish(
        self,
        only: AnySeries | None,
        patience: float,
        *,
        enough: Callable[[], bool] = lambda: False,
        **how: bool,
    ) -> bool:
        turn = _Turn()
        claim: ref[Fold] = ref(turn)
        if not self._admits(claim, patience, enough):
            return False
        try:
            if not self._closed:
                self._pass(only, **how)
            return True
        except OSError as error:
            self.error = error
            return False
        finally:
            self._guard.release(claim)

    def occupy_free_slots(self) -> None:
        """Let no slot of the log be free, so that the next recording asks for room: for a process that is idle."""
        self._log.occupy_free_slots()

    def restart(self) -> None:
        """Forget what was published: the registry has begun again at zero. The next pass replaces the file."""
        turn = _Turn()
        claim: ref[Fold] = ref(turn)
        if self._admits(claim, _PATIENCE):
            self._begin()
            self._guard.release(claim)

    def memory_file(self) -> MemoryFile:
        """What this process has published, for a reader in the same process."""
        turn = _Turn()
        claim: ref[Fold] = ref(turn)
        self._admits(claim, _PATIENCE)  # if not, the last pass may be incomplete
        data = bytes((self._contents or self._new_contents()).data)
        self._guard.release(claim)
        return MemoryFile(self._file.name, data)

    def _admits(self, claim: ref[Fold], patience: float, enough: Callable[[], bool] = lambda: False) -> bool:
        """Wait for other threads' passes to end, or until it is `enough`.

        False if that takes longer, or if a signal handler or finaliser has interrupted a pass of this thread.
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

    def _pass(
        self, only: AnySeries | None, *, settle: bool = False, keep_occupied: bool = False, look: bool = False
    ) -> None:
        if not self._complete:  # the first pass, or the last one was interrupted: nothing is certain about its contents
            self._begin()
            self._contents, only = self._new_contents(), None
        self._complete, contents = False, cast("FileContents", self._contents)
        filled = 0 if keep_occupied or only is not None else len(self._log.filled)
        changed, folded = self._collect(contents, self._registry.series() if only is None else (only,), settle)
        self._complete = True
        self._file.save(contents, look)
        self._log.use_mapping(self._file.mapping)
        if folded:
            self._log.release(filled)
        while self._to_log:
            journal, number = self._to_log[-1]
            log_appends(journal, number, self._log)
            self._to_log.pop()
        if only is None:
            self.changed = changed
        self.error = None

    def _collect(self, contents: FileContents, every: Iterable[AnySeries], settle: bool) -> tuple[bool, bool]:
        """Bring series into the contents; whether there was something new, and whether nobody else was folding one."""
        changed, folded = False, True
        for series in every:
            if not series.fold():
                time.sleep(_POLL)  # so that the thread that is folding it can go on
                folded &= series.fold()
                if settle:
                    series.settle()
            kept = self._published.get(series) or self._new(contents, series)
            state = series.totals
            if kept.seen is not state:
                changed = True
                if not isinstance(series, Gauge):
                    if series.journal.__class__ is LoggedJournal:
                        skip_missed_keys(series.journal)
                    contents.set(kept.cell, _totals(series, state))
                kept.seen = state
            if series.exemplars:
                self._set_exemplars(contents, kept, dict(series.exemplars))
            if isinstance(series, Gauge):
                self._set_gauge(contents, series, kept)
        return changed, folded

    def _set_gauge(self, contents: FileContents, gauge: Gauge, kept: _PublishedSeries) -> None:
        shown, value = self._gauge(gauge)
        if kept.shown is shown:
            return
        kept.shown = shown
        before = self._inherited.get(gauge)
        if kept.values is None and before is not None and before[0] == value:
            kept.values = before
        else:
            kept.values = (value, time.time())
        contents.set(kept.cell, kept.values)

    def _gauge(self, gauge: Gauge) -> tuple[object, float]:
        """What is to be shown of a gauge, as an object that is new when it changes, and as a number."""
        if gauge.function is None:
            state = gauge.totals
            return state, sum(state)
        given = self._function_values.get(gauge)
        return given, math.nan if given is None else given

    def _set_exemplars(self, contents: FileContents, kept: _PublishedSeries, exemplars: dict[int, Any]) -> None:
        new = {bucket: found for bucket, found in exemplars.items() if kept.exemplars.get(bucket) is not found}
        if new:
            contents.set_exemplars(kept.cell, new)
            kept.exemplars = exemplars

    def _new(self, contents: FileContents, series: AnySeries) -> _PublishedSeries:
        kept = self._published[series] = _PublishedSeries(contents.series(series.metric, series.labels))
        if not isinstance(series, Gauge):
            self._to_log.append((series.journal, kept.cell.number))
        return kept

    # Around a fork, and at the end ----------------------------------------------------------------

    def pause(self) -> None:
        """Write what has changed, and then nothing until `resume`.

        A child inherits its parent's settings, and since when they hold. It could not close a file half made.
        """
        self.publish()
        turn = _Turn()
        if self._admits(ref(turn), _PATIENCE):
            self._paused = turn

    def resume(self) -> None:
        """Go on after `pause`."""
        turn, self._paused = self._paused, None
        if turn is not None:
            self._guard.release(ref(turn))

    def forked(self) -> Publisher:
        """Return the publisher of this forked child, and leave the parent's file to the parent."""
        self._file.abandon()
        settings = {series: kept.values for series, kept in self._published.items() if kept.values is not None}
        parent = self._contents.id if self._contents is not None else self._parent
        return Publisher(self._registry, self._file.directory, self._make_room, parent, {**self._inherited, **settings})

    def close(self) -> None:
        """Publish for the last time and give up the file's lock."""
        self.publish(settle=True)
        turn = _Turn()
        claim: ref[Fold] = ref(turn)
        if self._admits(claim, _PATIENCE):
            self._closed = True
            self._file.close()
            self._guard.release(claim)


def _totals(series: AnySeries, state: Any) -> tuple[float, ...]:
    if isinstance(series, Counter):
        return (state[0], *_NO_MORE_PARTS, state[1])
    counts, total, _, recorded = state
    return (*counts, total, *_NO_MORE_PARTS, recorded)
