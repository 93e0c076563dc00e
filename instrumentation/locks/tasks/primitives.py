"""Locks of asyncio that record: asyncio's own primitives, with their rules, that report what happens to them.

Each is a subclass of the primitive that it stands for, so fairness, cancellation and the binding to one event loop
are those of the Python that runs it. Nothing imports this module before one of its names is used.

What asyncio's own do not survive, these do not either: where a wait is closed after it was let in, or its event loop is
closed with the wait under way, the lock keeps it, and is of no more use.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from ...default import default_registry
from ...recording.registry import Registry
from ..meter import EXCLUSIVE
from ..poison import Poisonable
from ..watch import order
from ..watch.held import tracker
from ..watch.owners import Owner
from ..watch.places import creation_site
from ..watch.waits import Waiting
from .uses import Use, Uses, myself, running_task

if TYPE_CHECKING:

    class _Primitive:
        """What the primitives of asyncio have in common."""

        def locked(self) -> bool: ...
        async def acquire(self) -> Literal[True]: ...
        def release(self) -> None: ...
else:
    _Primitive = object


class _Observed(_Primitive):
    """Comes before a primitive of asyncio among the bases, and reports what that does."""

    _ordered = True  # has a part in the order of locks

    def _observe(self, name: str | None, registry: Registry | None) -> None:
        self.name = name or creation_site()
        self.registry = registry or default_registry()
        self._uses: Uses[Use] = Uses(self, EXCLUSIVE, ordered=self._ordered)
        self._asking = 0  # acquisitions under way that found it taken

    async def acquire(self) -> Literal[True]:
        """As asyncio's: wait until it is free, take it, and return True."""
        if tracker.local is not None and self._ordered:
            order.taking(self, running_task())
        # It may be free for a moment, and yet promised to a task that asked before.
        waited = self._asking > 0 or self.locked()
        use, taken = Use(), False
        try:
            if waited:
                self._asking += 1
                try:
                    with Waiting(self._uses.meter, self, myself()) as waiting:
                        taken = waiting.taken = await super().acquire()
                finally:
                    self._asking -= 1
            else:
                taken = await super().acquire()
            self._uses.began(self, use, waited=waited)
            return True
        except BaseException:
            if taken:
                self._let_go(use)
            raise

    def release(self) -> None:
        """As asyncio's, including the error when there is nothing to release; any task may do it."""
        use = None
        for use in self._uses.holds:  # no call, in which a signal handler could raise
            break
        try:
            if len(self._uses.holds) > 1:
                use = self._uses.mine() or use
        finally:
            self._let_go(use)

    def _let_go(self, use: Use | None) -> None:
        release = super().release
        try:
            release()
        finally:
            if use is not None:
                try:
                    self._uses.ended(use)
                except BaseException:
                    self._uses.ended(use)
                    raise

    def blockers(self, mode: str) -> list[Owner]:
        """Return what holds it; see `waits.Subject`."""
        return self._uses.owners()


class AsyncLock(_Observed, asyncio.Lock, Poisonable):
    """`asyncio.Lock` that records.

    Args:
        name: its class, for metrics and for the order of locks; the place where it is made if not given.
        poison: mark it as poisoned when an `async with` block is left by an exception, cancellation included; see
            `poisoned` and `recover`.
        registry: where it records; the default registry if not given.

    A cycle of tasks that wait for each other is reported as a deadlock, even where `asyncio.timeout` or `wait_for` will
    end one of the waits: that cannot be seen. On Python 3.11, `wait_for(lock.acquire(), ...)` acquires in a task of its
    own, which then has ended: so the holder is not known, a deadlock through it is reported as a stall, and any task
    may `recover`.
    """

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        super().__init__()
        self._observe(name, registry)
        self._can_be_poisoned(poison)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._left(failed=kind is not None)
        finally:
            self.release()

    def _is_held_by(self, thread: int) -> bool:
        return self._uses.by_me()


class AsyncCondition(asyncio.Condition):
    """`asyncio.Condition` on an `AsyncLock` that records.

    Args:
        lock: the lock to use; one that records, or it is not recorded. A new `AsyncLock` if not given.
        name: its class, where no lock is given; see `AsyncLock`.
        registry: where it records; the default registry if not given.

    Waiting to be notified is no wait for a lock and is not recorded; taking the lock again afterwards is one.
    """

    def __init__(
        self, lock: asyncio.Lock | None = None, name: str | None = None, *, registry: Registry | None = None
    ) -> None:
        super().__init__(AsyncLock(name, registry=registry) if lock is None else lock)


class AsyncSemaphore(_Observed, asyncio.Semaphore):
    """`asyncio.Semaphore` that records; a hold is one permit.

    Args:
        value: how many permits there are at first.
        name: its class; see `AsyncLock`.
        registry: where it records; the default registry if not given.

    Permits have no owner, so semaphores have no part in the order of locks, and a wait for one can only stall.

    Raises:
        ValueError: `value` is negative.
    """

    _ordered = False

    def __init__(self, value: int = 1, name: str | None = None, *, registry: Registry | None = None) -> None:
        super().__init__(value)
        self._observe(name, registry)

    def blockers(self, mode: str) -> list[Owner]:
        """Return nothing: any task may give a permit back."""
        return []


class AsyncBoundedSemaphore(AsyncSemaphore, asyncio.BoundedSemaphore):
    """`asyncio.BoundedSemaphore` that records: to release more than was acquired raises ValueError.

    Its arguments and errors are those of `AsyncSemaphore`.
    """

    def __init__(self, value: int = 1, name: str | None = None, *, registry: Registry | None = None) -> None:
        super().__init__(value, name, registry=registry)
