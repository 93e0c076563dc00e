"""`Lock`: `threading.Lock` that records how it is used."""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import repeat
from sys import _getframe
from threading import get_ident
from time import perf_counter
from types import CodeType, TracebackType
from typing import TYPE_CHECKING, Any

from ..default import default_registry
from ..recording.registry import Registry
from .meter import EXCLUSIVE, QUICK, check_arguments, meter_of, take
from .poison import Poisonable
from .watch.held import Held, tracker
from .watch.owners import Owner, current_task, task_finders
from .watch.places import caller, creation_site

if TYPE_CHECKING:
    from asyncio import Task


class Lock(Poisonable):
    """A mutual exclusion lock with the interface and the errors of `threading.Lock`.

    Args:
        name: its class, for metrics and for the order of locks; the place where it is made if not given.
        poison: mark it as poisoned when a `with` block is left by an exception; see `poisoned` and `recover`.
        registry: where it records; the default registry if not given.

    A lock is counted as taken without a wait when it is released.
    """

    __slots__ = (
        "__weakref__",
        "_inner",
        "_meter",
        "_owner",
        "_since",
        "_tries",
        "_uses",
        "code",
        "held",
        "instruction",
        "task",
    )
    code: CodeType
    instruction: int

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        self.registry = registry or default_registry()
        self.name = name or creation_site()
        self._can_be_poisoned(poison)
        self._meter = meter_of(self.registry, self.name, EXCLUSIVE)
        self._uses = self._meter.uses_of(self)
        self._inner = allocate_lock()
        # As `once`, kept: `for` takes the lock with no moment for a signal handler before that is known.
        self._tries: Iterator[bool] = map(self._inner.acquire, repeat(False))
        # These change only while the lock is held.
        self._since = 0.0
        self._owner = 0
        self.held: Held | None = None
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
            held = local.held
            if held.first is not None or held.others or task_finders:
                return self._take(True, -1)
            frame = _getframe(1)
            for taken in self._tries:
                break
            if not taken:
                return self._take(True, -1)
            self.held = held
            held.first = self
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
                uses = self._uses
                uses.quick += 1.0
                uses.seconds += lasted
                held = self.held
                if held is not None:
                    self.held = None
                    if held.first is self:
                        held.first = None
                    else:
                        self.task = None
                        held.drop(self)
                return
            self._leave(lasted, failed=kind is not None)
        except BaseException:
            self.held = None  # then it does not count as held any more, even if it stays in the list
            raise
        finally:
            self._inner.release()
        if lasted > QUICK:
            self._meter.held(lasted)

    def _leave(self, lasted: float, *, failed: bool) -> None:
        if lasted <= QUICK:
            self._uses.quick += 1.0
            self._uses.seconds += lasted
        else:
            self._uses.longer += self._inner.locked()  # else it is not held, and the release will fail
        self._left(failed=failed)
        held, self.held, self.task = self.held, None, None
        if held is not None:
            held.drop(self)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; False if it was not free at once (`blocking` false) or within `timeout` seconds."""
        if blocking is True and timeout == -1 and tracker.local is None:
            return Lock.__enter__(self)
        return self._take(blocking, timeout)

    def release(self) -> None:
        """Release it; any thread may. Raises RuntimeError if it is not held."""
        Lock.__exit__(self, None, None, None)

    def _take(self, blocking: bool, timeout: float) -> bool:
        may_wait = check_arguments(blocking, timeout)
        acquire = self._inner.acquire
        return take(
            self,
            self._meter,
            attempt=partial(acquire, False),
            wait=(lambda waiting: waiting.acquire(acquire, timeout)) if may_wait else None,
            release=self._give_back,
            began=self._began,
            timed=timeout >= 0,
        )

    def _began(self) -> None:
        local, thread, now = tracker.local, get_ident(), perf_counter()
        if local is not None:
            frame, held, task = caller(1), local.held, current_task()
            self.code, self.instruction, self.task, self.held = frame.f_code, frame.f_lasti, task, held
            held.others.append(self)
        self._owner = thread
        self._uses.waits += 1
        self._since = now

    def _give_back(self) -> None:
        held, self.held = self.held, None
        self._inner.release()
        if held is not None:
            held.drop(self)

    @property
    def subject(self) -> Lock:
        """The lock itself: it is its own hold."""
        return self

    def blockers(self, mode: str) -> Iterable[Owner]:
        """Return its holder; see `waits.Subject`."""
        return (Owner(self._holder()),)

    def locked(self) -> bool:
        """Return whether it is held."""
        return self._inner.locked()

    def _is_held_by(self, thread: int) -> bool:
        return self.locked() and self._holder() == thread

    def _holder(self) -> int:
        """Return the thread that took it last; it means something only while the lock is held."""
        held = self.held
        return self._owner if held is None or held.thread is None else held.thread

    def _at_fork_reinit(self) -> None:
        self._inner._at_fork_reinit()  # type: ignore[attr-defined]  # what threading itself calls

    def __repr__(self) -> str:
        state = "locked" if self.locked() else "unlocked"
        return f"<{state} {type(self).__module__}.{type(self).__qualname__} object {self.name!r} at {id(self):#x}>"
