"""`RWLock`: readers together, writers alone, and neither starved by the other.

A signal handler's exception, or a handler or finaliser that takes the lock itself, can come at any point. So each
change is a series of steps that leave the lock valid, and that may be repeated: what was interrupted is done again.
"""

from __future__ import annotations

import os
from _thread import RLock as PlainRLock
from _thread import allocate_lock
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from threading import get_ident
from time import perf_counter
from types import TracebackType

from ..default import default_registry
from ..recording.registry import Registry
from .acquire import acquire_and_record, check_arguments
from .meter import READ, WRITE, meter_of
from .poison import Poisonable
from .watch.holders import Hold, tracker
from .watch.places import creation_site
from .watch.thread_or_task import ThreadOrTask
from .watch.waits import Wait

_forks = [0]
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _forks.append(_forks.pop() + 1))


class _Turn:
    """One thread's place in line, and then its hold; the gate opens when it is let in."""

    __slots__ = ("depth", "gate", "hold", "mode", "since", "thread")

    def __init__(self, mode: str, thread: int) -> None:
        self.mode = mode
        self.thread = thread
        self.depth = 1
        self.since = 0.0
        self.hold: Hold | None = None
        self.gate = allocate_lock()
        self.gate.acquire()

    def open(self) -> None:
        """Let it go on; also if it has been let go on before."""
        if self.gate.locked():
            with suppress(RuntimeError):  # a handler has just done it
                self.gate.release()


