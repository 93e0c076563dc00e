"""Notices waits that last too long, and tells a deadlock from a mere stall.

A daemon thread that sleeps while nobody waits. It only looks: at the waits under way, at who holds what they wait
for, and at the stacks. It needs no event loop, so that it also sees what blocks one.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import catalog
from . import hooks
from .hooks import Owner, Waiting, call_stack, who

if TYPE_CHECKING:
    from asyncio import Task

DEADLOCK, STALL = "deadlock", "stall"
DEFAULT_LIMIT = 30.0
MAX_INCIDENTS = 100
"""How many of the latest incidents are kept to be looked at."""
MAX_ASIDE = 20
"""How many waits for one lock an incident lists; a stall may keep thousands of tasks waiting."""
_LOOKS_PER_LIMIT = 4
_LONGEST_PAUSE = 1.0
_CONFIRMATION = 0.01  # seconds after which a deadlock must still be the same; a passing state is not


class Wait(NamedTuple):
    """One wait of an incident.

    Attributes:
        lock: class of the lock.
        mode: how it was to be taken.
        by: who waits.
        seconds: for how long.
        stack: of the one who waits, outermost call first.
        holders: who has to let go first, each with its stack.
    """

    lock: str
    mode: str
    by: str
    seconds: float
    stack: tuple[str, ...]
    holders: tuple[tuple[str, tuple[str, ...]], ...]


class Incident(NamedTuple):
    """What the watchdog found once: a cycle of waits (`deadlock`), or waits behind one lock that last (`stall`)."""

    kind: str
    waits: tuple[Wait, ...]
    at: float

    def __str__(self) -> str:
        what = "deadlock: nobody of these can go on" if self.kind == DEADLOCK else "stall: waiting for too long"
        lines = [what]
        for wait in self.waits:
            lines.append(f"{wait.by} has waited {wait.seconds:.1f} s for {wait.lock!r} ({wait.mode}), at")
            lines.extend(f"    {place}" for place in wait.stack)
            for holder, stack in wait.holders:
                lines.append(f"  which {holder} holds, now at")
                lines.extend(f"    {place}" for place in stack)
        return "\n".join(lines)


class Watchdog:
    """Looks at waits that are longer than a limit.

    Args:
        limit: seconds.
    """

    def __init__(self, limit: float = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.incidents: deque[Incident] = deque(maxlen=MAX_INCIDENTS)
        self.listeners: list[Callable[[Incident], None]] = []  # called with each incident, by whoever looked
        self.thread_name = "mnemoscope-locks"
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()  # somebody waits
        self._changed = threading.Event()  # the limit is another one
        self._starting = threading.Lock()

    def notice(self) -> None:
        """Somebody waits: look from now on. Costs next to nothing once it does."""
        if not self._wake.is_set():
            self._wake.set()
        if self._thread is None and self._starting.acquire(False):
            try:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name=self.thread_name, daemon=True)
                    thread.start()
                    self._thread = thread
            except RuntimeError:
                pass  # no new threads while the interpreter ends; nothing is watched any more then
            finally:
                self._starting.release()

    def set_limit(self, seconds: float) -> None:
        """Change the limit; it takes effect at once."""
        self.limit = seconds
        self._changed.set()

    def look(self) -> list[Incident]:
        """Look once, in the calling thread; the incidents that are new, counted and logged."""
        now = perf_counter()
        late = [wait for wait in list(hooks.waits.values()) if now - wait.since >= self.limit]
        found = [incident for wait in late if (incident := _deadlock(wait))]
        by_lock: dict[int, list[Waiting]] = {}
        for wait in late:
            if id(wait) in hooks.waits and wait.told != DEADLOCK:
                by_lock.setdefault(id(wait.subject), []).append(wait)
        found.extend(incident for waits in by_lock.values() if (incident := _stall(waits)))
        return self._told(found)

    def look_for_deadlocks(self) -> list[Incident]:
        """As `look`, but for deadlocks alone, however young; for the end of a test, which nobody waits for."""
        return self._told([incident for wait in list(hooks.waits.values()) if (incident := _deadlock(wait))])

    def _told(self, found: list[Incident]) -> list[Incident]:
        for incident in found:
            self.incidents.append(incident)
            _log(incident)
            for listener in self.listeners:
                listener(incident)
        return found

    def forget(self) -> None:
        """In a forked child, where the thread is gone: start again when somebody waits."""
        self._thread = None
        self._wake = threading.Event()  # somebody waits
        self._changed = threading.Event()  # the limit is another one
        self._starting = threading.Lock()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if self._changed.wait(min(self.limit / _LOOKS_PER_LIMIT, _LONGEST_PAUSE)):
                self._changed.clear()
            if not hooks.waits:
                self._wake.clear()
                if hooks.waits:  # somebody began in between and found the flag still set
                    self._wake.set()
                continue
            try:
                self.look()
            except Exception:
                _log_failure()


def _deadlock(start: Waiting) -> Incident | None:
    """The deadlock that a wait is part of, if it is one that has not been told."""
    cycle = _cycle(start)
    if not cycle or all(wait.told == DEADLOCK for wait in cycle):
        return None
    time.sleep(_CONFIRMATION)
    again = _cycle(start)
    if {id(wait) for wait in again} != {id(wait) for wait in cycle}:
        return None
    registries = {id(wait.subject.registry): wait.subject.registry for wait in cycle}
    for registry in registries.values():
        registry.counter(catalog.LOCK_DEADLOCKS).inc()
    for wait in cycle:
        wait.told = DEADLOCK
    return Incident(DEADLOCK, _described(cycle), time.time())


def _cycle(start: Waiting) -> list[Waiting]:
    """The waits from `start` round to its own owner; none if that one can still go on.

    A thread waits for whoever holds its lock. A task waits likewise, and besides it stands still while the thread
    that runs it waits.
    """
    by_owner: dict[object, list[Waiting]] = {}
    for wait in list(hooks.waits.values()):
        by_owner.setdefault(wait.owner.key, []).append(wait)

    def next_waits(wait: Waiting) -> Iterable[Waiting]:
        for owner in wait.subject.blockers(wait.meter.mode):
            yield from by_owner.get(owner.key, ())
            if owner.task is not None:
                yield from by_owner.get(owner.thread, ())

    came: dict[int, Waiting] = {}
    queue = [start]
    for wait in queue:
        for following in next_waits(wait):
            if following is start:
                path = [wait]
                while path[-1] is not start:
                    path.append(came[id(path[-1])])
                return path[::-1]
            if id(following) not in came:
                came[id(following)] = wait
                queue.append(following)
    return []


def _stall(waits: list[Waiting]) -> Incident | None:
    """Count those of one lock's late waits that are new; the incident, unless they only join one that goes on."""
    new = [wait for wait in waits if not wait.told]
    goes_on = len(new) < len(waits)
    for wait in new:
        wait.told = STALL
        wait.subject.registry.counter(catalog.LOCK_STALLS, lock=wait.subject.name).inc()
    if goes_on or not new:
        return None
    return Incident(STALL, _described(waits[:MAX_ASIDE]), time.time())


