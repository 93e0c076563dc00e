"""`RWLock`: readers together, writers alone, and neither for ever behind the other."""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque
from collections.abc import Iterable
from threading import get_ident
from time import perf_counter
from types import TracebackType

from ..default import default_registry
from ..registry import Registry
from . import order
from .hooks import READ, WRITE, Owner, creation_site, meter_of
from .state import LockState, Poisonable


class _Turn:
    """Somebody in line; the gate opens when it is granted."""

    __slots__ = ("gate", "granted", "thread")

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.granted = False
        self.gate = allocate_lock()
        self.gate.acquire()

    def grant(self) -> None:
        """Let it go on."""
        self.granted = True
        self.gate.release()


class _Hold:
    """A hold under way."""

    __slots__ = ("depth", "since")

    def __init__(self) -> None:
        self.depth = 1
        self.since = perf_counter()


class _State(LockState):
    """The lock as the watchdog and the order of locks see it, and all that its mutex protects."""

    __slots__ = ("line_of_readers", "line_of_writers", "readers", "writer", "writing")

    def __init__(self, name: str, registry: Registry, poisons: bool) -> None:
        super().__init__(name, registry, poisons)
        self.readers: dict[int, _Hold] = {}
        self.writer = 0  # the thread that writes
        self.writing: _Hold | None = None
        self.line_of_readers: deque[_Turn] = deque()
        self.line_of_writers: deque[_Turn] = deque()

    def blockers(self, mode: str) -> Iterable[Owner]:
        if self.writing is not None:
            return [Owner(self.writer)]
        holders = [Owner(thread) for thread in list(self.readers)]
        if mode == WRITE:
            return holders
        return [Owner(turn.thread) for turn in list(self.line_of_writers)[:1]] or holders


