"""The order in which locks are taken, in the manner of Linux's lockdep.

Every lock belongs to a class: its name, or the place where it was made. If a thread or task takes one lock while it
holds another, that adds an edge between their classes. A cycle of edges means that some interleaving of the code can
deadlock, even if it never has. Each cycle is reported once, with the stack at which each edge was first seen.

A try-lock adds no edge, because it cannot wait. Taking a re-entrant lock again adds none either.

Threads, signal handlers and finalisers add edges while they hold locks of the service. So nothing here waits: the graph
only grows, in steps that cannot be interrupted, and the watchdog's thread logs what is found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import catalog
from .holders import AnyHold, place_of, tracker
from .places import call_stack
from .thread_or_task import current_task, name_of
from .waits import WatchedLock
from .watchdog import watchdog

if TYPE_CHECKING:
    from asyncio import Task

MAX_INVERSIONS = 100
"""How many inversions are kept. All of them are logged and counted."""
MAX_EDGES = 10_000
"""Limits the memory if a service makes names of locks at run time."""


class Edge(NamedTuple):
    """Two lock classes, of which the second was taken while the first was held, as first seen.

    Attributes:
        first: class of the lock that was held.
        second: class of the lock that was taken.
        held_at: where the first lock had been taken, as `file:line in function`.
        stack: stack of the thread that took the second lock, outermost call first.
        by: name of the thread, and of the task if there was one.
    """

    first: str
    second: str
    held_at: str
    stack: tuple[str, ...]
    by: str


class Inversion(NamedTuple):
    """A cycle among lock classes: each edge's `second` is the next edge's `first`.

    A cycle of one edge means that two locks of one name were taken together, or one lock twice.
    """

    edges: tuple[Edge, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the cycle. The first is the lock that was held when the cycle was found."""
        return tuple(edge.first for edge in self.edges)

    def __str__(self) -> str:
        cycle = " -> ".join((*self.classes, self.classes[0]))
        lines = [f"lock order inversion: {cycle}"]
        for edge in self.edges:
            lines.append(f"{edge.second!r} taken by {edge.by} while {edge.first!r} was held since {edge.held_at}:")
            lines.extend(f"    {line}" for line in edge.stack)
        return "\n".join(lines)


inversions: list[Inversion] = []
"""The inversions found so far, oldest first; at most `MAX_INVERSIONS`."""
edges: dict[str, dict[str, Edge]] = {}
"""Every edge seen, by first and second class."""

_added: list[None] = []
"""One item for each edge. Its length is their number, in one step."""
_nestable: set[str] = set()
_reported: dict[frozenset[str], Edge] = {}
"""The edge that closed each cycle, by the classes of the cycle."""


def allow_nesting(names: Iterable[str]) -> None:
    """Allow two locks of one class to be held together, because the service keeps an order among them."""
    _nestable.update(names)


def add_edges(lock: WatchedLock, task: Task[Any] | None = None) -> None:
    """Add the edges to `lock`, for which this thread or the task may now wait, from the locks that it holds."""
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
    """Return the holds that stay while the caller waits.

    While a thread waits, it keeps all its holds, whichever task took them. While a task waits, it keeps its own.
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
    by = name_of(get_ident(), task)
    edge = Edge(first, second, str(place_of(hold)), call_stack(sys._getframe(2)), by)
    if edges.setdefault(first, {}).setdefault(second, edge) is not edge:  # another thread has just added it
        return
    _added.append(None)
    cycle = (edge, *_path(second, first))
    classes = frozenset(e.first for e in cycle)
    if cycle[-1].second == first and _reported.setdefault(classes, edge) is edge:
        _report(Inversion(cycle), lock)


def _path(start: str, goal: str) -> tuple[Edge, ...]:
    """Return the shortest path of edges from one class to another; empty if there is none, or if they are the same."""
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
