"""What `--lock-order` does: each test answers for the inversions, lost releases and stalls that it causes.

What a phase of a test finds fails that phase. What the body of a test took, it has to give back before it ends; what
others took meanwhile (fixtures, threads that still run), before the test is torn down.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest

from . import hooks, order
from .interrupt import Interruptible
from .watchdog import DEFAULT_LIMIT, STALL, Incident, watchdog

_PATIENCE = 0.5  # seconds that threads in the background get to finish what they are at

_PYTEST = (*(f"{os.sep}{package}{os.sep}" for package in ("_pytest", "pytest", "pluggy")), "<frozen runpy>")

Holds = dict[int, tuple[object, order.Entry]]
"""By whom, as a thread's identifier or a task, and what."""


class LockChecks:
    """The hooks; `stall` is how long a wait may be, in seconds."""

    def __init__(self, stall: float) -> None:
        self._stall = stall
        self._before: Holds = {}
        self._incidents: list[Incident] = []
        self._running = Interruptible()
        self._check = True  # whether the test under way is to answer for anything

    # Begin and end --------------------------------------------------------------------------------

    def pytest_sessionstart(self) -> None:
        order.track(True)
        watchdog.set_limit(self._stall)
        watchdog.listeners.append(self._noticed)

    def pytest_unconfigure(self) -> None:
        order.track(False)
        watchdog.set_limit(DEFAULT_LIMIT)
        if self._noticed in watchdog.listeners:
            watchdog.listeners.remove(self._noticed)

    def _noticed(self, incident: Incident) -> None:
        """In the watchdog's thread: if it is the test itself that waits, or its event loop, it shall go on."""
        self._incidents.append(incident)
        main = threading.main_thread().ident
        if self._check and any(wait.told and wait.owner.thread == main for wait in list(hooks.waits.values())):
            self._running.interrupt(pytest.fail.Exception("the wait for a lock was ended, for it took too long"))

    # Each test ------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        self._before = holds()
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
            for wait in list(hooks.waits.values()):
                wait.told = wait.told or STALL  # of this test or of one before: the next shall not answer for it

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
        try:
            with Interruptible() as self._running:
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
        """What there is to say for the first time."""
        watchdog.look_for_deadlocks()
        found = [_without_pytest(str(finding)) for finding in (*order.inversions, *self._incidents)]
        order.inversions.clear()
        self._incidents.clear()
        kept = lost()
        for key, entry in kept.values():
            found.append(_lost_release(key, entry))
            _forget(key, entry)
        return found


def holds() -> Holds:
    """What is held now, by the identity of its entry: a lock that is taken again makes another one."""
    return {id(entry): (key, entry) for key, entries in order.stacks.copy().items() for entry in tuple(entries)}


def _new(before: Holds) -> Holds:
    return {name: hold for name, hold in holds().items() if name not in before}


def _of_the_body(new: Holds) -> Holds:
    """Those that nobody is left to release: of the thread that ran the body, and of threads and tasks that ended."""
    alive = {thread.ident for thread in threading.enumerate()} - {threading.get_ident()}
    return {name: (key, entry) for name, (key, entry) in new.items() if key not in alive and _done(key)}


def _done(key: object) -> bool:
    done: Callable[[], bool] = getattr(key, "done", lambda: True)  # a task's; threads that are alive are none of ours
    return done()


def _kept(new: Callable[[], Holds]) -> Holds:
    """Those that stay for a while; threads in the background may be about to let go."""
    deadline = time.monotonic() + _PATIENCE
    stuck = {wait.owner.key for wait in list(hooks.waits.values()) if wait.told}  # reported for that already
    first = {name: hold for name, hold in new().items() if hold[0] not in stuck}
    while (still := {name: hold for name, hold in new().items() if name in first}) and time.monotonic() < deadline:
        time.sleep(0.01)
    return still


def _forget(key: object, entry: order.Entry) -> None:
    """Take it as released, so that the tests after this one do not seem to hold it."""
    entries = order.stacks.get(key, [])
    entries[:] = [other for other in entries if other is not entry]


def _without_pytest(text: str) -> str:
    """Stacks begin with pytest's own calls, which say nothing."""
    return "\n".join(line for line in text.splitlines() if not any(part in line for part in _PYTEST))


def _lost_release(key: object, entry: order.Entry) -> str:
    name, by, place = order.told(key, entry)
    return f"lost release: {name!r} is still held by {by}, taken at {place}"
