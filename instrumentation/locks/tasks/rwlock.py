"""`AsyncRWLock`: a readers-writer lock for tasks. Readers are together, a writer is alone, and all go in one line.

Each acquisition is a turn. A turn waits in `_line`, and then is among the current holds of `_reads` or `_writes`.
`_admit` runs after each change and lets in the turns at the head of the line that can go now.

A wait can end at any point: by cancellation, by `close()` of its coroutine, by an exception from a signal handler, or
with its event loop. So each change is a series of steps, each of which leaves the lock valid and may be repeated.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Literal

from ...recording.registry import Registry
from ..meter import READ, WRITE
from ..poison import Poisonable
from ..watch import order
from ..watch.holders import tracker
from ..watch.thread_or_task import ThreadOrTask
from ..watch.waits import Wait
from .holds import TaskHold, TaskHolds, caller_identity, running_task


class _Turn(TaskHold):
    """A place in line, and then a hold. If it has to wait, its future `granted` is done when it is let in."""

    __slots__ = ("granted", "mode")

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.granted: asyncio.Future[None] | None = None

    def is_gone(self) -> bool:
        """Return whether its wait has ended: it was cancelled, or its event loop was closed."""
        granted = self.granted
        return granted is not None and (granted.cancelled() or granted.get_loop().is_closed())

    def let_in(self) -> None:
        """End its wait, if it waits."""
        if self.granted is not None and not self.granted.done():
            self.granted.set_result(None)


class AsyncSide(AbstractAsyncContextManager[None]):
    """One side of the lock as a context manager. Many tasks may share it and use it again."""

    __slots__ = ("_lock", "_mode")

    def __init__(self, lock: AsyncRWLock, mode: str) -> None:
        self._lock = lock
        self._mode = mode

    async def acquire(self) -> Literal[True]:
        """Wait for this side, take it, and return True."""
        return await self._lock._acquire(self._mode)

    def release(self) -> None:
        """Release this side. Raise RuntimeError if it is not held."""
        self._lock._release(self._mode)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._mode == WRITE:
                self._lock._poison_if(failed=kind is not None)
        finally:
            self.release()


class AsyncRWLock(Poisonable):
    """A lock that any number of tasks can hold for reading, or one task for writing.

        concepts = scope.AsyncRWLock("concepts")

        async with concepts.read(): ...
        async with concepts.write(): ...

    A task waits for all tasks that asked before it, so neither readers nor writers starve. Readers next to each other
    in line go in together. The lock is not re-entrant: a task that holds it and acquires it again waits for itself if
    a writer is in line. As with asyncio's locks, the first wait binds it to the running event loop. If that loop is
    closed, its waits are dropped at the next use. For time limits, see `AsyncLock`.

    Args:
        name: its class, for metrics and for the order of locks; the place where it is made if not given.
        poison: mark it as poisoned when a block that writes is left by an exception, cancellation included; see
            `poisoned` and `recover`.
        registry: where it records; the default registry if not given. `read` and `write` are separate modes.
    """

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        self._identify(name, registry, poisons=poison)
        self._line: deque[_Turn] = deque()
        self._reads: TaskHolds[_Turn] = TaskHolds(self, READ)
        self._writes: TaskHolds[_Turn] = TaskHolds(self, WRITE)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        state = "unlocked"
        if self._writes.current:
            state = "write-locked"
        elif self.readers:
            state = f"read-locked, readers:{self.readers}"
        waiters = f", waiters:{len(self._line)}" if self._line else ""
        return f"<{object.__repr__(self)[1:-1]} [{state}{waiters}]>"

    def read(self) -> AsyncSide:
        """Return the lock as readers take it: an asynchronous context manager with `acquire` and `release`."""
        return AsyncSide(self, READ)

    def write(self) -> AsyncSide:
        """Return the lock as writers take it: an asynchronous context manager with `acquire` and `release`."""
        return AsyncSide(self, WRITE)

    def locked(self) -> bool:
        """Return whether it is held, for reading or for writing."""
        return self.held() is not None

    def held(self) -> str | None:
        """Return how it is held now: `"read"`, `"write"` or None."""
        return WRITE if self._writes.current else READ if self._reads.current else None

    @property
    def readers(self) -> int:
        """The number of holds for reading now."""
        return len(self._reads.current)

    async def acquire_read(self) -> Literal[True]:
        """Wait until no writer holds it or is in line before the caller, and hold it for reading.

        Raises:
            RuntimeError: it is bound to another event loop.
        """
        return await self._acquire(READ)

    async def acquire_write(self) -> Literal[True]:
        """Wait until it is free, and hold it for writing. Raise as `acquire_read` does."""
        return await self._acquire(WRITE)

    def release_read(self) -> None:
        """Release one hold for reading.

        Raises:
            RuntimeError: it is not held for reading.
        """
        self._release(READ)

    def release_write(self) -> None:
        """Release the hold for writing.

        Raises:
            RuntimeError: it is not held for writing.
        """
        self._release(WRITE)

    def blockers(self, mode: str) -> list[ThreadOrTask]:
        """Return the tasks that hold it and exclude `mode`, or the first writer in line; see `WatchedLock.blockers`."""
        writers = self._writes.holders()
        if mode == WRITE:
            return writers + self._reads.holders()
        # A reader waits for the writer inside, else for the first one in line, which is before it.
        in_line = (turn.holder() for turn in self._line.copy() if turn.mode == WRITE)
        return writers or [holder for holder in in_line if holder is not None][:1]

    # Inside ---------------------------------------------------------------------------------------

    def _is_held_by(self, thread: int) -> bool:
        return self._writes.held_by_caller()

    def _holds(self, mode: str) -> TaskHolds[_Turn]:
        return self._writes if mode == WRITE else self._reads

    async def _acquire(self, mode: str) -> Literal[True]:
        if tracker.local is not None:
            order.add_edges(self, running_task())
        holds, turn = self._holds(mode), _Turn(mode)
        try:
            self._line.append(turn)
            self._admit()
            waited = turn not in holds.current
            if waited:
                with Wait(holds.meter, self, caller_identity()) as wait:
                    turn.granted = self._bound_loop().create_future()
                    if turn not in holds.current:
                        await turn.granted
                    wait.taken = True
            holds.begin(self, turn, waited=waited)
            return True
        except BaseException:
            self._leave(turn)
            raise

    def _release(self, mode: str) -> None:
        holds = self._writes if mode == WRITE else self._reads
        for turn in holds.current:  # without a call, in which a signal handler could raise
            if turn.since:
                break
        else:
            raise RuntimeError(f"RWLock is not acquired for {'writing' if mode == WRITE else 'reading'}.")
        try:
            if len(holds.current) > 1:
                turn = holds.of_caller() or turn
        finally:
            self._leave(turn)

    def _leave(self, turn: _Turn) -> None:
        """Take a turn out of the lock or out of the line, and let in the turns that can go now."""
        try:
            self._remove(turn)
        except BaseException:
            self._remove(turn)
            raise

    def _remove(self, turn: _Turn) -> None:
        self._holds(turn.mode).end(turn)
        if turn in self._line:
            self._line.remove(turn)
        self._admit()

    def _admit(self) -> None:
        """Let in the first turn in line, and the turns behind it that can go in together with it."""
        while self._line:
            turn = self._line[0]
            if not turn.is_gone():
                if not self._is_free(turn):
                    return
                self._holds(turn.mode).current[turn] = None
                turn.let_in()
            if self._line and self._line[0] is turn:
                del self._line[0]

    def _is_free(self, turn: _Turn) -> bool:
        reads, writes = self._reads.current, self._writes.current
        return turn in reads or turn in writes or not (writes or (reads and turn.mode == WRITE))

    def _bound_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if loop is not self._loop:
            raise RuntimeError(f"{self!r} is bound to a different event loop")
        return loop
