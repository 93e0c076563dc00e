"""Waits for locks that are under way: what the watchdog looks at."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from time import monotonic, perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from ..signal_safe import signal_safe
from .thread_or_task import ThreadOrTask

if TYPE_CHECKING:
    from ...recording.registry import Registry

SLICE = 0.05
"""Seconds: how often a wait that another thread may end looks whether it has been."""


class WatchedLock(Protocol):
    """A lock, as the watchdog and the order of locks see it."""

    @property
    def name(self) -> str:
        """Its class: the name it was given, else the place where it was made."""

    @property
    def registry(self) -> Registry:
        """Where what happens to it is counted."""

    def blockers(self, mode: str) -> Iterable[ThreadOrTask]:
        """Return what has to release it before a wait in `mode` can end; nothing where that cannot be said.

        Called by another thread while the lock is in use: it must not wait, and may be a little out of date.
        """


class WaitMeter(Protocol):
    """Records the waits for one lock in one mode."""

    @property
    def mode(self) -> str:
        """How the lock is taken: `exclusive`, `read` or `write`."""

    def wait_began(self, wait: Wait) -> None:
        """Count the wait as in flight."""

    def wait_ended(self, wait: Wait, seconds: float, *, gave_up: bool) -> None:
        """Record how long the wait took."""

    def forget_wait(self, wait: Wait) -> None:
        """Count the wait as in flight no more; it may have ended already."""


class Wait:
    """One wait, from the moment a lock was found taken; leaving the block ends it.

    Attributes:
        contended: whether the lock was found taken; where that could not be tried, it is seen from how long this takes.
        taken: whether the lock was taken; if not, the wait gave up at its limit, or was ended by an exception.
        timed: whether it ends by itself, at a limit of its own.
        reported: what the watchdog has counted it as.
        error: what `end` was given.
    """

    __slots__ = (
        "__weakref__",
        "contended",
        "error",
        "lock",
        "meter",
        "reported",
        "since",
        "taken",
        "timed",
        "waiter",
    )

    def __init__(
        self, meter: WaitMeter, lock: WatchedLock, waiter: ThreadOrTask, *, timed: bool = False, contended: bool = True
    ) -> None:
        self.meter = meter
        self.lock = lock
        self.waiter = waiter
        self.timed = timed
        self.contended = contended
        self.taken = False
        self.reported = ""
        self.error: BaseException | None = None
        self.since = perf_counter()

    def __enter__(self) -> Self:
        # Weak, for an exception can come before the block is entered, and the loop of a task can be closed.
        _waits.add(weakref.ref(self, _waits.discard))
        self.meter.wait_began(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        waited = perf_counter() - self.since
        _waits.discard(weakref.ref(self))
        self.meter.wait_ended(self, waited, gave_up=error is None and not self.taken)

    def drop(self) -> None:
        """End it once more, since an exception may have come while it began or ended."""
        _waits.discard(weakref.ref(self))
        self.meter.forget_wait(self)

    def acquire(self, acquire: Callable[[bool, float], bool], timeout: float) -> bool:
        """Return `acquire(True, timeout)`; -1 is no limit.

        Raises:
            BaseException: what `end` was given.
        """
        taken = False
        if not _endable:
            for taken in signal_safe(partial(acquire, True, timeout)):
                break
            return taken
        limit = float("inf") if timeout < 0 else monotonic() + timeout
        while not taken:
            if self.error is not None:
                raise self.error
            left = max(0.0, limit - monotonic())
            for taken in signal_safe(partial(acquire, True, min(SLICE, left))):
                break
            if left == 0:
                break
        return taken

    def end(self, error: BaseException) -> None:
        """Have the wait raise this soon, where waits can be ended; a task is cancelled instead. The first call counts.

        Nothing happens if the wait ends before.
        """
        if self.error is not None:
            return
        self.error = error
        if self.waiter.task is not None:
            with suppress(RuntimeError):  # its loop is closed
                self.waiter.task.get_loop().call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self.waiter.task is not None and weakref.ref(self) in _waits:
            self.waiter.task.cancel(str(self.error))


_waits: set[weakref.ref[Wait]] = set()
_endable: list[bool] = []


def make_endable(on: bool) -> None:
    """Have waits that begin from now on look from time to time whether they shall end, until as often switched off."""
    if on:
        _endable.append(True)
    else:
        del _endable[-1:]


def under_way() -> list[Wait]:
    """Return every wait under way."""
    return [wait for reference in _waits.copy() if (wait := reference()) is not None]


def forget() -> None:
    """Forget all waits: in a forked child, they were those of the parent's threads."""
    _waits.clear()
