"""The search for deadlocks finds exactly the waits on a cycle, each once, with work in proportion to the waits."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thread_samples import read, running

from mnemoscope import catalog
from mnemoscope.instrumentation.locks.watch import incidents, wait_graph, waits, watchdog
from mnemoscope.instrumentation.locks.watch.incidents import DEADLOCK, MAX_LISTED, STALL, Incident
from mnemoscope.instrumentation.locks.watch.thread_or_task import ThreadOrTask
from mnemoscope.instrumentation.locks.watch.wait_graph import WaitGraph
from mnemoscope.instrumentation.locks.watch.waits import Wait
from mnemoscope.instrumentation.locks.watch.watchdog import Watchdog
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = pytest.mark.slow


class FakeLock:
    """A lock that has only holders."""

    name = "fake"

    def __init__(self, *holders: ThreadOrTask, registry: Registry | None = None) -> None:
        self.registry = registry or Registry()
        self.holders = list(holders)
        self.asked = 0

    def blockers(self, mode: str) -> list[ThreadOrTask]:
        self.asked += 1
        return self.holders


class FakeTask:
    """A task that has only a name and, if it is given, a stack."""

    def __init__(self, number: int) -> None:
        self.number = number

    def get_name(self) -> str:
        return f"T{self.number}"

    def get_coro(self) -> None:
        return None


METER: Any = SimpleNamespace(mode="exclusive")


def wait(waiter: ThreadOrTask, lock: FakeLock, *, timed: bool = False) -> Wait:
    return Wait(METER, lock, waiter, timed=timed)


class Watched:
    """A watchdog that looks at given waits instead of the waits of this process, at each look at the next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now: list[Wait] = []
        self.next: list[list[Wait]] = []
        self.watchdog = Watchdog(limit=1e-9)
        monkeypatch.setattr(waits, "under_way", self._under_way)
        monkeypatch.setattr(incidents, "_CONFIRMATION", 0)
        monkeypatch.setattr(self.watchdog, "_wake", lambda: None)

    def _under_way(self) -> list[Wait]:
        now, self.now = self.now, self.next.pop(0) if self.next else self.now
        return list(now)

    def look(self, *waits: Wait) -> list[Incident]:
        self.now = list(waits)
        return self.watchdog.look()


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


# The oracle -----------------------------------------------------------------------------------------


def blocks(waiting: Wait, other: Wait) -> bool:
    """Return whether `waiting` cannot end before `other` does."""
    return not waiting.timed and any(
        other.waiter.key == blocker.key or (blocker.task is not None and other.waiter.key == blocker.thread)
        for blocker in waiting.lock.blockers("exclusive")
    )


def cyclic_groups(waits: list[Wait]) -> set[frozenset[int]]:
    """Return the groups of waits that lie on common cycles."""
    reach = {(a, b) for a, one in enumerate(waits) for b, other in enumerate(waits) if blocks(one, other)}
    for middle in range(len(waits)):
        reach |= {(a, b) for a in range(len(waits)) for b in range(len(waits)) if {(a, middle), (middle, b)} <= reach}
    return {
        frozenset(b for b in range(len(waits)) if {(a, b), (b, a)} <= reach)
        for a in range(len(waits))
        if (a, a) in reach
    }


@st.composite
def situations(draw: st.DrawFn) -> list[Wait]:
    """Return threads and tasks that hold locks, alone or with others, and wait for at most one each."""
    threads = draw(st.integers(1, 6))
    tasks: list[Any] = [FakeTask(number) for number in range(draw(st.integers(0, 5)))]
    actors = [ThreadOrTask(number) for number in range(threads)]
    actors += [ThreadOrTask(draw(st.integers(0, threads - 1)), task) for task in tasks]
    some = st.lists(st.sampled_from(actors), max_size=3, unique=True)
    locks = [FakeLock(*draw(some)) for _ in range(draw(st.integers(1, 6)))]
    asking = draw(st.lists(st.sampled_from(actors), unique=True))
    # One wait in six ends by itself.
    return [wait(waiter, draw(st.sampled_from(locks)), timed=draw(st.integers(0, 5)) == 0) for waiter in asking]


