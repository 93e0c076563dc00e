"""Exceptions at any point (from a signal handler, from a full stack) lose no recording and freeze no series."""

from __future__ import annotations

import gc
import itertools
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from interrupts import Interrupt, interrupted_at
from recorded import outcomes, value

import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.instrumentation.recording.in_flight import Peak
from mnemoscope.instrumentation.recording.journal import LIMIT, Fold, Guard


@pytest.fixture
def registry() -> scope.Registry:
    return scope.Registry()


def each_step(action: Callable[[], Any], check: Callable[[int], None]) -> int:
    """Interrupt `action` before its first bytecode, its second and so on, with a check after each; return how many."""
    for step in itertools.count(1):
        if not interrupted_at(step, action):
            return step - 1
        check(step)
    raise AssertionError("unreachable")


def test_an_interrupt_before_any_bytecode_of_a_fold_loses_nothing_and_the_next_fold_works(
    registry: scope.Registry,
) -> None:
    histogram = registry.histogram(m.LOCK_WAIT_DURATION, lock="a", mode="read")
    recorded = 0

    def record_and_fold() -> None:
        histogram.journal.extend([0.25] * LIMIT)
        histogram.fold()

    def check(step: int) -> None:
        nonlocal recorded
        recorded += LIMIT
        point = histogram.point()
        assert (point.observations, point.sum) == (recorded, recorded * 0.25), step

    assert each_step(record_and_fold, check) > 50


def test_an_interrupt_before_any_bytecode_of_a_recording_counts_it_once_or_not_at_all(
    registry: scope.Registry,
) -> None:
    counter = registry.counter(m.CACHE_STALE_READS, cache="redb")
    before = 0.0

    def record() -> None:
        for _ in range(LIMIT):
            counter.inc()

    def check(step: int) -> None:
        nonlocal before
        after = counter.point().value
        assert before <= after <= before + LIMIT, step
        record()
        assert counter.point().value == after + LIMIT, step
        assert len(counter.journal) == 1
        before = after + LIMIT

    for step in (*range(1, 40), *range(900, 1_300, 3)):
        interrupted_at(step, record)
        check(step)


def test_an_interrupt_in_a_probe_of_work_in_flight_leaves_nothing_in_flight(registry: scope.Registry) -> None:
    @scope.completion(registry=registry)
    def complete() -> None: ...

    def block() -> None:
        with scope.completion(registry=registry):
            pass

    for action in (complete, block):
        each_step(action, lambda _step: None)
        assert value(registry, m.COMPLETION_IN_FLIGHT) == 0


def test_an_interrupted_peak_is_read_as_before() -> None:
    peak = Peak(clock=lambda: 0.0)
    level = itertools.count(1)

    def check(_step: int) -> None:
        high = next(level)
        peak.note(high)
        assert peak.read(0) == high
        assert len(peak._levels) == 1

    assert each_step(lambda: peak.read(0), check) > 30


def test_a_signal_handler_that_raises_loses_no_completed_recording(registry: scope.Registry) -> None:
    histogram = registry.histogram(m.LOCK_WAIT_DURATION, lock="a", mode="read")
    wrapped = scope.index_write("s", registry=registry)(lambda: None)

    def handler(_signal: int, _frame: object) -> None:
        raise Interrupt

    attempted = completed = interrupts = 0
    gc.disable()  # the interpreter swallows what is raised in a finaliser
    previous = signal.signal(signal.SIGALRM, handler)
    try:
        while interrupts < 300:
            try:
                signal.setitimer(signal.ITIMER_REAL, 2e-4, 2e-4)
                while True:
                    attempted += 1
                    histogram.observe(0.25)
                    wrapped()
                    completed += 1
            except Interrupt:
                interrupts += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    except Interrupt:  # the last one, on its way while the timer was stopped
        signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, previous)
        gc.enable()
    for recorded in (histogram.point().observations, sum(outcomes(registry))):
        assert completed <= recorded <= attempted
    assert len(histogram.journal) == 1


