"""`Lock`: `threading.Lock` that tells.

The usual case, a lock that is free and held for microseconds, is written out in closures: their variables cost less
than attributes, and a special method that a slot holds is called without binding it. That makes it 2.2 times
`threading.Lock` on Python 3.11 instead of 2.8, and 1.8 on later ones. Everything else is off that path.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable, Iterable
from sys import _getframe
from threading import get_ident
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..default import default_registry
from ..registry import Registry
from . import hooks, order
from .hooks import EXCLUSIVE, Meter, Owner, creation_site, meter_of
from .state import LockState, Poisonable
from .tally import QUICK, Counts, living, tally_of

_tracking = False  # a copy of `order.tracking`: a variable of this module costs the least to look at
_stack_of: Callable[[int], list[order.Entry] | None] = order.stacks.get


def _nowhere(thread: int) -> None:
    """In place of the look-up where there are tasks: who holds what then takes longer to say."""


def _track(on: bool) -> None:
    global _tracking, _stack_of
    _tracking = on
    _stack_of = order.stacks.get if hooks.current_task is hooks.no_task else _nowhere
    for lock in living():
        if isinstance(lock, Lock):
            lock._switch()


order.on_switch.append(_track)


class _State(LockState):
    """A lock as others see it; `owner` is read from where the lock keeps it."""

    __slots__ = ("holder",)
    holder: Callable[[], int]

    def blockers(self, mode: str) -> Iterable[Owner]:
        return (Owner(self.holder()),)


class Lock(Poisonable):
    """A mutual exclusion lock with the interface and the errors of `threading.Lock`.

    Args:
        name: its class, for metrics and for the order of locks; the place where it is made if not given.
        poison: mark it as poisoned when a `with` block is left by an exception; see `poisoned` and `recover`.
        registry: where it records; the default registry if not given.

    A lock is counted as got without a wait when it is let go.
    """

    __slots__ = ("__enter__", "__exit__", "__weakref__", "_inner", "_paths", "acquire", "release")
    _state: _State

    def __init__(self, name: str | None = None, *, poison: bool = False, registry: Registry | None = None) -> None:
        registry = registry or default_registry()
        name = name or creation_site()
        meter = meter_of(registry, name, EXCLUSIVE)
        state = self._state = _State(name, registry, poison)
        self._inner = allocate_lock()
        paths = _paths(self._inner, state, meter)
        state.holder = paths.holder
        # Through the slots themselves: a subclass may have methods of these names.
        for slot in ("acquire", "release"):
            getattr(Lock, slot).__set__(self, getattr(paths, slot))
        self._paths = paths
        self._switch()
        tally_of(meter).add(self, paths.counts)
        self._switch()  # again: tracking may have begun before `living` knew of this one

    def _switch(self) -> None:
        """Enter and exit as it is to be now."""
        paths = self._paths
        _ENTER(self, paths.enter_tracked if _tracking else paths.enter)
        _EXIT(self, paths.exit_tracked if _tracking else paths.exit)

    if TYPE_CHECKING:

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            """Take the lock; False if it was not to be had at once (`blocking` false) or in `timeout` seconds."""

        def release(self) -> None:
            """Let go of it, whoever took it. Raises RuntimeError if nobody holds it."""

        def __enter__(self) -> bool: ...

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
        ) -> None: ...

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._inner.locked()

    def _is_held_by(self, thread: int) -> bool:
        return self.locked() and self._state.holder() == thread

    def _at_fork_reinit(self) -> None:
        self._inner._at_fork_reinit()  # type: ignore[attr-defined]  # what threading itself calls

    def __repr__(self) -> str:
        held = "locked" if self.locked() else "unlocked"
        return f"<{held} {type(self).__module__}.{type(self).__qualname__} object {self.name!r} at {id(self):#x}>"


_ENTER, _EXIT = (vars(Lock)[name].__set__ for name in ("__enter__", "__exit__"))


class _Paths(NamedTuple):
    """The functions of one lock, by what a `Lock` calls them."""

    enter: Callable[[], bool]
    exit: Callable[..., None]
    enter_tracked: Callable[[], bool]
    exit_tracked: Callable[..., None]
    acquire: Callable[..., bool]
    release: Callable[[], None]
    counts: Callable[[], Counts]
    holder: Callable[[], int]


def _paths(inner: Any, state: _State, meter: Meter) -> _Paths:
    try_acquire, free = inner.acquire, inner.release
    # These change only while the lock is held, so that one thread at a time writes them. The first two are
    # floats because adding to a float makes no new object.
    quick = quick_seconds = since = 0.0
    longer = waited = owner = 0
    # How long a hold may have been for the short way out; none is so short where something else is to be done.
    usual_limit = limit = -1.0 if state.poisons else QUICK
    entries: list[order.Entry] = []  # where the order of locks has this one, while `limit` is not the usual one

    # The variables of a closure are handed to it at each call, so the first two use few; their usual way has no jump.

    def enter() -> bool:
        nonlocal since, owner
        if try_acquire(False):
            owner = get_ident()
            since = perf_counter()
            return True
        return get(True, -1)

    def exit_(kind: object, error: object, traceback: object) -> Any:
        nonlocal quick, quick_seconds
        held = perf_counter() - since
        if held <= limit:
            quick += 1.0
            quick_seconds += held
            return free()  # None; handed on because that is the shortest way out
        return let_go(held, kind is not None)

    def enter_tracked() -> bool:
        nonlocal since, entries, limit, owner
        thread = get_ident()
        mine = _stack_of(thread)
        if mine is None or mine or not try_acquire(False):
            return get(True, -1)
        frame = _getframe(1)
        mine.append((state, frame, frame.f_lasti, None))
        entries = mine
        limit = -1.0
        owner = thread
        since = perf_counter()
        return True

    def exit_tracked(kind: object, error: object, traceback: object) -> None:
        nonlocal quick, quick_seconds, limit
        held = perf_counter() - since
        if held > QUICK or not entries:
            let_go(held, kind is not None)
            return
        last = entries.pop()
        if last[0] is not state:  # not let go in the order of taking
            entries.append(last)
            let_go(held, kind is not None)
            return
        limit = QUICK
        quick += 1.0
        quick_seconds += held
        free()

    def acquire(blocking: bool = True, timeout: float = -1) -> bool:
        nonlocal since, owner
        if _tracking or timeout != -1 or not try_acquire(False):
            return get(blocking, timeout)
        owner = get_ident()
        since = perf_counter()
        return True

    def release() -> Any:
        nonlocal quick, quick_seconds
        held = perf_counter() - since
        if held <= limit:
            quick += 1.0
            quick_seconds += held
            return free()
        return let_go(held, False)

    def get(blocking: bool = True, timeout: float = -1) -> bool:
        nonlocal since, waited, entries, limit, owner
        if timeout != -1 or blocking is not True:
            allocate_lock().acquire(blocking, timeout)  # raises what a lock raises for these arguments
        me = get_ident()
        may_wait = blocking and timeout != 0
        if may_wait and order.tracking:
            order.taking(state, me)
        if not try_acquire(False):
            if not may_wait:
                return False
            with meter.wait(state, Owner(me)) as waiting:
                waiting.taken = try_acquire(True, timeout)
            if not waiting.taken:
                return False
            waited += 1
        owner = me
        if order.tracking:
            mine = order.took(state, me, depth=3)
            entries = [] if state.poisons else mine  # the short way out knows nothing of poison
            limit = -1.0
        since = perf_counter()
        return True

    def let_go(held: float, failed: bool) -> None:
        nonlocal longer, limit
        if not inner.locked():
            free()  # raises
        longer += 1
        state.left(failed)
        if limit != usual_limit or order.tracking:
            order.released(state, owner)
            limit = usual_limit
        free()
        meter.held(held)

    def counts() -> Counts:
        return quick + longer - waited, quick, quick_seconds

    return _Paths(
        enter, exit_, get if state.poisons else enter_tracked, exit_tracked, acquire, release, counts, lambda: owner
    )
