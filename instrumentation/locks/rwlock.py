"""`RWLock`: readers together, writers alone, and neither starved by the other.

Each acquisition is a turn. A turn is in one of three places: in a line (`_lines`, one for readers and one for writers),
inside the lock (`_inside` for turns that read, `_writer` for the turn that writes), or gone. A turn that can go in
immediately skips its line. Any other turn waits at its gate, a plain lock that `_admit` opens when the turn is let in.
`_admit` runs after each change.

A signal handler's exception can come at any point, and so can a handler or a finaliser that uses the lock. Therefore
each change is a series of steps, each of which leaves the lock valid and may be repeated. What was interrupted is done
again from its beginning.
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

from ..recording.registry import Registry
from .acquire import acquire_and_record, check_arguments
from .meter import READ, WRITE, meter_of
from .poison import Poisonable
from .watch.holders import Hold, tracker
from .watch.thread_or_task import ThreadOrTask
from .watch.waits import Wait

_forks = [0]  # the number of forks that led to this process
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _forks.append(_forks.pop() + 1))


class _Turn:
    """One thread's place in line, and then its hold. Its gate opens when the turn is let in."""

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
        """Open the gate, even if it is open already."""
        if self.gate.locked():
            with suppress(RuntimeError):  # a signal handler has just done it
                self.gate.release()