@given(waits=situations(), data=st.data())
@settings(max_examples=600, deadline=None)
def test_exactly_the_waits_on_a_cycle_are_deadlocked_and_each_cycle_is_found_once(
    waits: list[Wait], data: st.DataObject
) -> None:
    before = data.draw(st.sets(st.sampled_from(range(len(waits))) if waits else st.nothing()), label="at first")
    with pytest.MonkeyPatch.context() as patch:
        watched = Watched(patch)
        at_first = [waits[number] for number in sorted(before)]
        found = watched.look(*at_first)
        assert deadlocked(at_first) == set().union(*cyclic_groups(at_first))
        assert kinds(found, DEADLOCK) == len(cyclic_groups(at_first))

        # The others have come meanwhile: a deadlock that has grown is the same.
        known = [{sorted(before)[number] for number in group} for group in cyclic_groups(at_first)]
        new = [group for group in cyclic_groups(waits) if not any(old & group for old in known)]
        found = watched.look(*waits)
        assert deadlocked(waits) == set().union(*known, *new)
        assert kinds(found, DEADLOCK) == len(new)
        assert all(each.reported for each in waits)
        assert watched.look(*waits) == []
    assert deadlocks_counted(waits) >= len(known) + len(new)


def deadlocked(waits: list[Wait]) -> set[int]:
    return {number for number, each in enumerate(waits) if each.reported == DEADLOCK}


def kinds(found: list[Incident], kind: str) -> int:
    return sum(incident.kind == kind for incident in found)


def deadlocks_counted(waits: list[Wait]) -> float:
    """Return the sum over all registries. A deadlock is counted in each registry that takes part."""
    registries = {id(each.lock.registry): each.lock.registry for each in waits}
    return sum(read(registry, catalog.LOCK_DEADLOCKS) for registry in registries.values())