class RWLock(Poisonable):
    """A readers-writer lock for threads.

        index = scope.RWLock("spatiotemporal")
        with index.read(): ...
        with index.write(): ...

    Readers hold it together. A reader that comes while a writer waits lines up behind it, and when a writer releases,
    the readers in line go next, all of them: so writers and readers take turns.

    Taking it again: a thread that reads may read again, at once, and a thread that writes may read or write again;
    releasing the write while it still reads leaves it reading. A thread that only reads may not write: it would
    wait for itself, and gets a RuntimeError instead. A signal handler or finaliser may try it (`blocking=False`), but
    must not wait for it: that may be a wait for the very code that it interrupts.

    Args:
        name: its class; see `Lock`.
        poison: mark it as poisoned when a `with lock.write()` block is left by an exception.
        registry: where it records; the default registry if not given. Modes `read` and `write` are apart.
    """

    __slots__ = (
        "__weakref__",
        "_forks",
        "_inside",
        "_lines",
        "_meters",
        "_mutex",
        "_readers_next",
        "_reading",
        "_writer",
    )

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        self.registry = registry or default_registry()
        self.name = name or creation_site()
        self._can_be_poisoned(poison)
        self._meters = {mode: meter_of(self.registry, self.name, mode) for mode in (READ, WRITE)}
        self._forks = _forks[-1]
        self._begin()

    def _begin(self) -> None:
        # Holder for a few instructions at a time. Re-entrant, for handlers and finalisers that come in the middle.
        self._mutex = PlainRLock()
        self._writer: _Turn | None = None
        self._inside: set[_Turn] = set()
        """The turns that read."""
        self._reading: dict[int, _Turn] = {}
        """The turn of each thread that reads; written by that thread alone."""
        self._lines: dict[str, deque[_Turn]] = {READ: deque(), WRITE: deque()}
        self._readers_next = False

    def read(self) -> ReadSide:
        """Return the lock as readers take it: a context manager with `acquire` and `release`."""
        return ReadSide(self)

    def write(self) -> WriteSide:
        """Return the lock as writers take it: a context manager with `acquire` and `release`."""
        return WriteSide(self)

    def locked(self) -> bool:
        """Return whether it is held."""
        return self.held() is not None

    def held(self) -> str | None:
        """Return how it is held now: `"read"`, `"write"` or not at all."""
        return WRITE if self._writer is not None else READ if self._inside else None

    @property
    def readers(self) -> int:
        """How many threads read now."""
        return len(self._inside)

    def acquire_read(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it for reading; False if that was not possible at once, or within `timeout` seconds.

        Raises:
            ValueError: the timeout is negative, or given without `blocking`.
        """
        return self._acquire(READ, check_arguments(blocking, timeout), timeout)

    def acquire_write(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it for writing; False if that was not possible at once, or within `timeout` seconds.

        Raises:
            ValueError: the timeout is negative, or given without `blocking`.
            RuntimeError: the calling thread reads; it has to release that first.
        """
        return self._acquire(WRITE, check_arguments(blocking, timeout), timeout)

    def release_read(self) -> None:
        """Release one reading. Raises RuntimeError if the calling thread does not read."""
        self._release(READ)

    def release_write(self) -> None:
        """Release one writing. Raises RuntimeError if the calling thread does not write."""
        self._release(WRITE)

    def blockers(self, mode: str) -> Iterable[ThreadOrTask]:
        """Return what holds it in a way that excludes `mode`, or is in line before; see `waits.WatchedLock`."""
        writer = self._writer
        if writer is not None:
            return [ThreadOrTask(writer.thread)]
        holders = [ThreadOrTask(turn.thread) for turn in list(self._inside)]
        if mode == WRITE:
            return holders
        return [ThreadOrTask(turn.thread) for turn in list(self._lines[WRITE])[:1]] or holders

    # One thread's own turns -----------------------------------------------------------------------

    def _reads(self, thread: int) -> _Turn | None:
        turn = self._reading.get(thread)
        return turn if turn in self._inside else None

    def _writes(self, thread: int) -> _Turn | None:
        turn = self._writer
        return turn if turn is not None and turn.thread == thread else None

    def _acquire(self, mode: str, may_wait: bool, timeout: float) -> bool:
        if self._forks != _forks[-1]:
            self._forks, self._mutex = _forks[-1], PlainRLock()  # a thread of the parent may have held it
        me = get_ident()
        reads, writes = self._reads(me), self._writes(me)
        again = reads if mode == READ else writes
        if again is not None:
            again.depth += 1
            return True
        if mode == WRITE and reads is not None:
            raise RuntimeError("cannot write while reading: release the read lock first")
        turn = _Turn(mode, me)
        return acquire_and_record(
            self,
            self._meters[mode],
            try_acquire=partial(self._try, turn),
            wait_to_acquire=partial(self._wait, turn, timeout) if may_wait else None,
            undo=partial(self._leave, turn),
            acquired=partial(self._acquired, turn),
            timed=timeout >= 0,
            ordered=writes is None,
        )

    def _acquired(self, turn: _Turn) -> None:
        if turn.mode == READ:
            self._reading[turn.thread] = turn
        turn.hold = hold = tracker.hold(self)
        if hold is not None:
            hold.begin()
        turn.since = perf_counter()

    def _release(self, mode: str) -> None:
        released: list[_Turn] = []
        try:
            self._release_once(mode, released)
        except BaseException:
            if not released:
                self._release_once(mode, released)
            raise
        if not released:
            raise RuntimeError(f"cannot release un-acquired {mode} lock")
        turn = released[0]
        if turn.depth == 0:
            self._meters[mode].record_hold(perf_counter() - turn.since)

    def _release_once(self, mode: str, released: list[_Turn]) -> None:
        turn = (self._reads if mode == READ else self._writes)(get_ident())
        if turn is None:
            return
        if turn.depth == 1:
            self._leave(turn)
        turn.depth, released[:] = turn.depth - 1, [turn]

    # The line; steps that may be repeated ---------------------------------------------------------

    # A handler or a finaliser may run at every call, and use the lock. So between a condition and the assignment, or
    # the one call, that it allows, there is no other call.

    def _try(self, turn: _Turn) -> bool:
        try:
            with self._mutex:
                return self._try_to_read(turn) if turn.mode == READ else self._try_to_write(turn)
        except BaseException:
            self._leave(turn)
            raise

    def _try_to_read(self, turn: _Turn) -> bool:
        writer = self._writer
        if (writer is None and not self._lines[WRITE]) or (writer is not None and writer.thread == turn.thread):
            self._inside.add(turn)
            return True
        return False

    def _try_to_write(self, turn: _Turn) -> bool:
        if self._writer is None and not self._inside and not self._lines[WRITE]:
            self._writer = turn
            return True
        return False

    def _wait(self, turn: _Turn, timeout: float, waiting: Wait) -> bool:
        try:
            with self._mutex:
                self._lines[turn.mode].append(turn)
                self._admit()
            taken = waiting.acquire(turn.gate.acquire, timeout)
            if not taken:
                with self._mutex:
                    taken = self._is_inside(turn)
            if taken:
                return True
        except BaseException:
            self._leave(turn)
            raise
        self._leave(turn)
        return False

    def _leave(self, turn: _Turn) -> None:
        """Take a turn out of the lock or out of the line, and let in what can go now."""
        try:
            self._remove(turn)
        except BaseException:
            self._remove(turn)
            raise

    def _remove(self, turn: _Turn) -> None:
        with self._mutex:
            line = self._lines[turn.mode]
            if turn in line:
                line.remove(turn)
            if turn is self._writer:
                self._readers_next = True
                self._writer = None
            self._inside.discard(turn)
            if self._reading.get(turn.thread) is turn:
                self._reading.pop(turn.thread, None)  # a handler may have come in between
            if turn.hold is not None:
                turn.hold.end()
            self._admit()

    def _admit(self) -> None:
        """Let in those whose turn it is; with the mutex held."""
        readers, writers = self._lines[READ], self._lines[WRITE]
        self._open(readers)  # what an exception has kept from going in
        self._open(writers)
        while self._writer is None and (self._readers_next or not writers) and readers:
            self._inside.add(readers[0])
            self._open(readers)
        if not readers:
            self._readers_next = False
        if self._writer is None and not self._inside and writers:
            self._writer = writers[0]
            self._open(writers)

    def _open(self, line: deque[_Turn]) -> None:
        """Open the gate to those at the head of a line that have been let in."""
        while line and self._is_inside(turn := line[0]):
            turn.open()
            if line and line[0] is turn:
                line.popleft()

    def _is_inside(self, turn: _Turn) -> bool:
        return turn is self._writer or turn in self._inside

    def _is_held_by(self, thread: int) -> bool:
        return self._writes(thread) is not None

    def _at_fork_reinit(self) -> None:
        self._begin()

    def __repr__(self) -> str:
        held = f"{self.held()}-locked" if self.locked() else "unlocked"
        waiting = sum(map(len, self._lines.values()))
        return f"<{held} RWLock {self.name!r} readers={self.readers} waiting={waiting} at {id(self):#x}>"


class _Side:
    """One side of a readers-writer lock, with what an exclusive lock has."""

    __slots__ = ("_lock",)

    def __init__(self, lock: RWLock) -> None:
        self._lock = lock

    @property
    def name(self) -> str:
        """The name of the lock."""
        return self._lock.name

    @property
    def registry(self) -> Registry:
        """Where the lock records."""
        return self._lock.registry


class ReadSide(_Side):
    """`RWLock.read()`."""

    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `RWLock.acquire_read`."""
        return self._lock.acquire_read(blocking, timeout)

    def release(self) -> None:
        """As `RWLock.release_read`."""
        self._lock.release_read()

    def locked(self) -> bool:
        """Return whether a thread reads."""
        return self._lock.readers > 0

    def __enter__(self) -> bool:
        return self._lock.acquire_read()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release_read()


class WriteSide(_Side):
    """`RWLock.write()`."""

    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `RWLock.acquire_write`."""
        return self._lock.acquire_write(blocking, timeout)

    def release(self) -> None:
        """As `RWLock.release_write`."""
        self._lock.release_write()

    def locked(self) -> bool:
        """Return whether a thread writes."""
        return self._lock.held() == WRITE

    def __enter__(self) -> bool:
        return self._lock.acquire_write()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                self._lock._left(failed=True)
        finally:
            self._lock.release_write()
