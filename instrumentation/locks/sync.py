"""`Condition`, `Semaphore` and `BoundedSemaphore`: those of `threading`, on locks that tell."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..default import default_registry
from ..registry import Registry
from .holds import Holds
from .hooks import EXCLUSIVE, Owner, creation_site, meter_of
from .rlock import RLock


class Condition(threading.Condition):
    """`threading.Condition` on an `RLock` that tells.

    Args:
        lock: the lock to use; one that tells, or it is not recorded. A new `RLock` if not given.
        name: its class, where no lock is given; see `Lock`.
        registry: where it records; the default registry if not given.

    Waiting to be notified is no wait for a lock and is not recorded; taking the lock again afterwards is one.
    """

    def __init__(self, lock: Any = None, name: str | None = None, *, registry: Registry | None = None) -> None:
        if lock is None:
            lock = RLock(name or creation_site(), registry=registry)
        super().__init__(lock)


if TYPE_CHECKING:
    _Base = threading.Semaphore
else:
    _Base = object


class _Observed(_Base):
    """A semaphore that records; put before the one that it is."""

    def __init__(self, value: int = 1, name: str | None = None, *, registry: Registry | None = None) -> None:
        super().__init__(value)
        self.registry = registry or default_registry()
        self.name = name or creation_site()
        self._meter = meter_of(self.registry, self.name, EXCLUSIVE)
        self._holds = Holds()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a permit; False if there was none at once (`blocking` false) or in `timeout` seconds."""
        if not blocking or timeout == 0:
            if not super().acquire(blocking, timeout):
                return False
            self._meter.took()
        elif super().acquire(False):
            self._meter.took()
        else:
            with self._meter.wait(self, Owner(get_ident())) as waiting:
                waiting.taken = super().acquire(True, timeout)
            if not waiting.taken:
                return False
        self._holds.begin()
        return True

    __enter__ = acquire

    def release(self, n: int = 1) -> None:
        """Give back `n` permits; those that nobody took (a semaphore used as a signal) are no end of a hold."""
        super().release(n)
        for _ in range(n):
            ended = self._holds.end(whole=False)
            if ended is None:
                return
            self._meter.held(ended[1])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return super().__repr__().replace(f"{type(self).__module__}.", "mnemoscope.", 1)

    def blockers(self, mode: str) -> Iterable[Owner]:
        """Nobody in particular: anybody may give a permit back, so that waiting for one is never a sure deadlock."""
        return ()


class Semaphore(_Observed, threading.Semaphore):
    """`threading.Semaphore` that tells.

    Args:
        value: how many permits there are at first.
        name: its class; see `Lock`.
        registry: where it records; the default registry if not given.

    Permits have no owner, so semaphores have no part in the order of locks, and a wait for one can only stall.
    """


class BoundedSemaphore(_Observed, threading.BoundedSemaphore):
    """`threading.BoundedSemaphore` that tells; see `Semaphore`."""
