"""The waits for locks that are under way. The watchdog looks at them, and tests can end them."""

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
"""Seconds. A wait that another thread may end checks this often whether it has been ended."""


class WatchedLock(Protocol):
    """What the watchdog and the order of locks need of a lock."""

    @property
    def name(self) -> str:
        """The class of the lock: its name, or the place where it was made."""

    @property
    def registry(self) -> Registry:
        """The registry that records this lock's metrics."""

    def blockers(self, mode: str) -> Iterable[ThreadOrTask]:
        """Return the threads and tasks that must release before a wait in `mode` can end; empty if they are unknown.

        Another thread calls this while the lock is in use. So it must not wait, and the answer may be slightly stale.
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
        """Stop counting the wait as in flight; it may have ended already."""


class Wait:
    """One wait for a lock, from the moment the lock was found taken. Leaving the block ends it.

    Attributes:
        contended: whether the lock was found taken. If the lock could not be tried, the length of the wait decides.
        taken: whether the wait got the lock. If not, it reached its time limit or was ended by an exception.
        timed: whether the wait has a time limit.
        reported: the kind of incident that the watchdog has counted it as.
        error: the exception that was passed to `end`.
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
        # Weak: an exception can come before the block is entered, and the event loop of a task can be closed.
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
        """End it again, because an exception may have come while it began or ended."""
        _waits.discard(weakref.ref(self))
        self.meter.forget_wait(self)

    def acquire(self, acquire: Callable[[bool, float], bool], timeout: float) -> bool:
        """Return `acquire(True, timeout)`; a timeout of -1 is no limit.

        Raises:
            BaseException: the exception that was passed to `end`.
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
        """Make the wait raise `error` soon, if waits can be ended; cancel a task instead. Only the first call counts.

        Nothing happens if the wait ends earlier.
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
    """Let `Wait.end` end waits that begin from now on. Calls nest: each `True` needs a `False`."""
    if on:
        _endable.append(True)
    else:
        del _endable[-1:]


def under_way() -> list[Wait]:
    """Return every wait under way."""
    return [wait for reference in _waits.copy() if (wait := reference()) is not None]


def forget() -> None:
    """Forget all waits, because in a forked child they belong to the parent's threads."""
    _waits.clear()