class RWLock(Poisonable):
    """A readers-writer lock for threads.

        index = scope.RWLock("spatiotemporal")
        with index.read(): ...
        with index.write(): ...

    Readers hold it together. A reader that comes while a writer waits lines up behind it, and when a writer lets
    go, the readers in line go next, all of them: so writers and readers take turns, and nobody starves.

    Taking it again: a thread that reads may read again, at once, and a thread that writes may read or write again;
    releasing the write while it still reads leaves it reading. A thread that only reads may not write: it would
    wait for itself, and gets a RuntimeError instead.

    Args:
        name: its class; see `Lock`.
        poison: mark it as poisoned when a `with lock.write()` block is left by an exception.
        registry: where it records; the default registry if not given. Modes `read` and `write` are apart.
    """

    __slots__ = ("__weakref__", "_meters", "_mutex")
    _state: _State

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        registry = registry or default_registry()
        name = name or creation_site()
        self._meters = {mode: meter_of(registry, name, mode) for mode in (READ, WRITE)}
        self._state = _State(self._meters[WRITE].name, registry, poison)
        self._mutex = allocate_lock()  # held for a few instructions at a time, never while somebody waits

    def read(self) -> ReadSide:
        """The lock as readers take it: a context manager with `acquire` and `release`."""
        return ReadSide(self)

    def write(self) -> WriteSide:
        """The lock as writers take it: a context manager with `acquire` and `release`."""
        return WriteSide(self)

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return self.held() is not None

    def held(self) -> str | None:
        """How it is held now: `"read"`, `"write"` or not at all."""
        return WRITE if self._state.writing is not None else READ if self._state.readers else None

    @property
    def readers(self) -> int:
        """How many threads read now."""
        return len(self._state.readers)

    def acquire_read(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it for reading; False if that was not possible at once, or in `timeout` seconds.

        Raises:
            ValueError: the timeout is negative, or given without `blocking`.
        """
        state, me = self._state, get_ident()
        may_wait = _may_wait(blocking, timeout)
        if may_wait and order.tracking and me not in state.readers and state.writer != me:
            order.taking(state, me)
        with self._mutex:
            hold = state.readers.get(me)
            if hold is not None:
                hold.depth += 1
                return True
            free = state.writer == me or (state.writing is None and not state.line_of_writers)
            if free:
                state.readers[me] = _Hold()
            elif may_wait:
                turn = _Turn(me)
                state.line_of_readers.append(turn)
            else:
                return False
        return self._took(READ) if free else self._wait(READ, turn, timeout)

    def acquire_write(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it for writing; False if that was not possible at once, or in `timeout` seconds.

        Raises:
            ValueError: the timeout is negative, or given without `blocking`.
            RuntimeError: the calling thread reads; it has to let go of that first.
        """
        state, me = self._state, get_ident()
        may_wait = _may_wait(blocking, timeout)
        if may_wait and order.tracking and me not in state.readers and state.writer != me:
            order.taking(state, me)
        with self._mutex:
            if state.writer == me and state.writing is not None:
                state.writing.depth += 1
                return True
            if me in state.readers:
                raise RuntimeError("cannot write while reading: release the read lock first")
            free = state.writing is None and not state.readers and not state.line_of_writers
            if free:
                state.writer, state.writing = me, _Hold()
            elif may_wait:
                turn = _Turn(me)
                state.line_of_writers.append(turn)
            else:
                return False
        return self._took(WRITE) if free else self._wait(WRITE, turn, timeout)

    def release_read(self) -> None:
        """Let go of one reading. Raises RuntimeError if the calling thread does not read."""
        state, me = self._state, get_ident()
        with self._mutex:
            hold = state.readers.get(me)
            if hold is None:
                raise RuntimeError("cannot release un-acquired read lock")
            hold.depth -= 1
            if hold.depth:
                return
            del state.readers[me]
            self._admit(readers_first=False)
        self._let_go(READ, hold)

    def release_write(self) -> None:
        """Let go of one writing. Raises RuntimeError if the calling thread does not write."""
        state, me = self._state, get_ident()
        with self._mutex:
            hold = state.writing
            if hold is None or state.writer != me:
                raise RuntimeError("cannot release un-acquired write lock")
            hold.depth -= 1
            if hold.depth:
                return
            state.writer, state.writing = 0, None
            self._admit(readers_first=True)
        self._let_go(WRITE, hold)

    def _admit(self, *, readers_first: bool) -> None:
        """Grant the next turns, if the lock is free for them; with the mutex held."""
        state = self._state
        if state.writing is not None:
            return
        if readers_first or not state.line_of_writers:
            while state.line_of_readers:
                turn = state.line_of_readers.popleft()
                state.readers[turn.thread] = _Hold()
                turn.grant()
        if state.line_of_writers and not state.readers:
            turn = state.line_of_writers.popleft()
            state.writer, state.writing = turn.thread, _Hold()
            turn.grant()

    def _wait(self, mode: str, turn: _Turn, timeout: float) -> bool:
        try:
            with self._meters[mode].wait(self._state, Owner(turn.thread)) as waiting:
                waiting.taken = turn.gate.acquire(True, timeout) or not self._leave(mode, turn)
        except BaseException:
            # Interrupted: out of the line, or, if the turn came at that moment, out of the lock.
            if not self._leave(mode, turn):
                self.release_read() if mode == READ else self.release_write()
            raise
        if waiting.taken:
            self._track()
        return waiting.taken

    def _leave(self, mode: str, turn: _Turn) -> bool:
        """Out of the line; False if the turn came first, and the lock is held."""
        state = self._state
        with self._mutex:
            if turn.granted:
                return False
            line = state.line_of_readers if mode == READ else state.line_of_writers
            if turn in line:
                line.remove(turn)
                # Readers behind a writer that has given up need not wait for it any more.
                self._admit(readers_first=not state.line_of_writers)
            return True

    def _took(self, mode: str) -> bool:
        self._meters[mode].took()
        self._track()
        return True

    def _track(self) -> None:
        if order.tracking:
            order.took(self._state, get_ident(), depth=4)

    def _let_go(self, mode: str, hold: _Hold) -> None:
        self._meters[mode].held(perf_counter() - hold.since)
        if order.tracking:
            order.released(self._state, get_ident())

    def _is_held_by(self, thread: int) -> bool:
        return self._state.writing is not None and self._state.writer == thread

    def _at_fork_reinit(self) -> None:
        self._mutex = allocate_lock()
        self._state = _State(self._state.name, self._state.registry, self._state.poisons)

    def __repr__(self) -> str:
        state = self._state
        held = f"{self.held()}-locked" if self.locked() else "unlocked"
        waiting = len(state.line_of_readers) + len(state.line_of_writers)
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
        """Whether somebody reads."""
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
        """Whether somebody writes."""
        return self._lock.held() == WRITE

    def __enter__(self) -> bool:
        return self._lock.acquire_write()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock._state.left(kind is not None)
        self._lock.release_write()


def _may_wait(blocking: bool, timeout: float) -> bool:
    if timeout != -1 or blocking is not True:
        allocate_lock().acquire(blocking, timeout)  # raises what a lock raises for these arguments
    return bool(blocking) and timeout != 0
