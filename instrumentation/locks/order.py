"""The order in which locks are taken: a lockdep for Python.

Every lock belongs to a class: its name, or the place where it was made. When one is taken while another is held, by
the same thread or task, that is an edge between their classes. A cycle of edges means that some interleaving of the
code deadlocks, whether or not it ever has: it is reported once, with the stack at which each edge was first seen.

A try-lock makes no edge, since it cannot wait; neither does taking a re-entrant lock again. What it costs is paid
only while `tracking`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import catalog
from . import hooks
from .hooks import Place, Subject, call_stack, in_locks, who

if TYPE_CHECKING:
    from asyncio import Task

MAX_INVERSIONS = 100
"""How many are kept; each is also logged and counted, whatever their number."""
MAX_EDGES = 10_000
"""Classes come from code, and so do edges; names made at run time must not fill the memory all the same."""

tracking = False
"""Whether acquisitions are tracked now; change it through `track`."""

on_switch: list[Callable[[bool], None]] = []
"""Called with the new value of `tracking`, for primitives that keep a copy of it."""


Entry = tuple[Subject, FrameType, int, "Task[Any] | None"]
"""A lock that somebody holds; the frame and the instruction that took it; and the task that ran there, if any.

A plain tuple, like what it is kept in: `Lock` writes one at each acquisition.
"""

stacks: dict[object, list[Entry]] = {}
"""What is held, oldest first, by thread identifier or by task; empty when tracking begins."""


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

_nestable: set[str] = set()
_known_cycles: set[frozenset[str]] = set()
_guard = threading.Lock()  # of the graph, which changes only when a new edge is seen


def track(on: bool) -> None:
    """Begin or end tracking. What was taken before it began is not known to be held."""
    global tracking
    if on:
        stacks.clear()
    tracking = on
    renew()


def renew() -> None:
    """Tell those who keep a copy of `tracking`, or of whether there are tasks."""
    for call in on_switch:
        call(tracking)


def allow_nesting(names: Iterable[str]) -> None:
    """Say that two locks of one class may be held at once, because their own order is kept (by address, say)."""
    _nestable.update(names)


def taking(subject: Subject, thread: int, task: Task[Any] | None = None) -> None:
    """A thread, or a task of it, is about to wait for `subject` if need be: record what it holds meanwhile."""
    name = subject.name
    for entry in _holding(thread, task):
        after = edges.get(entry[0].name)
        if after is None or name not in after:
            _add(entry, subject, thread, task)


def took(subject: Subject, thread: int, task: Task[Any] | None = None, depth: int = 2) -> list[Entry]:
    """It holds `subject` now; `depth` is how many calls up the code is that asked for it. Gives all that it holds."""
    frame = sys._getframe(depth)
    while in_locks(frame) and frame.f_back is not None:
        frame = frame.f_back
    entry = (subject, frame, frame.f_lasti, hooks.current_task() if task is None else task)
    key: object = thread if task is None else task
    mine = stacks.get(key)
    if mine is None:
        mine = stacks[key] = [entry]
    else:
        mine.append(entry)
    return mine


def released(subject: Subject, thread: int, task: Task[Any] | None = None) -> None:
    """It has let go of `subject`; where somebody else had taken it, that one's entry goes."""
    key: object = thread if task is None else task
    mine = stacks.get(key)
    if mine and _remove(mine, subject):
        if task is not None and not mine:
            stacks.pop(task, None)  # a thread keeps its list for the next lock; tasks come and go
        return
    for other in list(stacks.values()):
        if _remove(other, subject):
            return


def told(key: object, entry: Entry) -> tuple[str, str, Place]:
    """One entry of `stacks`, under this key, for a person: the lock's class, by whom it is held, where it was taken."""
    subject, frame, instruction, task = entry
    return subject.name, who(key if isinstance(key, int) else None, task), Place(frame.f_code, instruction)


def held_now() -> list[tuple[str, str, Place]]:
    """What is held at this moment, as far as it is tracked; each as `told` gives it."""
    return [told(key, entry) for key, entries in stacks.copy().items() for entry in list(entries)]


def forget() -> None:
    """Start with an empty graph, and with nothing held or reported."""
    with _guard:
        stacks.clear()
        edges.clear()
        inversions.clear()
        _known_cycles.clear()


def _holding(thread: int, task: Task[Any] | None) -> list[Entry]:
    """What keeps others out while this one waits.

    A thread that waits keeps all that it holds, whichever task took it; a task that waits, what it took itself.
    """
    mine = stacks.get(thread) or []
    running = task
    if task is None:
        running = hooks.current_task()
    else:
        mine = [entry for entry in mine if entry[3] is task]
    return mine if running is None else mine + stacks.get(running, [])


def _remove(entries: list[Entry], subject: Subject) -> bool:
    for i in range(len(entries) - 1, -1, -1):
        if entries[i][0] is subject:
            del entries[i]
            return True
    return False


def _add(entry: Entry, subject: Subject, thread: int, task: Task[Any] | None) -> None:
    held, frame, instruction, _ = entry
    first, second = held.name, subject.name
    if first == second and first in _nestable and held is not subject:
        return
    edge = Edge(first, second, str(Place(frame.f_code, instruction)), call_stack(sys._getframe(2)), who(thread, task))
    with _guard:
        after = edges.setdefault(first, {})
        if second in after or sum(map(len, edges.values())) >= MAX_EDGES:
            return
        after[second] = edge
        cycle = (edge, *_path(second, first))
        classes = frozenset(e.first for e in cycle)
        closed = cycle[-1].second == first and classes not in _known_cycles
        if closed:
            _known_cycles.add(classes)
    if closed:
        _report(Inversion(cycle), subject)


def _path(start: str, goal: str) -> tuple[Edge, ...]:
    """The fewest edges that lead from one class to another; none where nothing does, or where they are the same."""
    if start == goal:
        return ()
    came: dict[str, Edge] = {}
    queue = [start]
    for name in queue:
        for edge in edges.get(name, {}).values():
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


def _report(inversion: Inversion, subject: Subject) -> None:
    if len(inversions) < MAX_INVERSIONS:
        inversions.append(inversion)
    closing = inversion.edges[0]
    subject.registry.counter(catalog.LOCK_INVERSIONS, first=closing.first, second=closing.second).inc()
    # Imported late: a service without inversions need not load it through us.
    import logging

    logging.getLogger("mnemoscope").warning("%s", inversion)
