"""DropLog waits that last too long, and distinguishes a deadlock from a stall.

A daemon thread, which sleeps while nothing waits. It only looks: at the waits under way, at what holds the locks, and
at the stacks. It needs no event loop, so that it also sees what blocks one. It logs what is found about locks, so that
no logging handler runs in a thread that holds some.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from _thread import allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from time import perf_counter
from typing import NamedTuple

from ... import catalog
from .owners import Owner, stack_of
from .waits import Waiting, under_way

DEADLOCK, STALL = "deadlock", "stall"
DEFAULT_LIMIT = 30.0
MAX_INCIDENTS = 100
"""How many of the latest incidents are kept to be looked at."""
MAX_LISTED = 20
"""How many waits, and how many holders of one lock, an incident lists; a stall may keep thousands of tasks waiting."""
_LOOKS_PER_LIMIT = 4
_LONGEST_PAUSE = 1.0
_CONFIRMATION = 0.01  # seconds after which a deadlock must still be the same; a passing state is not


class Wait(NamedTuple):
    """One wait of an incident.

    Attributes:
        lock: class of the lock.
        mode: how it was to be taken.
        by: the thread or task that waits.
        seconds: for how long.
        stack: of that thread or task, outermost call first.
        holders: what has to release it first, each with its stack.
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
        what = "deadlock: none of these can go on" if self.kind == DEADLOCK else "stall: waiting for too long"
        lines = [what]
        for wait in self.waits:
            lines.append(f"{wait.by} has waited {wait.seconds:.1f} s for {wait.lock!r} ({wait.mode}), at")
            lines.extend(f"    {place}" for place in wait.stack)
            for holder, stack in wait.holders:
                lines.append(f"  which {holder} holds, now at")
                lines.extend(f"    {place}" for place in stack)
        return "\n".join(lines)


class _Bell:
    """Wakes a thread. Unlike a `threading.Event`, it can be rung where another ring was interrupted: nothing waits."""

    def __init__(self) -> None:
        self._silent = allocate_lock()
        self._silent.acquire()

    def ring(self) -> None:
        with suppress(RuntimeError):  # another thread has just rung it
            if self._silent.locked():
                self._silent.release()

    def wait(self, seconds: float) -> None:
        """Return once it was rung, or after so many seconds; -1 is no limit."""
        self._silent.acquire(timeout=seconds)


