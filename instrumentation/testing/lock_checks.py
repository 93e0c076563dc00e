"""The checks of `--lock-order`: a test fails for the inversions, lost releases and stalls that it causes.

A finding in one phase of a test (setup, body, teardown) fails that phase. The body of a test has to release what it
took before it ends. Fixtures and threads that still run have until the end of the teardown.

Waits that are too long are ended: the wait raises, or the task is cancelled. Waits of the test's own thread are ended
first. If there are none, the test may be joining a thread that waits, so all other long waits are ended.
Some waits cannot be ended, and are left to pytest-timeout: for a lock of another library that `observe_lock` wraps, for
the lock of `Condition.wait`, and for anything else, such as a queue that no thread fills any more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from threading import get_ident
from typing import Any

import pytest

from ..locks.lock import Lock
from ..locks.watch import order, waits
from ..locks.watch.holders import AnyHold, Holder, place_of, tracker
from ..locks.watch.incidents import DEADLOCK, STALL, Incident
from ..locks.watch.thread_or_task import ThreadOrTask
from ..locks.watch.watchdog import DEFAULT_LIMIT, watchdog
from .concurrently import held_by

_PATIENCE = 0.5
"""Seconds that threads in the background get to release what they hold."""

_UNWINDING = 3.0
"""Seconds that a test gets to release what it holds after its wait was ended. Then other threads' waits are ended."""

_PYTEST = (*(f"{os.sep}{package}{os.sep}" for package in ("_pytest", "pytest", "pluggy")), "<frozen runpy>")

Held = dict[object, tuple[Holder, AnyHold]]
"""Holds with their holders. A `Lock` is its own hold, so its key includes the moment when it was taken."""


class LockChecks:
    """The hooks of pytest.

    Args:
        stall: seconds that a wait may last.
    """

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._before: Held = {}
        self._incidents: list[Incident] = []
        self._thread = get_ident()
        self._began = 0.0
        self._ended_own = float("-inf")
        self._check = True  # whether findings fail the present test

    # Begin and end --------------------------------------------------------------------------------

    def pytest_sessionstart(self) -> None:
        """Switch the checks on."""
        tracker.switch(on=True)
        waits.make_endable(True)
        watchdog.set_limit(self._stall)
        watchdog.listeners.append(self._incidents.append)
        watchdog.after_look.append(self._end_waits)

    def pytest_unconfigure(self) -> None:
        """Switch the checks off."""
        if self._end_waits not in watchdog.after_look:
            return
        watchdog.after_look.remove(self._end_waits)
        watchdog.listeners.remove(self._incidents.append)
        watchdog.set_limit(DEFAULT_LIMIT)
        waits.make_endable(False)
        tracker.switch(on=False)

    def _end_waits(self) -> None:
        """End the waits that are too long. The watchdog calls this after it has described them."""
        if not self._check:
            return
        late = [wait for wait in waits.under_way() if wait.error is None and self._is_to_end(wait)]
        own = [wait for wait in late if wait.waiter.thread == self._thread]
        if own:
            self._ended_own = time.monotonic()
        elif time.monotonic() - self._ended_own < _UNWINDING:
            return
        for wait in own or late:
            text = f"the wait for {wait.lock.name!r} ({wait.meter.mode}), held by {held_by(wait)}, took too long"
            wait.end(pytest.fail.Exception(f"{text} and was ended", pytrace=True))

    def _is_to_end(self, wait: waits.Wait) -> bool:
        if wait.reported == DEADLOCK:
            return True
        # A wait from an earlier test, without a known holder, may be an idle thread: a semaphore can serve as a signal.
        explained = wait.since >= self._began or any(wait.lock.blockers(wait.meter.mode))
        return bool(wait.reported) and explained and time.perf_counter() - wait.since >= self._stall

    # Each test ------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Check the setup. Locks that it takes may stay held."""
        self._before = holds()
        self._began = time.perf_counter()
        return (yield from self._phase(item, dict))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Check the body, which has to release what it took."""
        before = holds()
        return (yield from self._phase(item, lambda: _of_the_body(_new(before))))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Check the teardown, after which nothing that was taken since the setup may be held."""
        try:
            return (yield from self._phase(item, lambda: _kept(lambda: _new(self._before))))
        finally:
            for wait in waits.under_way():
                wait.reported = wait.reported or STALL  # so that it does not fail the next test

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """Do not blame the first test for what a fixture of wider scope takes."""
        before = holds()
        result = yield
        if fixturedef.scope != "function":
            self._before |= _new(before)
        return result

    def _phase(self, item: pytest.Item, lost: Callable[[], Held]) -> Generator[None, object, object]:
        """Run one phase of a test and fail it if there are findings. If it has failed already, add them as notes."""
        marker = item.get_closest_marker("lock_order")
        self._check = marker is None or marker.kwargs.get("check", True)
        self._thread = get_ident()
        try:
            result = yield
        except BaseException as error:
            for finding in self._findings(lost):
                if self._check:
                    error.add_note(finding)
            raise
        found = self._findings(lost)
        if found and self._check:
            pytest.fail("\n\n".join(found), pytrace=False)
        return result

    def _findings(self, lost: Callable[[], Held]) -> list[str]:
        """Return the findings that are new, as text."""
        watchdog.look_for_deadlocks()
        self._end_waits()
        found = [_without_pytest(str(finding)) for finding in (*_taken(order.inversions), *_taken(self._incidents))]
        for holder, hold in lost().values():
            found.append(f"lost release: {hold.lock.name!r} is still held by {holder}, taken at {place_of(hold)}")
            holder.drop(hold)  # so that it is not found again in the next test
        return found


def holds() -> Held:
    """Return all present holds."""
    return {_identity(hold): (holder, hold) for holder in tracker.holders for hold in holder.holds()}


def _identity(hold: AnyHold) -> object:
    return (hold, hold._since) if isinstance(hold, Lock) else hold


def _new(before: Held) -> Held:
    return {key: hold for key, hold in holds().items() if key not in before}


def _of_the_body(new: Held) -> Held:
    """Return the holds that cannot be released later: those of the body's own thread, and of holders that ended."""
    return {
        key: (holder, hold) for key, (holder, hold) in new.items() if holder.thread == get_ident() or holder.has_ended()
    }


def _kept(new: Callable[[], Held]) -> Held:
    """Return the holds that stay for a while, because threads in the background may be about to release theirs."""
    deadline = time.monotonic() + _PATIENCE
    stuck = [wait.waiter for wait in waits.under_way() if wait.reported]  # these have failed the test already
    kept = {key: hold for key, hold in new().items() if not any(_is_same(hold[0], which) for which in stuck)}
    while kept and time.monotonic() < deadline:
        time.sleep(0.01)
        now = new()
        kept = {key: hold for key, hold in kept.items() if key in now}
    return kept


def _is_same(holder: Holder, which: ThreadOrTask) -> bool:
    return holder.thread == which.thread if which.task is None else holder.is_task(which.task)


def _taken(findings: list[Any]) -> list[Any]:
    """Remove and return all findings. Other threads may be adding to the list."""
    taken = findings[:]
    del findings[: len(taken)]
    return taken


def _without_pytest(text: str) -> str:
    """Remove pytest's own calls, with which every stack begins."""
    return "\n".join(line for line in text.splitlines() if not any(part in line for part in _PYTEST))
