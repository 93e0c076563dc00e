"""The recordings of a killed process, checked after each step and each instruction of recording and publishing."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mp_helpers import Points, file_of, if_killed, mode, points, stop_threads

import mnemoscope.instrumentation
from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.multiprocess import write_ahead_log
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint

pytestmark = pytest.mark.slow

Member = Callable[..., Registry]
OURS = str(Path(mnemoscope.instrumentation.__file__).parent)
SLOTS = len(write_ahead_log._OFFSETS)


@pytest.fixture
def process(member: Member) -> Registry:
    """A registry of a started process that publishes only on demand."""
    registry = member()
    stop_threads(registry)
    return registry


def stale(points: Points, cache: str = "a") -> float:
    found = points.get((catalog.CACHE_STALE_READS.name, cache))
    assert not isinstance(found, HistogramPoint)
    return found.value if found else 0.0


def waits(points: Points) -> tuple[int, float]:
    found = points.get((catalog.LOCK_WAIT_DURATION.name, "x", "read"))
    assert not found or isinstance(found, HistogramPoint)
    return (found.observations, found.sum) if found else (0, 0.0)


# Between any two operations -------------------------------------------------------------------------

OPERATIONS = st.one_of(
    st.tuples(st.just("inc"), st.sampled_from("ab"), st.integers(1, 1 << 20)),
    st.tuples(st.just("observe"), st.sampled_from([0.0, 0.5, 3.0, 1e6])),
    st.tuples(st.just("burst"), st.integers(90, 2 * SLOTS)),
    st.tuples(st.just("publish")),
    st.tuples(st.just("shut")),
    st.tuples(st.just("idle")),
    st.tuples(st.just("lose the file")),
    st.tuples(st.just("clear")),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OPERATIONS, max_size=25))
def test_a_process_may_be_killed_between_any_two_operations(process: Registry, operations: list[Any]) -> None:
    process.clear()
    publisher = mode(process)._publisher
    counts, observed = {"a": 0.0, "b": 0.0}, (0, 0.0)
    for name, *values in operations:
        match name:
            case "inc":
                process.counter(catalog.CACHE_STALE_READS, cache=values[0]).inc(values[1])
                counts[values[0]] += values[1]
            case "observe" | "burst":
                value, times = (values[0], 1) if name == "observe" else (0.25, values[0])
                histogram = process.histogram(catalog.LOCK_WAIT_DURATION, lock="x", mode="read")
                for _ in range(times):
                    histogram.observe(value)
                observed = observed[0] + times, observed[1] + times * value
            case "publish":
                assert publisher.publish()
            case "shut":
                publisher.occupy_free_slots()
            case "idle":
                assert publisher.publish(release_slots=False)
            case "lose the file":
                file_of(process).unlink()
                assert publisher.publish()
            case "clear":
                process.clear()
                counts, observed = {"a": 0.0, "b": 0.0}, (0, 0.0)

        left = if_killed(process)
        assert {cache: stale(left, cache) for cache in counts} == counts
        assert waits(left) == observed
        published = points(file_of(process).read_bytes(), alive=True)
        assert stale(published) <= counts["a"]
        assert waits(published)[0] <= observed[0]


# Between any two instructions -----------------------------------------------------------------------


@contextmanager
def at_each_instruction(do: Callable[[FrameType], None]) -> Iterator[None]:
    """Call `do` before each instruction of our code that is run within."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            do(frame)
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 reports opcodes only if a frame wanted them before
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def inc(process: Registry) -> None:
    process.counter(catalog.CACHE_STALE_READS, cache="a").inc()


def fill(process: Registry) -> None:
    while mode(process)._publisher._log.free:
        process.counter(catalog.CACHE_STALE_READS, cache="b").inc()


STEPS: dict[str, tuple[Callable[[Registry], object], Callable[[Registry], object], float]] = {
    # what was done before, what is looked at, how much it counts
    "the first recording of a series": (lambda process: None, inc, 1),
    "a recording": (inc, inc, 1),
    "a recording where the log is full": (lambda process: (inc(process), fill(process)), inc, 1),
    "a publication": (inc, lambda process: mode(process)._publisher.publish(), 0),
    "a first publication": (
        lambda process: (inc(process), process.clear(), inc(process)),
        lambda process: mode(process)._publisher.publish(),
        0,
    ),
    "making a lost file": (
        lambda process: (inc(process), mode(process)._publisher.publish(), file_of(process).unlink()),
        lambda process: mode(process)._publisher.publish(),
        0,
    ),
    "closing": (inc, lambda process: mode(process).close(), 0),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_process_may_be_killed_at_any_instruction(step: str, process: Registry) -> None:
    prepare, do, counts = STEPS[step]
    prepare(process)
    file_was_lost = not file_of(process).exists()
    seen = [1.0 if step != "the first recording of a series" else 0.0]

    def look(_: FrameType) -> None:
        with suppress(FileNotFoundError if file_was_lost else ZeroDivisionError):
            seen.append(stale(if_killed(process)))

    with at_each_instruction(look):
        do(process)

    assert len(seen) > 100
    assert seen == sorted(seen)
    assert set(seen) == {seen[0], seen[0] + counts}
    assert stale(if_killed(process)) == seen[0] + counts


# Interrupted at any call ----------------------------------------------------------------------------


class Interruption(BaseException):
    """What a signal handler raises."""


@lru_cache
def calls_end(code: CodeType) -> frozenset[int]:
    """Return where the interpreter checks for signals: after calls, and at the start of a function or a loop's turn."""
    found, before = set(), "RESUME"
    for instruction in dis.get_instructions(code):
        if before.startswith(("CALL", "RESUME", "JUMP_BACKWARD")):
            found.add(instruction.offset)
        before = instruction.opname
    return frozenset(found)


@pytest.mark.parametrize("step", [step for step in STEPS if step != "closing"])
def test_a_signal_handler_may_raise_anywhere(step: str, member: Member) -> None:
    prepare, do, counts = STEPS[step]
    at, interrupted = 0, True
    while interrupted:
        at, interrupted, passed = at + 1, False, 0
        process = member()
        stop_threads(process)
        prepare(process)
        first = memory(process)

        def interrupt(frame: FrameType, at: int = at) -> None:
            nonlocal passed, interrupted
            passed += frame.f_lasti in calls_end(frame.f_code)
            if passed == at and not interrupted:
                interrupted = True
                raise Interruption

        with suppress(Interruption), at_each_instruction(interrupt):
            do(process)
        now = memory(process)
        assert now in (first, first + counts)
        if step == "making a lost file":
            mode(process)._publisher.publish()
        # The recording that was interrupted may be counted, but not stored; until the next publication.
        missing = now - stale(if_killed(process))
        assert 0 <= missing <= counts
        for _ in range(3):
            inc(process)
            now += 1
            assert memory(process) == now
            assert stale(if_killed(process)) in (now, now - missing)
        assert mode(process)._publisher.publish()
        assert stale(points(file_of(process).read_bytes(), alive=True)) == now
        inc(process)
        assert stale(if_killed(process)) == now + 1
        mode(process).close()
    assert at > 10


def memory(process: Registry) -> float:
    found = [p for f in process.own_snapshot().families for p in f.points if p.labels == ("a",)]
    return found[0].value if found else 0.0
