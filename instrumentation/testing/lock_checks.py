"""What `--lock-order` does: each test answers for the inversions, lost releases and stalls that it causes.

What a phase of a test finds fails that phase. What the body of a test took, it has to give back before it ends; what
else was taken meanwhile (by fixtures, by threads that still run), before the test is torn down.

Waits that are too long are ended: each raises where it waits, and a task is cancelled. Those of the test's own thread
are ended first; if it has none, it may be joining a thread that waits, so all others are.
What cannot be ended is left to pytest-timeout: a wait for a lock of another library that `observe_lock` wraps, of
`Condition.wait` for its lock, or for anything else, as for a queue that a thread whose wait was ended does not fill.
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
from ..locks.watch.holders import AnyHold, Holder, place, tracker
from ..locks.watch.incidents import DEADLOCK, STALL, Incident
from ..locks.watch.thread_or_task import ThreadOrTask
from ..locks.watch.watchdog import DEFAULT_LIMIT, watchdog
from .concurrently import held_by

_PATIENCE = 0.5  # seconds that threads in the background get to finish what they are at

_UNWINDING = 3.0
"""Seconds that a test gets to release what it holds, once its wait was ended, before other threads' waits are ended."""

_PYTEST = (*(f"{os.sep}{package}{os.sep}" for package in ("_pytest", "pytest", "pluggy")), "<frozen runpy>")

Holds = dict[object, tuple[Holder, AnyHold]]
"""What is held and in which list. A `Lock` is its own hold, so the key has the moment when it was taken, too."""


class LockChecks:
    """The hooks; `stall` is how long a wait may be, in seconds."""

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._before: Holds = {}
        self._incidents: list[Incident] = []
        self._thread = get_ident()
        self._began = 0.0
        self._ended_own = float("-inf")
        self._check = True  # whether the test under way is to answer for anything

    # Begin and end --------------------------------------------------------------------------------

    def pytest_sessionstart(self) -> None:
        tracker.switch(on=True)
        waits.make_endable(True)
        watchdog.set_limit(self._stall)
        watchdog.listeners.append(self._incidents.append)
        watchdog.after_look.append(self._end_waits)

    def pytest_unconfigure(self) -> None:
        if self._end_waits not in watchdog.after_look:
            return
        watchdog.after_look.remove(self._end_waits)
        watchdog.listeners.remove(self._incidents.append)
        watchdog.set_limit(DEFAULT_LIMIT)
        waits.make_endable(False)
        tracker.switch(on=False)

    def _end_waits(self) -> None:
        """End the waits that have been reported; called after that, so not before they have been described."""
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
        # A wait of an earlier test for what nothing holds may be how a thread idles: for a semaphore, used as a signal.
        explained = wait.since >= self._began or any(wait.lock.blockers(wait.meter.mode))
        return bool(wait.reported) and explained and time.perf_counter() - wait.since >= self._stall

    # Each test ------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        self._before = holds()
        self._began = time.perf_counter()
        return (yield from self._phase(item, dict))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        before = holds()
        return (yield from self._phase(item, lambda: _of_the_body(_new(before))))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        try:
            return (yield from self._phase(item, lambda: _kept(lambda: _new(self._before))))
        finally:
            for wait in waits.under_way():
                wait.reported = wait.reported or STALL  # of this test or of one before: the next does not answer for it

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        """What a fixture of more than one test takes is not taken by the test that happens to be first."""
        before = holds()
        result = yield
        if fixturedef.scope != "function":
            self._before |= _new(before)
        return result

    def _phase(self, item: pytest.Item, lost: Callable[[], Holds]) -> Generator[None, object, object]:
        """One phase of a test, which fails if it found anything; what failed already gets that as a note."""
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

    def _findings(self, lost: Callable[[], Holds]) -> list[str]:
        """Return what there is to say for the first time."""
        watchdog.look_for_deadlocks()
        self._end_waits()
        found = [_without_pytest(str(finding)) for finding in (*_taken(order.inversions), *_taken(self._incidents))]
        for holder, hold in lost().values():
            found.append(f"lost release: {hold.lock.name!r} is still held by {holder}, taken at {place(hold)}")
            holder.drop(hold)  # or the tests after this one seem to hold it
        return found


def holds() -> Holds:
    """Return what is held now."""
    return {_identity(hold): (holder, hold) for holder in tracker.holders for hold in holder.holds()}


def _identity(hold: AnyHold) -> object:
    return (hold, hold._since) if isinstance(hold, Lock) else hold


def _new(before: Holds) -> Holds:
    return {key: hold for key, hold in holds().items() if key not in before}


def _of_the_body(new: Holds) -> Holds:
    """Return those that nothing is left to release: of the thread that ran the body, and of what has ended."""
    return {
        key: (holder, hold) for key, (holder, hold) in new.items() if holder.thread == get_ident() or holder.has_ended()
    }


def _kept(new: Callable[[], Holds]) -> Holds:
    """Return those that stay for a while; threads in the background may be about to release."""
    deadline = time.monotonic() + _PATIENCE
    stuck = [wait.waiter for wait in waits.under_way() if wait.reported]  # reported for that already
    kept = {key: hold for key, hold in new().items() if not any(_is_of(hold[0], owner) for owner in stuck)}
    while kept and time.monotonic() < deadline:
        time.sleep(0.01)
        now = new()
        kept = {key: hold for key, hold in kept.items() if key in now}
    return kept


def _is_of(holder: Holder, owner: ThreadOrTask) -> bool:
    return holder.thread == owner.thread if owner.task is None else holder.is_of(owner.task)


def _taken(findings: list[Any]) -> list[Any]:
    """Take what is there out of the list; other threads may be adding to it."""
    taken = findings[:]
    del findings[: len(taken)]
    return taken


def _without_pytest(text: str) -> str:
    """Remove pytest's own calls, with which stacks begin, and which say nothing."""
    return "\n".join(line for line in text.splitlines() if not any(part in line for part in _PYTEST))
