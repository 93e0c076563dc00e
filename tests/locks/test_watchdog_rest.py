"""The watchdog sleeps while nothing waits, and wakes when it has to, after any interruption."""

from __future__ import annotations

import threading

import pytest
from thread_samples import until, waiting

import mnemoscope as scope
from mnemoscope.instrumentation.locks.watch import watchdog as module
from mnemoscope.instrumentation.locks.watch.watchdog import Watchdog
from mnemoscope.instrumentation.recording.registry import Registry


class CountedBell(module._Bell):
    """Notes how long each sleep may last."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps: list[float] = []

    def wait(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        super().wait(seconds)


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> CountedBell:
    """Return the bell of a separate watchdog, which replaces that of the process."""
    own = Watchdog(limit=0.1)
    bell = own._bell = CountedBell()
    monkeypatch.setattr("mnemoscope.instrumentation.locks.meter.watchdog", own)
    return bell


def test_it_sleeps_without_limit_while_nothing_waits_and_looks_four_times_a_limit_while_something_does(
    bell: CountedBell,
) -> None:
    registry = Registry()
    lock = scope.Lock("episodes", registry=registry)
    assert bell.sleeps == []  # there is no thread yet
    lock.acquire()
    user = threading.Thread(target=lambda: (lock.acquire(), lock.release()))
    user.start()
    waiting(registry, 1)
    until(lambda: len(bell.sleeps) > 3)
    assert set(bell.sleeps[1:]) == {0.1 / 4}
    lock.release()
    user.join()
    until(lambda: bell.sleeps[-1] == -1)
    number = len(bell.sleeps)
    for _ in range(1000):
        with lock:
            pass
    assert len(bell.sleeps) == number


def test_rings_that_come_together_wake_once() -> None:
    bell = module._Bell()
    bell.ring()
    bell.ring()
    bell.wait(-1)
    assert bell._silent.locked()
    bell.wait(0)
    assert bell._silent.locked()


@pytest.mark.usefixtures("hostile_switching")
def test_of_many_first_waits_one_starts_the_thread() -> None:
    own = Watchdog(limit=3600)
    ran: list[int] = []
    bell = CountedBell()
    bell.wait = lambda seconds: (ran.append(threading.get_ident()), module._Bell.wait(bell, -1))[1]  # type: ignore[method-assign, func-returns-value]
    own._bell = bell
    threads = [threading.Thread(target=own.notice) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: own._started)
    own.notice()
    assert len(set(ran)) == 1
