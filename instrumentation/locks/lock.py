"""`Lock`: `threading.Lock` that records how it is used."""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Iterable, Iterator
from itertools import repeat
from sys import _getframe
from threading import get_ident
from time import perf_counter
from types import CodeType, TracebackType
from typing import TYPE_CHECKING, Any

from ..recording.registry import Registry
from .acquire import acquire_primitive
from .meter import EXCLUSIVE, QUICK, meter_of
from .poison import Poisonable
from .watch.holders import Holder, tracker
from .watch.places import caller
from .watch.thread_or_task import ThreadOrTask, current_task, task_finders

if TYPE_CHECKING:
    from asyncio import Task


class Lock(Poisonable):
    """A mutual exclusion lock with the interface and the errors of `threading.Lock`.

    Args:
        name: its class, for metrics and for the order of locks; the place where it is made if not given.
        poison: mark it as poisoned when a `with` block is left by an exception; see `poisoned` and `recover`.
        registry: where it records; the default registry if not given.

    An acquisition without a wait is counted when the lock is released.

    A free lock must cost little. So `__enter__` and `__exit__` do in place, for the usual case, what `_take`,
    `_acquired` and `_end_hold` do for all others. The lock also serves as its own `watch.holders.Hold`.
    """

    __slots__ = (
        "__weakref__",
        "_counts",
        "_inner",
        "_meter",
        "_owner",
        "_since",
        "_tries",
        "code",
        "holder",
        "instruction",
        "task",
    )
    code: CodeType
    instruction: int

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        self._identify(name, registry, poisons=poison)
        self._meter = meter_of(self.registry, self.name, EXCLUSIVE)
        self._counts = self._meter.use_counts(self)
        self._inner = allocate_lock()
        # Like `signal_safe`, but kept and used for every try.
        self._tries: Iterator[bool] = map(self._inner.acquire, repeat(False))
        # These change only while the lock is held.
        self._since = 0.0
        self._owner = 0
        self.holder: Holder | None = None
        self.task: Task[Any] | None = None

    def __enter__(self) -> bool:
        local = tracker.local
        if local is None:
            thread = get_ident()
            for taken in self._tries:
                break
            if not taken:
                return self._take(True, -1)
            self._owner = thread
        else:
            holder = local.holder
            if holder.first is not None or holder.others or task_finders:
                return self._take(True, -1)
            frame = _getframe(1)
            for taken in self._tries:
                break
            if not taken:
                return self._take(True, -1)
            self.holder = holder
            holder.first = self
            self.code = frame.f_code
            self.instruction = frame.f_lasti
        try:
            self._since = perf_counter()
        except BaseException:  # out of a signal handler
            self._give_back()
            raise
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            lasted = perf_counter() - self._since
            self._since = 0.0
            if lasted <= QUICK and kind is None:
                counts = self._counts
                counts.quick += 1.0
                counts.seconds += lasted
                holder = self.holder
                if holder is not None:
                    self.holder = None
                    if holder.first is self:
                        holder.first = None
                    else:
                        self.task = None
                        holder.drop(self)
                return
            self._end_hold(lasted, failed=kind is not None)
        except BaseException:
            self.holder = None  # so it does not count as held, even if the holder still lists it
            raise
        finally:
            self._inner.release()
        if lasted > QUICK:
            self._meter.record_hold(lasted)

    def _end_hold(self, lasted: float, *, failed: bool) -> None:
        if lasted <= QUICK:
            self._counts.quick += 1.0
            self._counts.seconds += lasted
        else:
            self._counts.longer += self._inner.locked()  # else it is not held, and the release will fail
        self._poison_if(failed=failed)
        holder, self.holder, self.task = self.holder, None, None
        if holder is not None:
            holder.drop(self)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock. Return False if it is not free now (`blocking` false) or within `timeout` seconds."""
        if blocking is True and timeout == -1 and tracker.local is None:
            return Lock.__enter__(self)
        return self._take(blocking, timeout)

    def release(self) -> None:
        """Release it; any thread may. Raise RuntimeError if it is not held."""
        Lock.__exit__(self, None, None, None)

    def _take(self, blocking: bool, timeout: float) -> bool:
        return acquire_primitive(
            self, self._meter, self._inner.acquire, blocking, timeout, undo=self._give_back, acquired=self._acquired
        )

    def _acquired(self) -> None:
        local, thread, now = tracker.local, get_ident(), perf_counter()
        if local is not None:
            frame, holder, task = caller(1), local.holder, current_task()
            self.code, self.instruction, self.task, self.holder = frame.f_code, frame.f_lasti, task, holder
            holder.others.append(self)
        self._owner = thread
        self._counts.waits += 1
        self._since = now

    def _give_back(self) -> None:
        holder, self.holder = self.holder, None
        self._inner.release()
        if holder is not None:
            holder.drop(self)

    @property
    def lock(self) -> Lock:
        """The lock itself, because it is its own hold."""
        return self

    def blockers(self, mode: str) -> Iterable[ThreadOrTask]:
        """Return its holder; see `WatchedLock.blockers`."""
        return (ThreadOrTask(self._holder()),)

    def locked(self) -> bool:
        """Return whether it is held."""
        return self._inner.locked()

    def _is_held_by(self, thread: int) -> bool:
        return self.locked() and self._holder() == thread

    def _holder(self) -> int:
        """Return the thread that took it last. This is valid only while the lock is held."""
        holder = self.holder
        return self._owner if holder is None or holder.thread is None else holder.thread

    def _at_fork_reinit(self) -> None:
        self._inner._at_fork_reinit()  # type: ignore[attr-defined]  # what threading itself calls

    def __repr__(self) -> str:
        state = "locked" if self.locked() else "unlocked"
        return f"<{state} {type(self).__module__}.{type(self).__qualname__} object {self.name!r} at {id(self):#x}>"
