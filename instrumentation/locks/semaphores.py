"""`Semaphore` and `BoundedSemaphore`: the semaphores of `threading`, which record how they are used."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from ..default import default_registry
from ..recording.registry import Registry
from .acquire import acquire_and_record
from .hold_times import HoldTimes
from .meter import EXCLUSIVE, meter_of
from .watch.places import creation_site
from .watch.thread_or_task import ThreadOrTask
from .watch.waits import Wait

_PlainSemaphore = threading.Semaphore

if TYPE_CHECKING:
    _Base = threading.Semaphore
else:
    _Base = object


class _RecordedSemaphore(_Base):
    """Records the waits and holds of the semaphore that follows it among the bases."""

    def __init__(self, value: int = 1, name: str | None = None, *, registry: Registry | None = None) -> None:
        _PlainSemaphore.__init__(self, value)  # `super()` may look up `threading.Semaphore`, which can be this class
        self.registry = registry or default_registry()
        self.name = name or creation_site()
        self._meter = meter_of(self.registry, self.name, EXCLUSIVE)
        self._hold_times = HoldTimes()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a permit. Return False if none is free now (`blocking` false) or within `timeout` seconds."""
        plain = super().acquire
        if not blocking and timeout is not None:
            return plain(blocking, timeout)  # raises

        def acquire(blocking: bool, seconds: float) -> bool:
            return plain(blocking, None if seconds < 0 else seconds)

        def wait_to_acquire(wait: Wait) -> bool:
            return wait.acquire(acquire, -1 if timeout is None else max(0.0, timeout))

        may_wait = blocking and (timeout is None or timeout > 0)
        return acquire_and_record(
            self,
            self._meter,
            try_acquire=partial(plain, False),
            wait_to_acquire=wait_to_acquire if may_wait else None,
            undo=partial(self._give_back, self._hold_times.depth()),
            acquired=self._hold_times.begin,
            timed=timeout is not None,
            ordered=False,
        )

    __enter__ = acquire

    def _give_back(self, depth: int) -> None:
        super().release()
        self._hold_times.undo(depth)

    def release(self, n: int = 1) -> None:
        """Release `n` permits. A permit that was never taken (a semaphore used as a signal) ends no hold."""
        super().release(n)
        for _ in range(n):
            ended = self._hold_times.end(whole=False)
            if ended is None:
                return
            self._meter.record_hold(ended)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return super().__repr__().replace(f"{type(self).__module__}.", "mnemoscope.", 1)

    def blockers(self, mode: str) -> Iterable[ThreadOrTask]:
        """Return nothing, because any thread may release a permit: a wait for one is never a certain deadlock."""
        return ()


class Semaphore(_RecordedSemaphore, threading.Semaphore):
    """`threading.Semaphore` that records.

    Args:
        value: the number of permits at first.
        name: its class; see `Lock`.
        registry: where it records; the default registry if not given.

    Permits have no owner, so a semaphore takes no part in the order of locks, and a wait for a permit can only stall.
    """


class BoundedSemaphore(_RecordedSemaphore, threading.BoundedSemaphore):
    """`threading.BoundedSemaphore` that records; see `Semaphore`."""

    def __init__(self, value: int = 1, name: str | None = None, *, registry: Registry | None = None) -> None:
        super().__init__(value, name or creation_site(), registry=registry)
        self._initial_value = value