def test_exactly_one_fold_takes_over_a_guard_whose_fold_is_gone(registry: scope.Registry) -> None:
    counter = registry.counter(m.CACHE_STALE_READS, cache="redb")
    guard = counter.guard
    for _ in range(50):
        lost = Fold()
        assert guard.admits(weakref.ref(lost))
        del lost  # its frame ended without a release of the guard
        folds = [Fold() for _ in range(8)]
        admitted: list[bool] = []
        barrier = threading.Barrier(8)

        def claim(fold: Fold, admitted: list[bool] = admitted, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            admitted.append(guard.admits(weakref.ref(fold)))

        threads = [threading.Thread(target=claim, args=(fold,)) for fold in folds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(admitted) == 1
        for fold in folds:
            guard.release(weakref.ref(fold))
    counter.inc()
    assert counter.point().value == 1


def near_the_end(room: int, function: Callable[[], Any]) -> Any:
    """Call `function` on a stack with room for about so many frames."""

    def deep(depth: int) -> Any:
        return function() if depth <= 0 else deep(depth - 1)

    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
    return deep(sys.getrecursionlimit() - depth - room - 3)


def test_a_guard_that_is_released_while_another_fold_claims_it_admits_one_fold() -> None:
    guard = Guard()
    folds = {name: Fold() for name in ("first", "asking", "next")}
    meanwhile: list[Callable[[], object]] = []

    class Claims(dict[str, Any]):
        def setdefault(self, key: str, value: Any = None) -> Any:
            found = super().setdefault(key, value)
            if meanwhile:
                meanwhile.pop()()
            return found

    def change_hands() -> None:
        guard.release(weakref.ref(folds["first"]))
        del folds["first"]
        assert guard.admits(weakref.ref(folds["next"]))

    guard._claims = Claims()
    assert guard.admits(weakref.ref(folds["first"]))
    meanwhile.append(change_hands)
    assert not guard.admits(weakref.ref(folds["asking"]))


@pytest.mark.parametrize("room", range(1, 12))
def test_with_a_full_stack_no_earlier_recording_is_lost_and_the_result_is_returned(
    registry: scope.Registry, room: int
) -> None:
    histogram = registry.histogram(m.LOCK_WAIT_DURATION, lock="a", mode="read")
    wrapped = scope.index_write("s", registry=registry)(lambda: "result")

    def use() -> list[str]:
        for _ in range(3 * LIMIT):
            histogram.observe(0.25)
        return [wrapped() for _ in range(3 * LIMIT)]

    def bare() -> None:
        """Take two more frames, as a wrapper and its function do."""
        (lambda: (lambda: None)())()

    for _ in range(LIMIT // 2):
        histogram.observe(0.25)
    try:
        near_the_end(room, lambda: bare())
    except RecursionError:
        return  # not even the function without a probe has the room
    results = near_the_end(room, use)
    assert results == ["result"] * 3 * LIMIT
    assert histogram.point().observations == LIMIT // 2 + 3 * LIMIT
    assert sum(outcomes(registry)) == 3 * LIMIT


@pytest.mark.parametrize("room", range(1, 16))
def test_with_a_full_stack_no_probe_raises_into_the_decorated_function(registry: scope.Registry, room: int) -> None:
    def with_two_frames(function: Callable[[], Any]) -> Any:
        return (lambda: function())()

    probes = [
        scope.storage("s", "load", registry=registry),
        scope.completion(registry=registry),
        scope.per_call(scope.index_write, index=lambda: "s", registry=registry),
        scope.recall("flat", results=len, registry=registry),
    ]
    decorated = [probe(lambda: "result") for probe in probes]

    for function in decorated:
        try:
            near_the_end(room, lambda: with_two_frames(lambda: None))
        except RecursionError:
            continue  # not even a wrapper without a probe has the room
        assert near_the_end(room, lambda: function()) == "result"  # noqa: B023
    assert value(registry, m.COMPLETION_IN_FLIGHT) == 0


def test_clearing_a_registry_while_threads_record_raises_nothing_anywhere(registry: scope.Registry) -> None:
    counter = registry.counter(m.CACHE_STALE_READS, cache="redb")
    errors: list[BaseException] = []

    def record() -> None:
        try:
            for _ in range(30_000):
                counter.inc()
                with scope.index_write("s", registry=registry):
                    pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=record) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        registry.clear()
        registry.snapshot()
    assert errors == []
    registry.clear()
    counter.inc()
    assert counter.point().value == 1
