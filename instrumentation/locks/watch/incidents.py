"""Deadlocks and stalls: how they are found among the waits under way, counted, and described.

A deadlock is a group of waits that wait for each other. A stall is a wait that lasts too long without being in one.
Each wait is counted once, in `Wait.reported`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from itertools import islice
from time import perf_counter
from typing import NamedTuple

from ... import catalog
from . import waits
from .thread_or_task import ThreadOrTask, stack_of
from .wait_graph import WaitGraph
from .waits import Wait

DEADLOCK, STALL = "deadlock", "stall"
MAX_LISTED = 20
"""How many waits, and how many holders of one lock, an incident lists. In a stall, thousands of tasks may wait."""
_CONFIRMATION = 0.01
"""Seconds after which a deadlock must still be there, because a passing state can look like one."""


class ReportedWait(NamedTuple):
    """One wait of an incident.

    Attributes:
        lock: class of the lock.
        mode: the mode of the acquisition: `exclusive`, `read` or `write`.
        by: the thread or task that waits.
        seconds: how long it has waited.
        stack: stack of that thread or task, outermost call first.
        holders: the threads and tasks that have to release the lock first, each with its stack.
    """

    lock: str
    mode: str
    by: str
    seconds: float
    stack: tuple[str, ...]
    holders: tuple[tuple[str, tuple[str, ...]], ...]


class Incident(NamedTuple):
    """What the watchdog reports once: a cycle of waits (`deadlock`), or long waits for one lock (`stall`)."""

    kind: str
    waits: tuple[ReportedWait, ...]
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


def find_deadlocks(late: Mapping[int, Wait]) -> tuple[list[Incident], set[int]]:
    """Return new deadlocks that contain a late wait, and the `id` of waits that may be in one but are not confirmed.

    A passing state can look like a deadlock, so each deadlock must be seen twice.

    Args:
        late: waits by `id`.
    """
    first = WaitGraph(waits.under_way())
    seen = _new_groups(first, late)
    if not seen:
        return [], set()
    time.sleep(_CONFIRMATION)
    graph = WaitGraph(waits.under_way(), first)
    confirmed = _new_groups(graph, late)
    unconfirmed = set().union(*seen).difference(*confirmed)
    return [_deadlock(graph, group, late) for group in confirmed], unconfirmed


def _new_groups(graph: WaitGraph, late: Mapping[int, Wait]) -> list[set[int]]:
    """Return the cyclic groups with a late wait, except those that grew from a deadlock that was reported."""
    groups = [group for group in graph.cyclic_groups() if any(node in late for node in group)]
    if not groups:
        return []
    reported = (wait for wait in graph.waits.values() if wait.reported == DEADLOCK)
    known = {node for group in WaitGraph(reported, graph).cyclic_groups() for node in group}
    return [group for group in groups if group.isdisjoint(known)]


def _deadlock(graph: WaitGraph, group: set[int], late: Mapping[int, Wait]) -> Incident:
    """Count a deadlock, and return the incident."""
    deadlocked = [graph.waits[node] for node in group]
    for registry in {id(wait.lock.registry): wait.lock.registry for wait in deadlocked}.values():
        registry.counter(catalog.LOCK_DEADLOCKS).inc()
    for wait in deadlocked:
        wait.reported = DEADLOCK
    oldest = min((node for node in group if node in late), key=lambda node: late[node].since)
    return Incident(DEADLOCK, _describe(graph.shortest_cycle(oldest)), time.time())


def find_stalls(late: Mapping[int, Wait], unconfirmed: set[int]) -> list[Incident]:
    """Return new stalls: one for each lock with late waits that are in no deadlock, confirmed or not."""
    by_lock: dict[int, list[Wait]] = {}
    still = {id(wait) for wait in waits.under_way()} - unconfirmed
    for node, wait in late.items():
        if wait.reported != DEADLOCK and node in still:
            by_lock.setdefault(id(wait.lock), []).append(wait)
    return [incident for stalled in by_lock.values() if (incident := _stall(stalled))]


def _stall(stalled: list[Wait]) -> Incident | None:
    """Count the new ones of a lock's stalled waits. Return the incident, or None if they join one that goes on."""
    new = [wait for wait in stalled if not wait.reported]
    goes_on = len(new) < len(stalled)
    for wait in new:
        wait.reported = STALL
        wait.lock.registry.counter(catalog.LOCK_STALLS, lock=wait.lock.name).inc()
    if goes_on or not new:
        return None
    return Incident(STALL, _describe(sorted(stalled, key=lambda wait: wait.since)), time.time())


def _describe(listed: list[Wait]) -> tuple[ReportedWait, ...]:
    """Return the first waits as plain text, with the stacks of all threads and tasks that are involved."""
    now, frames = perf_counter(), sys._current_frames()

    def holders(wait: Wait) -> Iterable[ThreadOrTask]:
        return islice(wait.lock.blockers(wait.meter.mode), MAX_LISTED)

    return tuple(
        ReportedWait(
            wait.lock.name,
            wait.meter.mode,
            str(wait.waiter),
            now - wait.since,
            stack_of(wait.waiter, frames),
            tuple((str(holder), stack_of(holder, frames)) for holder in holders(wait)),
        )
        for wait in listed[:MAX_LISTED]
    )