def _described(waits: Iterable[Waiting]) -> tuple[Wait, ...]:
    now = perf_counter()
    return tuple(
        Wait(
            wait.subject.name,
            wait.meter.mode,
            who(*wait.owner),
            now - wait.since,
            stack_of(wait.owner),
            tuple((who(*owner), stack_of(owner)) for owner in wait.subject.blockers(wait.meter.mode)),
        )
        for wait in waits
    )


def stack_of(owner: Owner) -> tuple[str, ...]:
    """Where a thread or a suspended task is now, outermost call first; nothing if that cannot be seen."""
    if owner.task is not None and (stack := _task_stack(owner.task)):
        return stack
    return call_stack(sys._current_frames().get(owner.thread))


def _task_stack(task: Task[Any]) -> tuple[str, ...]:
    """The places of a suspended task, from its own coroutine down to what it awaits; nothing while it runs."""
    places: list[str] = []
    awaited: Any = task.get_coro()
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        if awaited.cr_running:
            return ()
        if not hooks.in_locks(frame):
            places.append(str(hooks.Place(frame.f_code, frame.f_lasti)))
        awaited = awaited.cr_await
    return tuple(places)


def _log(incident: Incident) -> None:
    import logging

    level = logging.ERROR if incident.kind == DEADLOCK else logging.WARNING
    logging.getLogger("mnemoscope").log(level, "%s", incident)


def _log_failure() -> None:
    import logging

    logging.getLogger("mnemoscope").exception("the watchdog of locks failed; it goes on")


watchdog = Watchdog()
"""The one of this process."""
hooks.on_wait = watchdog.notice
