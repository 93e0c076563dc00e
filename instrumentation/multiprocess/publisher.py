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
from .directory import Own
from .image import Cell, Image
from .layout import NO_FILE, SUM_PARTS, TAIL_BYTES
from .owner import OwnFile
from .writethrough import SharedJournal, Tail, catch_up, write_through

_PATIENCE = 1.0  # seconds
_POLL = 0.0002
_NO_MORE_PARTS = (0.0,) * (SUM_PARTS - 1)
_NEVER = object()

Settings = Mapping[AnySeries, tuple[float, ...]]
"""What gauges are set to, and since when."""


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


class _Turn(Fold):
    """A thread's use of the image and the file, which lives as long as the frame that has it; see `Guard`."""

    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = get_ident()


class Publisher:
    """Writes a registry's series to the file of this process.

    Args:
        registry: whose series.
        directory: where the file goes.
        make_room: see `Tail`.
        parent: in a forked child, id of its parent's file.
        inherited: in a forked child, what its parent's gauges were set to: a setting that the child only inherited is
            as old there as in the parent.

    Attributes:
        changed: whether the last pass over all series found something new.
        error: what kept the last pass from the disk.
    """

    def __init__(
        self,
        registry: Published,
        directory: Path,
        make_room: Callable[[bool], None],
        parent: bytes = NO_FILE,
        inherited: Settings | None = None,
    ) -> None:
        self._registry = registry
        self._guard = Guard()
        self._paused: _Turn | None = None
        self._parent = parent
        self._inherited = inherited or {}
        self._given: dict[AnySeries, float | None] = {}
        self._file = OwnFile(directory)
        self._make_room = make_room
        self._closed = False
        self.changed = False
        self.error: OSError | None = None
        self._begin()

    def _begin(self) -> None:
        self._image: Image | None = None
        self._whole = False
        self._kept: dict[AnySeries, _Kept] = {}
        self._unsaved: list[tuple[Journal, int]] = []
        self._tail = Tail(self._make_room)

    @property
    def unmapped(self) -> Exception | None:
        """Why the file could not be mapped."""
        return self._file.unmapped

    def evaluate(self) -> None:
        """Ask the functions of gauges for their values."""
        given: dict[AnySeries, float | None] = {}
        for series in self._registry.series():
            if series.metric.kind is Kind.GAUGE and isinstance(series, Gauge) and series.function is not None:
                point = series.point()
                given[series] = None if point is None else point.value
        self._given = given

    def publish(self, *, settle: bool = False, keep_shut: bool = False) -> bool:
        """Write what has changed; whether that is done.

        Args:
            settle: for a scrape: wait a little for a journal that somebody else is folding.
            keep_shut: leave the slots of the tail that are in use as they are; see `shut`.
        """
        return self._publish(None, _PATIENCE, settle=settle, keep_shut=keep_shut, look=True)

    def publish_one(self, series: AnySeries, patience: float) -> bool:
        """Write what has changed of one series, in a thread that records; whether that is done."""
        return self._publish(series, patience)

    def make_room(self, patience: float) -> bool:
        """Publish in a thread that records, so that slots of the tail become free; whether some are."""
        return self._publish(None, patience, enough=lambda: bool(self._tail.free)) or bool(self._tail.free)

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

    def shut(self) -> None:
        """Let no slot of the tail be free, so that the next recording asks for room: for a process that is idle."""
        self._tail.shut()

    def restart(self) -> None:
        """Forget what was published: the registry has begun again at zero. The next pass replaces the file."""
        turn = _Turn()
        claim: ref[Fold] = ref(turn)
        if self._admits(claim, _PATIENCE):
            self._begin()
            self._guard.release(claim)

    def own(self) -> Own:
        """What this process has published, for a reader in the same process."""
        turn = _Turn()
        claim: ref[Fold] = ref(turn)
        self._admits(claim, _PATIENCE)  # if not: an image can be read at any time, but one pass is not the whole of it
        data = bytes((self._image or self._new_image()).data)
        self._guard.release(claim)
        return Own(self._file.name, data)

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

    def _new_image(self) -> Image:
        return Image(os.getpid(), self._registry.started, self._parent, TAIL_BYTES)

    def _pass(
        self, only: AnySeries | None, *, settle: bool = False, keep_shut: bool = False, look: bool = False
    ) -> None:
        if not self._whole:  # the first pass, or the last one was interrupted: nothing is certain about its image
            self._begin()
            self._image, only = self._new_image(), None
        self._whole, image = False, cast("Image", self._image)
        filled = 0 if keep_shut or only is not None else len(self._tail.filled)
        changed, folded = self._collect(image, self._registry.series() if only is None else (only,), settle)
        self._whole = True
        self._file.save(image, look)
        self._tail.use(self._file.area)
        if folded:
            self._tail.release(filled)
        while self._unsaved:
            journal, number = self._unsaved[-1]
            write_through(journal, number, self._tail)
            self._unsaved.pop()
        if only is None:
            self.changed = changed
        self.error = None

    def _collect(self, image: Image, every: Iterable[AnySeries], settle: bool) -> tuple[bool, bool]:
        """Bring series into the image; whether there was something new, and whether nobody else was folding one."""
        changed, folded = False, True
        for series in every:
            if not series.fold():
                time.sleep(_POLL)  # so that the thread that is folding it can go on
                folded &= series.fold()
                if settle:
                    series.settle()
            kept = self._kept.get(series) or self._new(image, series)
            state = series.totals
            if kept.seen is not state:
                changed = True
                if not isinstance(series, Gauge):
                    if series.journal.__class__ is SharedJournal:
                        catch_up(series.journal)
                    image.set(kept.cell, _totals(series, state))
                kept.seen = state
            if series.exemplars:
                self._set_exemplars(image, kept, dict(series.exemplars))
            if isinstance(series, Gauge):
                self._set_gauge(image, series, kept)
        return changed, folded

    def _set_gauge(self, image: Image, gauge: Gauge, kept: _Kept) -> None:
        shown, value = self._gauge(gauge)
        if kept.shown is shown:
            return
        kept.shown = shown
        before = self._inherited.get(gauge)
        if kept.values is None and before is not None and before[0] == value:
            kept.values = before
        else:
            kept.values = (value, time.time())
        image.set(kept.cell, kept.values)

    def _gauge(self, gauge: Gauge) -> tuple[object, float]:
        """What is to be shown of a gauge, as an object that is new when it changes, and as a number."""
        if gauge.function is None:
            state = gauge.totals
            return state, sum(state)
        given = self._given.get(gauge)
        return given, math.nan if given is None else given

    def _set_exemplars(self, image: Image, kept: _Kept, exemplars: dict[int, Any]) -> None:
        new = {bucket: found for bucket, found in exemplars.items() if kept.exemplars.get(bucket) is not found}
        if new:
            image.set_exemplars(kept.cell, new)
            kept.exemplars = exemplars

    def _new(self, image: Image, series: AnySeries) -> _Kept:
        kept = self._kept[series] = _Kept(image.series(series.metric, series.labels))
        if not isinstance(series, Gauge):
            self._unsaved.append((series.journal, kept.cell.number))
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
        settings = {series: kept.values for series, kept in self._kept.items() if kept.values is not None}
        parent = self._image.id if self._image is not None else self._parent
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
