"""The order in which locks are taken: a lockdep for Python.

Every lock belongs to a class: its name, or the place where it was made. When one is taken while another is held, by
the same thread or task, that is an edge between their classes. A cycle of edges means that some interleaving of the
code deadlocks, whether or not it ever has: it is reported once, with the stack at which each edge was first seen.

A try-lock makes no edge, since it cannot wait; neither does taking a re-entrant lock again.

Threads, signal handlers and finalisers add edges while they hold locks of the service. So none of them waits here: the
graph only grows, by steps that cannot be interrupted, and findings are logged by the thread of the watchdog.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import catalog
from .holders import AnyHold, place, tracker
from .places import call_stack
from .thread_or_task import current_task, described
from .waits import WatchedLock
from .watchdog import watchdog

if TYPE_CHECKING:
    from asyncio import Task

MAX_INVERSIONS = 100
"""How many are kept; each is also logged and counted, whatever their number."""
MAX_EDGES = 10_000
"""Classes come from code, and so do edges; names made at run time must not fill the memory all the same."""


class Edge(NamedTuple):
    """Two lock classes, one taken while the other was held, as it was first seen.

    Attributes:
        first: class of the lock that was held.
        second: class of the lock that was taken then.
        held_at: where the first one had been taken, as `file:line in function`.
        stack: of the thread as it asked for the second one, outermost call first.
        by: name of the thread, and of the task if there was one.
    """

    first: str
    second: str
    held_at: str
    stack: tuple[str, ...]
    by: str


class Inversion(NamedTuple):
    """A cycle among lock classes; each edge's `second` is the next one's `first`.

    A cycle of one edge is a class taken while it is held: two locks of one name, or one lock twice.
    """

    edges: tuple[Edge, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the cycle, beginning with the lock that was held when it closed."""
        return tuple(edge.first for edge in self.edges)

    def __str__(self) -> str:
        cycle = " -> ".join((*self.classes, self.classes[0]))
        lines = [f"lock order inversion: {cycle}"]
        for edge in self.edges:
            lines.append(f"{edge.second!r} taken by {edge.by} while {edge.first!r} was held since {edge.held_at}:")
            lines.extend(f"    {line}" for line in edge.stack)
        return "\n".join(lines)


inversions: list[Inversion] = []
"""Those found so far, oldest first; at most `MAX_INVERSIONS`."""
edges: dict[str, dict[str, Edge]] = {}
"""Every edge seen, by first and second class."""

_added: list[None] = []
"""One for each edge: their number, found without adding up."""
_nestable: set[str] = set()
_reported: dict[frozenset[str], Edge] = {}
"""The edge that closed each cycle, by the classes of the cycle."""


def allow_nesting(names: Iterable[str]) -> None:
    """Have two locks of one class held at once, because their own order is kept (by address, say)."""
    _nestable.update(names)


def taking(lock: WatchedLock, task: Task[Any] | None = None) -> None:
    """Record that this thread, or the task, may now wait for `lock`, with what it holds meanwhile."""
    name = lock.name
    for hold in _holding(task):
        after = edges.get(hold.lock.name)
        if after is None or name not in after:
            _add(hold, lock, task)


def forget() -> None:
    """Start with an empty graph, and with nothing reported."""
    edges.clear()
    _added.clear()
    inversions.clear()
    _reported.clear()


def _holding(task: Task[Any] | None) -> list[AnyHold]:
    """Return what keeps others out while this one waits.

    A thread that waits keeps all that it holds, whichever task took it; a task that waits, what it took itself.
    """
    local, holders = tracker.local, tracker.holders
    mine = local.holder.holds() if local is not None else []
    if task is not None:
        mine = [hold for hold in mine if hold.task is task]
    running = task if task is not None else current_task()
    return mine if running is None else mine + holders.held_by(running)


def _add(hold: AnyHold, lock: WatchedLock, task: Task[Any] | None) -> None:
    first, second = hold.lock.name, lock.name
    if first == second and first in _nestable and hold.lock is not lock:
        return
    if len(_added) >= MAX_EDGES:
        return
    by = described(get_ident(), task)
    edge = Edge(first, second, str(place(hold)), call_stack(sys._getframe(2)), by)
    if edges.setdefault(first, {}).setdefault(second, edge) is not edge:  # of several threads, one adds it
        return
    _added.append(None)
    cycle = (edge, *_path(second, first))
    classes = frozenset(e.first for e in cycle)
    if cycle[-1].second == first and _reported.setdefault(classes, edge) is edge:
        _report(Inversion(cycle), lock)


def _path(start: str, goal: str) -> tuple[Edge, ...]:
    """Return the fewest edges that lead from one class to another; none where nothing does, or they are the same."""
    if start == goal:
        return ()
    came: dict[str, Edge] = {}
    queue = [start]
    for name in queue:
        for edge in list(edges.get(name, {}).values()):
            if edge.second in came or edge.second == start:
                continue
            came[edge.second] = edge
            if edge.second == goal:
                found = [edge]
                while found[-1].first != start:
                    found.append(came[found[-1].first])
                return tuple(reversed(found))
            queue.append(edge.second)
    return ()


def _report(inversion: Inversion, lock: WatchedLock) -> None:
    if len(inversions) < MAX_INVERSIONS:
        inversions.append(inversion)
    closing = inversion.edges[0]
    lock.registry.counter(catalog.LOCK_ORDER_INVERSIONS, first=closing.first, second=closing.second).inc()
    watchdog.log_soon(str(inversion))
