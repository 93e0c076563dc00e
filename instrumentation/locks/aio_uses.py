"""Who holds a lock of tasks, since when, and how often it was got: what every such lock notes at each use."""

from __future__ import annotations

import asyncio
from asyncio import current_task
from threading import get_ident
from time import perf_counter
from typing import Any

from . import hooks, order
from .hooks import Owner, Subject
from .state import LockState
from .tally import QUICK, Counts, tally_of


def running_task() -> asyncio.Task[Any] | None:
    """The task that runs in this thread, if one does."""
    loop = asyncio._get_running_loop()
    return None if loop is None else current_task(loop)


hooks.current_task = running_task
order.renew()  # locks of threads take longer to say who holds them from here on
hooks.pass_over(asyncio.locks.__file__)  # `async with lock` and `Condition.wait` acquire from there


def myself() -> Owner:
    """Who asks for a lock here: the running task, or this thread in a callback."""
    return Owner(get_ident(), running_task())


class Uses:
    """The uses of one lock in one mode.

    Only the thread of the lock's event loop changes them, so plain numbers do; others may read at any time.
    """

    __slots__ = ("_at_once", "_holds", "_ordered", "_quick", "_quick_seconds", "meter")

    def __init__(self, lock: Subject, state: LockState, mode: str, *, ordered: bool = True) -> None:
        self._ordered = ordered
        self.meter = hooks.meter_of(state.registry, state.name, mode)
        self._holds: list[tuple[asyncio.Task[Any] | None, int, float]] = []
        self._at_once = self._quick = 0
        self._quick_seconds = 0.0
        tally_of(self.meter).add(lock, self._counts)

    def took(self, lock: Subject, *, waited: bool) -> None:
        """Who runs here has it now; a wait has recorded itself."""
        task, thread = running_task(), get_ident()
        self._holds.append((task, thread, perf_counter()))
        if not waited:
            self._at_once += 1
        if order.tracking and self._ordered:
            order.took(lock, thread, task)

    def released(self, lock: Subject) -> None:
        """A hold has ended: one of who runs here, else, for any task may release a lock, the oldest.

        Nothing happens when none is known, as of a semaphore that is released without having been acquired.
        """
        holds = self._holds
        if not holds:
            return
        at = 0
        if len(holds) > 1:
            me = running_task()
            at = next((at for at, hold in enumerate(holds) if hold[0] is me), 0)
        task, thread, since = holds.pop(at)
        held = perf_counter() - since
        if held < QUICK:
            self._quick += 1
            self._quick_seconds += held
        else:
            self.meter.held(held)
        if order.tracking and self._ordered:
            order.released(lock, thread, task)

    def by_me(self) -> bool:
        """Whether who runs here has it."""
        me = myself()
        return any(owner.key == me.key for owner in self.owners())

    def owners(self) -> list[Owner]:
        """Who has it."""
        return [Owner(thread, task) for task, thread, _ in tuple(self._holds)]

    def _counts(self) -> Counts:
        return self._at_once, self._quick, self._quick_seconds
