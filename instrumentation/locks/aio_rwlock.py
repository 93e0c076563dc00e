"""A readers-writer lock for tasks: readers together, a writer alone, everybody in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Literal, NamedTuple

from ..default import default_registry
from ..registry import Registry
from . import order
from .aio_uses import Uses, myself
from .hooks import READ, WRITE, Owner, creation_site
from .state import LockState, Poisonable


class _Turn(NamedTuple):
    """Somebody in line; the future is done when it has the lock."""

    mode: str
    owner: Owner
    granted: asyncio.Future[None]


class AsyncSide(AbstractAsyncContextManager[None]):
    """One side of the lock as a block; it may be kept and used again, by many tasks at once."""

    __slots__ = ("_lock", "_mode")

    def __init__(self, lock: AsyncRWLock, mode: str) -> None:
        self._lock = lock
        self._mode = mode

    async def acquire(self) -> Literal[True]:
        """Wait for it, and return True."""
        return await self._lock._acquire(self._mode)

    def release(self) -> None:
        """Let go of it. Raises RuntimeError if nobody holds this side."""
        self._lock._release(self._mode)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._mode == WRITE:
            self._lock._state.left(kind is not None)
        self.release()


class AsyncRWLock(Poisonable):
    """Any number of tasks hold it for reading, or one for writing.

        concepts = scope.AsyncRWLock("concepts")

        async with concepts.read(): ...
        async with concepts.write(): ...

    Who asks waits for all who asked before, so that neither readers nor writers starve; readers next to each other in
    line go in together. It is not re-entrant: a task that holds it and asks again waits for itself if a writer is in
    line. As with asyncio's locks, the first wait binds it to the running event loop.

    Args:
        name: its class, for metrics and for the order of locks; the place where it is made if not given.
        poison: mark it as poisoned when a block that writes is left by an exception, cancellation included; see
            `poisoned` and `recover`.
        registry: where it records; the default registry if not given. Modes `read` and `write` are apart.
    """

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        self._state = LockState(name or creation_site(), registry or default_registry(), poison)
        self._line: deque[_Turn] = deque()
        self._inside = {READ: 0, WRITE: 0}
        self._uses = {mode: Uses(self, self._state, mode) for mode in (READ, WRITE)}
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def registry(self) -> Registry:
        """Where it is recorded."""
        return self._state.registry

    def __repr__(self) -> str:
        state = "unlocked"
        if self._inside[WRITE]:
            state = "write-locked"
        elif self._inside[READ]:
            state = f"read-locked, readers:{self._inside[READ]}"
        waiters = f", waiters:{len(self._line)}" if self._line else ""
        return f"<{object.__repr__(self)[1:-1]} [{state}{waiters}]>"

    def read(self) -> AsyncSide:
        """The lock as readers take it: an asynchronous context manager with `acquire` and `release`."""
        return AsyncSide(self, READ)

    def write(self) -> AsyncSide:
        """The lock as writers take it: an asynchronous context manager with `acquire` and `release`."""
        return AsyncSide(self, WRITE)

    def locked(self) -> bool:
        """Whether anybody holds it, for reading or for writing."""
        return self.held() is not None

    def held(self) -> str | None:
        """How it is held now: `"read"`, `"write"` or not at all."""
        return WRITE if self._inside[WRITE] else READ if self._inside[READ] else None

    @property
    def readers(self) -> int:
        """How many holds for reading there are now."""
        return self._inside[READ]

    async def acquire_read(self) -> Literal[True]:
        """Wait until no writer holds it or is in line before, and hold it for reading.

        Raises:
            RuntimeError: it is bound to another event loop.
        """
        return await self._acquire(READ)

    async def acquire_write(self) -> Literal[True]:
        """Wait until nobody holds it, and hold it for writing; raises as `acquire_read` does."""
        return await self._acquire(WRITE)

    def release_read(self) -> None:
        """Let go of one hold for reading.

        Raises:
            RuntimeError: nobody holds it for reading.
        """
        self._release(READ)

    def release_write(self) -> None:
        """Let go of the hold for writing.

        Raises:
            RuntimeError: nobody holds it for writing.
        """
        self._release(WRITE)

    def blockers(self, mode: str) -> list[Owner]:
        """Who holds it in a way that excludes `mode`, and writers in line; see `hooks.Subject`."""
        writers = self._uses[WRITE].owners()
        if mode == WRITE:
            return writers + self._uses[READ].owners()
        # A reader waits for the writer inside, else for the first one in line, who is before it.
        return writers or [turn.owner for turn in tuple(self._line) if turn.mode == WRITE][:1]

    # Inside ---------------------------------------------------------------------------------------

    def _is_held_by(self, thread: int) -> bool:
        return self._uses[WRITE].by_me()

    def _free(self, mode: str) -> bool:
        return not self._inside[WRITE] and (mode == READ or not self._inside[READ])

    async def _acquire(self, mode: str) -> Literal[True]:
        if order.tracking:
            order.taking(self, *myself())
        waited = not self._free(mode) or not all(turn.granted.cancelled() for turn in self._line)
        if waited:
            me = myself()
            with self._uses[mode].meter.wait(self, me) as waiting:
                await self._stand_in_line(mode, me)
                waiting.taken = True
        else:
            self._inside[mode] += 1
        self._uses[mode].took(self, waited=waited)
        return True

    async def _stand_in_line(self, mode: str, me: Owner) -> None:
        turn = _Turn(mode, me, self._bound_loop().create_future())
        self._line.append(turn)
        try:
            await turn.granted
        except asyncio.CancelledError:
            if not turn.granted.cancelled():  # let in, and cancelled before it could go on
                self._inside[mode] -= 1
            elif turn in self._line:
                self._line.remove(turn)
            self._admit()
            raise

    def _release(self, mode: str) -> None:
        if not self._inside[mode]:
            raise RuntimeError(f"RWLock is not acquired for {'writing' if mode == WRITE else 'reading'}.")
        self._inside[mode] -= 1
        self._admit()
        self._uses[mode].released(self)

    def _admit(self) -> None:
        """Let in whoever is first in line, and those behind who can go in together with it."""
        while self._line:
            turn = self._line[0]
            if not turn.granted.cancelled():
                if not self._free(turn.mode):
                    return
                self._inside[turn.mode] += 1
                turn.granted.set_result(None)
            self._line.popleft()

    def _bound_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if loop is not self._loop:
            raise RuntimeError(f"{self!r} is bound to a different event loop")
        return loop
