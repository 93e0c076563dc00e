"""Locks of asyncio that tell: asyncio's own primitives, with their rules, that report what happens to them.

Each is a subclass of the primitive that it stands for, so fairness, cancellation and the binding to one event loop
are those of the Python that runs it. Nothing imports this module before one of its names is used.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from ..default import default_registry
from ..registry import Registry
from . import order
from .aio_uses import Uses, myself
from .hooks import EXCLUSIVE, Owner, creation_site
from .state import LockState, Poisonable

if TYPE_CHECKING:

    class _Primitive:
        """What the primitives of asyncio have in common."""

        def locked(self) -> bool: ...
        async def acquire(self) -> Literal[True]: ...
        def release(self) -> None: ...
else:
    _Primitive = object


class _Telling(_Primitive):
    """Comes before a primitive of asyncio among the bases, and reports what that does."""

    _ordered = True  # has a part in the order of locks

    def _tell(self, name: str | None, registry: Registry | None, *, poison: bool = False) -> None:
        self._state = LockState(name or creation_site(), registry or default_registry(), poison)
        self._uses = Uses(self, self._state, EXCLUSIVE, ordered=self._ordered)
        self._asking = 0  # acquisitions under way that found it taken

    @property
    def name(self) -> str:
        """Its class: the name it was given, else the place where it was made."""
        return self._state.name

    @property
    def registry(self) -> Registry:
        """Where it is recorded."""
        return self._state.registry

    async def acquire(self) -> Literal[True]:
        """As asyncio's: wait until it is free, take it, and return True."""
        if order.tracking and self._ordered:
            order.taking(self, *myself())
        # Free for a moment it may be and yet promised to those who asked before.
        waited = self._asking > 0 or self.locked()
        if waited:
            self._asking += 1
            try:
                with self._uses.meter.wait(self, myself()) as waiting:
                    waiting.taken = await super().acquire()
            finally:
                self._asking -= 1
        else:
            await super().acquire()
        self._uses.took(self, waited=waited)
        return True

    def release(self) -> None:
        """As asyncio's, including the error when there is nothing to release; any task may do it."""
        super().release()
        self._uses.released(self)

    def blockers(self, mode: str) -> list[Owner]:
        """Who holds it; see `hooks.Subject`."""
        return self._uses.owners()


class AsyncLock(_Telling, asyncio.Lock, Poisonable):
    """`asyncio.Lock` that tells.

    Args:
        name: its class, for metrics and for the order of locks; the place where it is made if not given.
        poison: mark it as poisoned when an `async with` block is left by an exception, cancellation included; see
            `poisoned` and `recover`.
        registry: where it records; the default registry if not given.
    """

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        super().__init__()
        self._tell(name, registry, poison=poison)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._state.left(kind is not None)
        self.release()

    def _is_held_by(self, thread: int) -> bool:
        return self._uses.by_me()


class AsyncCondition(asyncio.Condition):
    """`asyncio.Condition` on an `AsyncLock` that tells.

    Args:
        lock: the lock to use; one that tells, or it is not recorded. A new `AsyncLock` if not given.
        name: its class, where no lock is given; see `AsyncLock`.
        registry: where it records; the default registry if not given.

    Waiting to be notified is no wait for a lock and is not recorded; taking the lock again afterwards is one.
    """

    def __init__(
        self, lock: asyncio.Lock | None = None, name: str | None = None, *, registry: Registry | None = None
    ) -> None:
        super().__init__(AsyncLock(name, registry=registry) if lock is None else lock)


class AsyncSemaphore(_Telling, asyncio.Semaphore):
    """`asyncio.Semaphore` that tells; a hold is one permit.

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
        self._tell(name, registry)

    def blockers(self, mode: str) -> list[Owner]:
        """Nobody in particular: any task may give a permit back."""
        return []


class AsyncBoundedSemaphore(AsyncSemaphore, asyncio.BoundedSemaphore):
    """`asyncio.BoundedSemaphore` that tells: to release more than was acquired raises ValueError.

    Its arguments and errors are those of `AsyncSemaphore`.
    """

    def __init__(self, value: int = 1, name: str | None = None, *, registry: Registry | None = None) -> None:
        super().__init__(value, name, registry=registry)
