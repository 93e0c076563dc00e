"""The uses of locks that are gone are counted exactly, in constant work each, at any interruption."""

from __future__ import annotations

import gc
import sys
import weakref
from functools import partial
from types import CodeType, FrameType
from typing import Any

import pytest
from interrupts import interrupted_at
from thread_samples import read

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks import use_counts as module
from mnemoscope.instrumentation.locks.meter import meter_of
from mnemoscope.instrumentation.recording.registry import Registry


def use(registry: Registry, times: int = 1) -> None:
    lock = scope.Lock("episodes", registry=registry)
    for _ in range(times):
        with lock:
            pass


def test_making_and_dropping_locks_takes_the_same_work_each_and_their_uses_are_exact() -> None:
    registry = Registry()
    use(registry)
    work: list[int] = []

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != module.__file__:
            return None
        frame.f_trace_opcodes = True
        work[-1] += event == "opcode"
        return trace

    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for this as tracing begins
    before = sys.gettrace()
    for number in range(20_000):
        if number % 1000 < 3:
            work.append(0)
            sys.settrace(trace)
        use(registry)
        sys.settrace(before)
    assert max(work) < 1.2 * min(work[3:])
    assert read(registry, catalog.LOCK_HOLD_DURATION) == read(registry, catalog.LOCK_WAIT_DURATION) == 20_001
    totals = meter_of(registry, "episodes")._totals
    assert not totals._living
    assert not totals._gone


@pytest.mark.parametrize("number", [500, 5000])
def test_many_that_go_at_once_are_added_one_step_each(number: int) -> None:
    registry = Registry()
    kept = [scope.Lock("episodes", registry=registry) for _ in range(number)]
    for lock in kept:
        with lock:
            pass
    lock = None  # type: ignore[assignment]
    totals = meter_of(registry, "episodes")._totals
    kept.clear()
    gc.collect()
    assert len(totals._gone) == number
    removals: list[object] = []

    class Gone(type(totals._gone)):  # type: ignore[misc]
        def popleft(self) -> Any:
            removals.append(None)
            return super().popleft()

        def remove(self, _: object) -> None:
            raise AssertionError("this looks through all")

    totals._gone = Gone(totals._gone)
    assert read(registry, catalog.LOCK_HOLD_DURATION) == number
    assert len(removals) == number


def test_an_exception_at_any_point_loses_no_use_and_counts_none_twice() -> None:
    step = 0
    while True:
        step += 1
        registry = Registry()
        totals = meter_of(registry, "episodes")._totals
        kept = [scope.Lock("episodes", registry=registry) for _ in range(3)]
        for lock in kept:
            with lock:
                pass
        del kept, lock
        fired = interrupted_at(step, partial(use, registry, 2), counts)
        fired = interrupted_at(step, totals.read, counts) or fired
        assert module._guard.holder() is None
        # The interrupted creation may be missing, but no more.
        assert read(registry, catalog.LOCK_HOLD_DURATION) in {3, 5}, step
        use(registry, 10)
        assert read(registry, catalog.LOCK_HOLD_DURATION) in {13, 15}, step
        assert not totals._living
        assert not totals._gone
        if not fired:
            break
    assert step > 50


def counts(code: CodeType) -> bool:
    """Return whether code makes counts or adds them up."""
    return code.co_filename == module.__file__ and code.co_name in ("counts_for", "_add_gone", "read", "_sum")


def test_a_finaliser_that_makes_a_lock_amid_the_counting_waits_for_nothing() -> None:
    registry = Registry()
    totals = meter_of(registry, "episodes")._totals
    made: list[object] = []
    use(registry)

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename != module.__file__ or frame.f_code.co_name not in ("_add_gone", "_sum"):
            return None
        if len(made) >= 20:
            return None
        sys.settrace(None)
        use(registry)  # finds the guard taken
        made.append(None)
        sys.settrace(trace)
        return trace

    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for this as tracing begins
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        counts = totals.read()
    finally:
        sys.settrace(before)
    assert made
    assert counts[1] <= 1 + len(made)
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 1 + len(made)


def test_a_count_amid_another_of_the_same_thread_gives_the_last_one_after_a_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry()
    use(registry, 3)
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 3
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    fold = module.Fold()
    claim = weakref.ref(fold)
    assert module._guard.admits(claim)
    use(registry)
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 3
    module._guard.release(claim)
    assert read(registry, catalog.LOCK_HOLD_DURATION) == 4