@given(waits=situations(), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_deadlock_is_found_as_soon_as_one_of_its_waits_is_late(waits: list[Wait], data: st.DataObject) -> None:
    late = data.draw(st.sets(st.sampled_from(range(len(waits))) if waits else st.nothing()), label="late")
    with pytest.MonkeyPatch.context() as patch:
        watched = Watched(patch)
        watched.watchdog.limit = 1e6
        for number in late:
            waits[number].since -= 2e6
        watched.look(*waits)
    assert deadlocked(waits) == set().union(*(group for group in cyclic_groups(waits) if group & late))
    assert {number for number, each in enumerate(waits) if each.reported == STALL} == late - deadlocked(waits)


# By hand --------------------------------------------------------------------------------------------


def ring(*actors: ThreadOrTask, registry: Registry | None = None) -> list[Wait]:
    """Return waits, each for a lock that the next waiter holds."""
    registry = registry or Registry()
    return [wait(waiter, FakeLock(actors[n - 1], registry=registry)) for n, waiter in enumerate(actors)]


def test_two_deadlocks_at_once_are_two(watched: Watched) -> None:
    registry = Registry()
    waits = ring(ThreadOrTask(1), ThreadOrTask(2), registry=registry) + ring(
        ThreadOrTask(3), ThreadOrTask(4), ThreadOrTask(5), registry=registry
    )
    found = watched.look(*waits)
    assert sorted((incident.kind, len(incident.waits)) for incident in found) == [(DEADLOCK, 2), (DEADLOCK, 3)]
    assert read(registry, catalog.LOCK_DEADLOCKS) == 2


def test_what_passes_for_a_deadlock_once_is_neither_a_deadlock_nor_a_stall_yet(watched: Watched) -> None:
    waits = ring(ThreadOrTask(1), ThreadOrTask(2))
    # `look` asks for the late ones, then the search twice, and `look` for those that still wait.
    watched.next = [waits, waits[:1], waits[:1], waits[:1]]
    assert watched.look(*waits) == []
    assert [each.reported for each in waits] == ["", ""]
    assert kinds(watched.look(*waits), DEADLOCK) == 1


def test_a_deadlock_with_which_another_wait_seemed_to_be_tied_is_found_all_the_same(watched: Watched) -> None:
    first, second, passing = ThreadOrTask(1), ThreadOrTask(2), ThreadOrTask(3)
    lock = FakeLock(first, passing)
    waits = [wait(first, FakeLock(second)), wait(second, lock), wait(passing, FakeLock(second))]
    watched.next = [waits, waits[:2], waits[:2], waits[:2]]
    (incident,) = watched.look(*waits)
    assert incident.kind == DEADLOCK
    assert deadlocked(waits) == {0, 1}


def test_a_deadlock_that_was_ended_and_closes_again_elsewhere_is_another_one(watched: Watched) -> None:
    writer, one, other = ThreadOrTask(1), ThreadOrTask(2), ThreadOrTask(3)
    index, lock = FakeLock(one, other), FakeLock(writer)
    writes, reads = wait(writer, index), wait(one, lock)
    assert kinds(watched.look(writes, reads), DEADLOCK) == 1
    index.holders.remove(one)  # another thread has released for it
    assert kinds(watched.look(writes, wait(other, lock)), DEADLOCK) == 1


def test_a_deadlock_that_closes_when_a_wait_ends_is_found_though_all_were_stalls(watched: Watched) -> None:
    reader, patient, writer = ThreadOrTask(1), ThreadOrTask(2), ThreadOrTask(3)
    index = FakeLock(patient)
    waits = [wait(reader, index), wait(patient, FakeLock(), timed=True), wait(writer, FakeLock(reader))]
    assert kinds(watched.look(*waits), DEADLOCK) == 0
    assert all(each.reported == STALL for each in waits)
    index.holders[:] = [writer]  # the next in line, now that the first has given up
    assert kinds(watched.look(waits[0], waits[2]), DEADLOCK) == 1


def test_two_cycles_that_have_no_edge_in_common_are_a_passing_state(watched: Watched) -> None:
    first, second, third = ThreadOrTask(1), ThreadOrTask(2), ThreadOrTask(3)
    passed_on = FakeLock(first)
    waits = [wait(first, FakeLock(second)), wait(second, passed_on), wait(third, FakeLock(first))]
    asked: list[list[ThreadOrTask]] = [[first], [third]]
    passed_on.blockers = lambda _mode: asked.pop(0) if asked else [third]  # type: ignore[method-assign]
    assert kinds(watched.look(*waits), DEADLOCK) == 0
    assert [each.reported for each in waits[:2]] == ["", ""]
    assert kinds(watched.look(*waits), DEADLOCK) == 1


class SlowLock(FakeLock):
    """A lock whose counter is slow, so that other threads run meanwhile."""

    @property
    def registry(self) -> Registry:
        time.sleep(0.001)
        return self._registry

    @registry.setter
    def registry(self, registry: Registry) -> None:
        self._registry = registry


def test_threads_that_look_at_once_find_a_deadlock_once(watched: Watched) -> None:
    one, other = ThreadOrTask(1), ThreadOrTask(2)
    watched.now = [wait(one, SlowLock(other)), wait(other, SlowLock(one))]
    found: list[Incident] = []
    with running(*[lambda: found.extend(watched.watchdog.look_for_deadlocks())] * 4):
        pass
    assert len(found) == 1


async def test_a_task_stands_still_while_its_thread_waits(watched: Watched) -> None:
    task = asyncio.current_task()
    holder, other = ThreadOrTask(1, task), ThreadOrTask(2)
    waits = [wait(other, FakeLock(holder)), wait(ThreadOrTask(1), FakeLock(other))]
    assert kinds(watched.look(*waits), DEADLOCK) == 1


# Work -----------------------------------------------------------------------------------------------


@pytest.fixture
def steps() -> Callable[[Callable[[], object]], int]:
    """Return a function that counts the bytecodes of the search that a call takes."""
    searching = {module.__file__ for module in (watchdog, incidents, wait_graph)}

    def counted(action: Callable[[], object]) -> int:
        number = 0

        def trace(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal number
            if frame.f_code.co_filename not in searching:
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            number += event == "opcode"
            return trace

        sys.settrace(trace)
        try:
            action()
        finally:
            sys.settrace(before)
        return number

    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for this as tracing begins
    before = sys.gettrace()
    return counted


def behind_one_lock(number: int) -> list[Wait]:
    lock = FakeLock(ThreadOrTask(0))
    return [wait(ThreadOrTask(n), lock) for n in range(1, number + 1)]


def writers_behind_readers(number: int) -> list[Wait]:
    lock = FakeLock(*(ThreadOrTask(n) for n in range(number)))
    return [wait(ThreadOrTask(number + n), lock) for n in range(number)]


def one_ring(number: int) -> list[Wait]:
    return ring(*(ThreadOrTask(n) for n in range(number)))


def many_pairs(number: int) -> list[Wait]:
    registry = Registry()
    pairs = [ring(ThreadOrTask(2 * n), ThreadOrTask(2 * n + 1), registry=registry) for n in range(number // 2)]
    return [each for pair in pairs for each in pair]


def writers_that_wait_for_readers_that_wait(number: int) -> list[Wait]:
    """Return as many edges as locks allow: all readers block all writers, and one writer blocks all readers."""
    readers = [ThreadOrTask(n) for n in range(number // 2)]
    writers = [ThreadOrTask(number + n) for n in range(number // 2)]
    index, kept = FakeLock(*readers), FakeLock(writers[0])
    return [wait(waiter, index) for waiter in writers] + [wait(waiter, kept) for waiter in readers]


SHAPES = [behind_one_lock, writers_behind_readers, one_ring, many_pairs, writers_that_wait_for_readers_that_wait]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_look_takes_work_in_proportion_to_the_waits(
    shape: Callable[[int], list[Wait]], watched: Watched, steps: Callable[[Callable[[], object]], int]
) -> None:
    work: dict[int, int] = {}
    for number in (50, 500, 5000):  # the first one is not compared: Python 3.13 counts a function's first run in part
        waits = shape(number)
        asked = {id(each.lock): each.lock for each in waits}
        work[number] = steps(lambda waits=waits: watched.look(*waits))  # type: ignore[misc]
        # Twice for a search and its confirmation, once for what is reported already, and for what is described.
        assert all(lock.asked <= 3 + MAX_LISTED for lock in asked.values())  # type: ignore[attr-defined]
        assert sum(lock.asked for lock in asked.values()) <= 3 * len(asked) + MAX_LISTED * number / 2  # type: ignore[attr-defined]
        assert all(each.reported for each in waits)
    assert work[5000] < 11 * work[500]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_node_is_followed_a_few_times(
    shape: Callable[[int], list[Wait]], watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = 0
    following = WaitGraph.following

    def counted(graph: WaitGraph, node: object) -> Any:
        nonlocal followed
        followed += 1
        return following(graph, node)  # type: ignore[arg-type]

    monkeypatch.setattr(WaitGraph, "following", counted)
    for number in (500, 5000):
        followed = 0
        watched.look(*shape(number))
        assert followed <= 15 * number


def test_a_look_at_waits_that_are_all_reported_does_nothing_more(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = behind_one_lock(5000) + ring(ThreadOrTask(10_000), ThreadOrTask(10_001))
    watched.look(*waits)
    asked = [each.lock.asked for each in waits]  # type: ignore[attr-defined]

    def no_more(*_: object) -> None:
        raise AssertionError("nothing has changed")

    monkeypatch.setattr(incidents, "WaitGraph", no_more)
    monkeypatch.setattr(incidents, "_describe", no_more)
    assert watched.look(*waits) == []
    assert asked == [each.lock.asked for each in waits]  # type: ignore[attr-defined]


def test_at_most_so_many_waits_and_holders_are_described(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[ThreadOrTask] = []
    stack_of = incidents.stack_of

    def counted(waiter: ThreadOrTask, frames: Any = None) -> tuple[str, ...]:
        described.append(waiter)
        return stack_of(waiter, frames)

    monkeypatch.setattr(incidents, "stack_of", counted)
    for shape in (writers_behind_readers, one_ring):
        described.clear()
        (incident,) = watched.look(*shape(1000))
        assert len(incident.waits) == MAX_LISTED
        assert all(len(each.holders) <= MAX_LISTED for each in incident.waits)
        assert len(described) <= MAX_LISTED * (MAX_LISTED + 1)


def test_a_stall_lists_the_oldest_waits(watched: Watched) -> None:
    waits = behind_one_lock(100)
    (incident,) = watched.look(*reversed(waits))
    assert [each.by for each in incident.waits] == [f"thread {n}" for n in range(1, MAX_LISTED + 1)]