class Watchdog:
    """Looks at waits that are longer than a limit.

    Args:
        limit: seconds.
    """

    def __init__(self, limit: float = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.incidents: deque[Incident] = deque(maxlen=MAX_INCIDENTS)
        self.listeners: list[Callable[[Incident], None]] = []  # called with each incident, in the thread that looked
        self.after_look: list[Callable[[], None]] = []  # called in the watchdog's thread after it has looked
        self.thread_name = "mnemoscope-locks"
        self.forget()

    def forget(self) -> None:
        """Begin anew in a forked child, where the thread is gone and what it had to log is the parent's."""
        self._bell = _Bell()
        self._awake = False  # changed by the thread alone
        self._started = False
        self._running = allocate_lock()
        self._looking = allocate_lock()
        self._late: set[int] = set()
        self._unlogged: deque[Incident | str] = deque()

    # These are called wherever a lock is taken, also by a finaliser or a signal handler amid the same call.

    def notice(self) -> None:
        """Look at waits from now on, since one has begun. Costs next to nothing once it does."""
        if not self._awake:
            self._wake()

    def log_soon(self, finding: Incident | str) -> None:
        """Have the watchdog's thread log it. The caller may hold locks that a logging handler needs."""
        self._unlogged.append(finding)
        self._wake()

    def _wake(self) -> None:
        self._bell.ring()
        if not self._started:
            # No `threading.Thread`: its `start` waits for the new thread, which may need what the caller holds.
            with suppress(RuntimeError):  # no new threads while the interpreter ends; nothing is watched any more then
                start_new_thread(self._run, ())

    # ----------------------------------------------------------------------------------------------

    def set_limit(self, seconds: float) -> None:
        """Change the limit; it takes effect at once."""
        self.limit = seconds
        self._bell.ring()

    def log(self) -> None:
        """Wait until what was found is logged, at most a second; at exit, it would be cut off."""
        if self._unlogged:
            self._wake()
        until = perf_counter() + _LONGEST_PAUSE
        while self._unlogged and perf_counter() < until:
            time.sleep(0.002)

    def look(self) -> list[Incident]:
        """Look once, in the calling thread; return the incidents that are new, and counted. They are logged soon."""
        now = perf_counter()
        with self._looking:
            late = {id(wait): wait for wait in under_way() if now - wait.since >= self.limit}
            if not late or (late.keys() == self._late and all(wait.reported for wait in late.values())):
                return []
            self._late = set(late)
            found, unsure = _deadlocks(late)
            by_lock: dict[int, list[Waiting]] = {}
            still = {id(wait) for wait in under_way()} - unsure
            for node, wait in late.items():
                if wait.reported != DEADLOCK and node in still:
                    by_lock.setdefault(id(wait.subject), []).append(wait)
            found.extend(incident for waits in by_lock.values() if (incident := _stall(waits)))
        return self._report(found)

    def look_for_deadlocks(self) -> list[Incident]:
        """Do as `look`, but for deadlocks alone, however young; for the end of a test."""
        with self._looking:
            found, _ = _deadlocks({id(wait): wait for wait in under_way()})
        return self._report(found)

    def _report(self, found: list[Incident]) -> list[Incident]:
        self.incidents.extend(found)
        for incident in found:
            self.log_soon(incident)
            for listener in self.listeners:
                listener(incident)
        return found

    def _run(self) -> None:
        if not self._running.acquire(False):
            return  # waits that began together have started several
        self._started = True
        threading.current_thread().name = self.thread_name
        while True:
            self._bell.wait(min(self.limit / _LOOKS_PER_LIMIT, _LONGEST_PAUSE) if self._awake else -1)
            self._awake = True
            try:
                self.look()
                for call in self.after_look:
                    call()
            except Exception as error:
                self._unlogged.append(f"the watchdog of locks failed, and goes on: {error!r}")
            while self._unlogged:
                _log(self._unlogged[0])
                self._unlogged.popleft()
            self._awake = False
            self._awake = bool(self._unlogged or under_way())  # one that began just before may have found it awake


class _Graph:
    """What waits for what: a wait for its lock, a lock for its holders, a holder for its own waits.

    A wait that ends by itself waits for nothing. A task also stands still while the thread that runs it waits.

    Args:
        waits: the waits to look at.
        earlier: leave out what did not wait for each other in this graph too.
    """

    def __init__(self, waits: Iterable[Waiting], earlier: _Graph | None = None) -> None:
        self.waits = {id(wait): wait for wait in waits}
        """By `id`, which is their node."""
        self._next: dict[Hashable, set[Hashable]] = {}
        by_owner: dict[object, list[Hashable]] = {}
        for node, wait in self.waits.items():
            by_owner.setdefault(wait.owner.key, []).append(node)
        for node, wait in self.waits.items():
            if wait.timed:
                continue
            lock = ("lock", id(wait.subject), wait.meter.mode)
            self._next[node] = {lock}
            if lock in self._next:
                continue
            holders = self._next[lock] = set()
            for owner in wait.subject.blockers(wait.meter.mode):
                holder = ("holder", owner.key, owner.thread)
                holders.add(holder)
                if holder not in self._next:
                    keys = {owner.key, owner.thread} if owner.task is not None else {owner.key}
                    self._next[holder] = {later for key in keys for later in by_owner.get(key, ())}
        if earlier is not None:
            for before, following in self._next.items():
                following.intersection_update(earlier.following(before))

    def following(self, node: Hashable) -> Collection[Hashable]:
        """Return the nodes that this one waits for."""
        return self._next.get(node, ())

    def knots(self) -> list[set[int]]:
        """Return the waits that wait for each other: Kosaraju's strongly connected components."""
        before: dict[Hashable, list[Hashable]] = {}
        for node, following in self._next.items():
            for other in following:
                before.setdefault(other, []).append(node)
        found, left = [], set(order := self._postorder())
        for start in reversed(order):
            if start not in left:
                continue
            left.remove(start)
            knot = [start]
            for node in knot:
                new = left.intersection(before.get(node, ()))
                left -= new
                knot.extend(new)
            if len(knot) > 1:
                found.append({node for node in knot if isinstance(node, int)})
        return found

    def _postorder(self) -> list[Hashable]:
        seen: set[Hashable] = set()
        done: list[Hashable] = []
        for start in self.waits:
            if start in seen:
                continue
            seen.add(start)
            path: list[tuple[Hashable, Iterator[Hashable]]] = [(start, iter(self.following(start)))]
            while path:
                node, rest = path[-1]
                following = next((other for other in rest if other not in seen), None)
                if following is None:
                    done.append(node)
                    path.pop()
                else:
                    seen.add(following)
                    path.append((following, iter(self.following(following))))
        return done

    def cycle(self, start: int) -> list[Waiting]:
        """Return the waits of the shortest way from one back to itself."""
        came: dict[Hashable, Hashable] = {}
        queue: list[Hashable] = [start]
        for node in queue:
            for following in self.following(node):
                if following == start:
                    path = [node]
                    while path[-1] != start:
                        path.append(came[path[-1]])
                    return [self.waits[item] for item in reversed(path) if isinstance(item, int)]
                if following not in came:
                    came[following] = node
                    queue.append(following)
        return []


def _deadlocks(late: Mapping[int, Waiting]) -> tuple[list[Incident], set[int]]:
    """Return the deadlocks that some of `late` are part of, and that have not been reported; and what is not sure yet.

    A passing state can look like a deadlock, so each has to be seen twice.
    """
    first = _Graph(under_way())
    seen = _new_knots(first, late)
    if not seen:
        return [], set()
    time.sleep(_CONFIRMATION)
    graph = _Graph(under_way(), first)
    sure = _new_knots(graph, late)
    return [_deadlock(graph, knot, late) for knot in sure], set().union(*seen).difference(*sure)


def _new_knots(graph: _Graph, late: Mapping[int, Waiting]) -> list[set[int]]:
    """Return the knots of late waits, without those that have been reported, even if they have grown since."""
    knots = [knot for knot in graph.knots() if any(node in late for node in knot)]
    if not knots:
        return []
    reported = _Graph((wait for wait in graph.waits.values() if wait.reported == DEADLOCK), graph).knots()
    known = {node for knot in reported for node in knot}
    return [knot for knot in knots if knot.isdisjoint(known)]


def _deadlock(graph: _Graph, knot: set[int], late: Mapping[int, Waiting]) -> Incident:
    waits = [graph.waits[node] for node in knot]
    for registry in {id(wait.subject.registry): wait.subject.registry for wait in waits}.values():
        registry.counter(catalog.LOCK_DEADLOCKS).inc()
    for wait in waits:
        wait.reported = DEADLOCK
    first = min((node for node in knot if node in late), key=lambda node: late[node].since)
    return Incident(DEADLOCK, _described(graph.cycle(first)), time.time())


def _stall(waits: list[Waiting]) -> Incident | None:
    """Count those of one lock's late waits that are new; return the incident, unless they join one that goes on."""
    new = [wait for wait in waits if not wait.reported]
    goes_on = len(new) < len(waits)
    for wait in new:
        wait.reported = STALL
        wait.subject.registry.counter(catalog.LOCK_STALLS, lock=wait.subject.name).inc()
    if goes_on or not new:
        return None
    return Incident(STALL, _described(sorted(waits, key=lambda wait: wait.since)), time.time())


def _described(waits: list[Waiting]) -> tuple[Wait, ...]:
    now, frames = perf_counter(), sys._current_frames()

    def holders(wait: Waiting) -> Iterable[Owner]:
        return islice(wait.subject.blockers(wait.meter.mode), MAX_LISTED)

    return tuple(
        Wait(
            wait.subject.name,
            wait.meter.mode,
            str(wait.owner),
            now - wait.since,
            stack_of(wait.owner, frames),
            tuple((str(owner), stack_of(owner, frames)) for owner in holders(wait)),
        )
        for wait in waits[:MAX_LISTED]
    )


def _log(finding: Incident | str) -> None:
    # Imported late: a service without findings need not load it through us.
    import logging

    deadlock = isinstance(finding, Incident) and finding.kind == DEADLOCK
    with suppress(Exception):  # a handler that fails; the thread has to go on
        logging.getLogger("mnemoscope").log(logging.ERROR if deadlock else logging.WARNING, "%s", finding)


watchdog = Watchdog()
"""The one of this process."""
atexit.register(watchdog.log)