class RWLock(Poisonable):
    """A readers-writer lock for threads.

        index = scope.RWLock("spatiotemporal")
        with index.read(): ...
        with index.write(): ...

    Readers hold it together. A reader that comes while a writer waits lines up behind the writer. When a writer
    releases, all readers in line go next. So writers and readers take turns.

    A thread that reads may read again without a wait. A thread that writes may read or write again; if it then releases
    the write first, it still reads. A thread that only reads may not write: it would wait for itself, so it gets a
    RuntimeError. A signal handler or finaliser may try the lock (`blocking=False`), but must not wait for it: it may
    have interrupted the holder.

    Args:
        name: its class; see `Lock`.
        poison: mark it as poisoned when a `with lock.write()` block is left by an exception.
        registry: where it records; the default registry if not given. `read` and `write` are separate modes.
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
        self._identify(name, registry, poisons=poison)
        self._meters = {mode: meter_of(self.registry, self.name, mode) for mode in (READ, WRITE)}
        self._forks = _forks[-1]
        self._begin()

    def _begin(self) -> None:
        # Held for a few instructions at a time. Re-entrant, because a handler or finaliser can come in the middle.
        self._mutex = PlainRLock()
        self._writer: _Turn | None = None
        self._inside: set[_Turn] = set()
        """The turns that read."""
        self._reading: dict[int, _Turn] = {}
        """The turn of each thread that reads. Only that thread writes its entry."""
        self._lines: dict[str, deque[_Turn]] = {READ: deque(), WRITE: deque()}
        self._readers_next = False
        """Whether a writer has just released, so that the readers in line go before the next writer."""

    def read(self) -> RWLockSide:
        """Return the lock as readers take it: a context manager with `acquire` and `release`."""
        return RWLockSide(self, READ)

    def write(self) -> RWLockSide:
        """Return the lock as writers take it: a context manager with `acquire` and `release`."""
        return RWLockSide(self, WRITE)

    def locked(self) -> bool:
        """Return whether it is held."""
        return self.held() is not None

    def held(self) -> str | None:
        """Return how it is held now: `"read"`, `"write"` or None."""
        return WRITE if self._writer is not None else READ if self._inside else None

    @property
    def readers(self) -> int:
        """The number of threads that read now."""
        return len(self._inside)

    def acquire_read(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it for reading. Return False if that is not possible now, or within `timeout` seconds.

        Raises:
            ValueError: the timeout is negative, or given without `blocking`.
        """
        return self._acquire(READ, check_arguments(blocking, timeout), timeout)

    def acquire_write(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it for writing. Return False if that is not possible now, or within `timeout` seconds.

        Raises:
            ValueError: the timeout is negative, or given without `blocking`.
            RuntimeError: the calling thread reads; it has to release the read first.
        """
        return self._acquire(WRITE, check_arguments(blocking, timeout), timeout)

    def release_read(self) -> None:
        """Release one read. Raise RuntimeError if the calling thread does not read."""
        self._release(READ)

    def release_write(self) -> None:
        """Release one write. Raise RuntimeError if the calling thread does not write."""
        self._release(WRITE)

    def blockers(self, mode: str) -> Iterable[ThreadOrTask]:
        """Return the threads that hold it and exclude `mode`, or are first in line; see `WatchedLock.blockers`."""
        writer = self._writer
        if writer is not None:
            return [ThreadOrTask(writer.thread)]
        holders = [ThreadOrTask(turn.thread) for turn in list(self._inside)]
        if mode == WRITE:
            return holders
        return [ThreadOrTask(turn.thread) for turn in list(self._lines[WRITE])[:1]] or holders

    # One thread's own turns -----------------------------------------------------------------------

    def _reads(self, thread: int) -> _Turn | None:
        """Return the turn of a thread that reads."""
        turn = self._reading.get(thread)
        return turn if turn in self._inside else None

    def _writes(self, thread: int) -> _Turn | None:
        """Return the turn of a thread that writes."""
        turn = self._writer
        return turn if turn is not None and turn.thread == thread else None

    def _acquire(self, mode: str, may_wait: bool, timeout: float) -> bool:
        if self._forks != _forks[-1]:
            self._forks, self._mutex = _forks[-1], PlainRLock()  # a thread of the parent may have held the old one
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
        """Leave one level of the calling thread's turn, and put that turn into `released`."""
        turn = (self._reads if mode == READ else self._writes)(get_ident())
        if turn is None:
            return
        if turn.depth == 1:
            self._leave(turn)
        turn.depth, released[:] = turn.depth - 1, [turn]

    # The lines. Every step below may be repeated --------------------------------------------------

    # A handler or a finaliser can run at every call, and use the lock. So a condition and the change that depends on it
    # (an assignment or a single call) have no other call between them.

    def _try(self, turn: _Turn) -> bool:
        """Let a turn in if it can go now."""
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

    def _wait(self, turn: _Turn, timeout: float, wait: Wait) -> bool:
        """Put a turn in line and wait at its gate. Take it out of the line if it is not let in within `timeout`."""
        try:
            with self._mutex:
                self._lines[turn.mode].append(turn)
                self._admit()
            taken = wait.acquire(turn.gate.acquire, timeout)
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
        """Take a turn out of the lock or out of its line, and let in the turns that can go now."""
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
                self._reading.pop(turn.thread, None)  # a handler may have removed it in between
            if turn.hold is not None:
                turn.hold.end()
            self._admit()

    def _admit(self) -> None:
        """Let in the turns that can go now. The caller holds the mutex."""
        readers, writers = self._lines[READ], self._lines[WRITE]
        self._open(readers)  # turns that were let in, but whose gates an exception kept closed
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
        """Open the gates of the turns at the head of a line that have been let in."""
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


class RWLockSide:
    """One side of a readers-writer lock, `RWLock.read()` or `RWLock.write()`, with the interface of a lock."""

    __slots__ = ("_lock", "_mode")

    def __init__(self, lock: RWLock, mode: str) -> None:
        self._lock = lock
        self._mode = mode

    @property
    def name(self) -> str:
        """The name of the lock."""
        return self._lock.name

    @property
    def registry(self) -> Registry:
        """The registry where the lock records."""
        return self._lock.registry

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take this side, as `RWLock.acquire_read` or `RWLock.acquire_write` does."""
        return self._lock._acquire(self._mode, check_arguments(blocking, timeout), timeout)

    def release(self) -> None:
        """Release this side, as `RWLock.release_read` or `RWLock.release_write` does."""
        self._lock._release(self._mode)

    def locked(self) -> bool:
        """Return whether a thread holds this side."""
        return self._lock.readers > 0 if self._mode == READ else self._lock.held() == WRITE

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is not None and self._mode == WRITE:
                self._lock._poison_if(failed=True)
        finally:
            self._lock._release(self._mode)
