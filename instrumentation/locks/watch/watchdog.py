"""The thread that looks at waits for locks, and logs the deadlocks and stalls among them.

It is a daemon thread that sleeps while nothing waits. It only reads: the waits under way, the holders of locks, and the
stacks. It needs no event loop, so it also notices a thread that blocks one. It logs all findings about locks, because
a logging handler must not run in a thread that holds some of them.
"""

from __future__ import annotations

import atexit
import threading
import time
from _thread import allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from . import waits
from .incidents import DEADLOCK, Incident, find_deadlocks, find_stalls

DEFAULT_LIMIT = 30.0
MAX_INCIDENTS = 100
"""How many of the latest incidents are kept."""
_LOOKS_PER_LIMIT = 4
_LONGEST_PAUSE = 1.0


class _Bell:
    """Wakes a thread. Unlike `threading.Event.set`, `ring` never waits, even if it has interrupted another `ring`."""

    def __init__(self) -> None:
        self._silent = allocate_lock()
        self._silent.acquire()

    def ring(self) -> None:
        with suppress(RuntimeError):  # another thread has just rung it
            if self._silent.locked():
                self._silent.release()

    def wait(self, seconds: float) -> None:
        """Wait until it is rung, or for so many seconds; -1 is no limit."""
        self._silent.acquire(timeout=seconds)


class Watchdog:
    """Looks at the waits that have lasted longer than a limit.

    Args:
        limit: the limit in seconds.

    Attributes:
        incidents: the latest incidents, oldest first.
        listeners: called with each incident, in the thread that looked.
        after_look: called in the watchdog's thread after each look.
    """

    def __init__(self, limit: float = DEFAULT_LIMIT) -> None:
        self.limit = limit
        self.incidents: deque[Incident] = deque(maxlen=MAX_INCIDENTS)
        self.listeners: list[Callable[[Incident], None]] = []
        self.after_look: list[Callable[[], None]] = []
        self.thread_name = "mnemoscope-locks"
        self.forget()

    def forget(self) -> None:
        """Begin anew in a forked child: the thread is gone, and the parent logs what was found before."""
        self._bell = _Bell()
        self._awake = False  # changed by the thread alone
        self._started = False
        self._running = allocate_lock()
        self._looking = allocate_lock()
        self._late: set[int] = set()
        self._unlogged: deque[Incident | str] = deque()

    # The next three run wherever a lock is taken. A finaliser or signal handler may interrupt one of them and call it.

    def notice(self) -> None:
        """Wake the thread, because a wait has begun. This costs very little while the thread is awake."""
        if not self._awake:
            self._wake()

    def log_soon(self, finding: Incident | str) -> None:
        """Let the watchdog's thread log a finding. The caller may hold locks that a logging handler needs."""
        self._unlogged.append(finding)
        self._wake()

    def _wake(self) -> None:
        self._bell.ring()
        if not self._started:
            # `threading.Thread.start` would wait for the new thread, which may need a lock that the caller holds.
            with suppress(RuntimeError):  # an interpreter that is ending starts no threads, and needs no watchdog
                start_new_thread(self._run, ())

    def set_limit(self, seconds: float) -> None:
        """Change the limit, with immediate effect."""
        self.limit = seconds
        self._bell.ring()

    def log(self) -> None:
        """Wait, at most a second, until all findings are logged. At exit they would be lost otherwise."""
        if self._unlogged:
            self._wake()
        until = perf_counter() + _LONGEST_PAUSE
        while self._unlogged and perf_counter() < until:
            time.sleep(0.002)

    def look(self) -> list[Incident]:
        """Look once, in the calling thread. Return the new incidents, which are counted now and logged soon."""
        now = perf_counter()
        with self._looking:
            late = {id(wait): wait for wait in waits.under_way() if now - wait.since >= self.limit}
            if not late or (late.keys() == self._late and all(wait.reported for wait in late.values())):
                return []
            self._late = set(late)
            found, unconfirmed = find_deadlocks(late)
            found.extend(find_stalls(late, unconfirmed))
        return self._report(found)

    def look_for_deadlocks(self) -> list[Incident]:
        """Look for deadlocks alone, also among waits shorter than the limit; tests call this at their end."""
        with self._looking:
            found, _ = find_deadlocks({id(wait): wait for wait in waits.under_way()})
        return self._report(found)

    def _report(self, found: list[Incident]) -> list[Incident]:
        self.incidents.extend(found)
        for incident in found:
            self.log_soon(incident)
            for listener in self.listeners:
                listener(incident)
        return found

    def _run(self) -> None:
        if not self._running.acquire(False):
            return  # another thread was started in the same moment
        self._started = True
        threading.current_thread().name = self.thread_name
        while True:
            self._bell.wait(min(self.limit / _LOOKS_PER_LIMIT, _LONGEST_PAUSE) if self._awake else -1)
            self._awake = True
            try:
                self.look()
                for call in self.after_look:
                    call()
            except Exception as error:
                self._unlogged.append(f"the watchdog of locks failed and continues: {error!r}")
            while self._unlogged:
                _log(self._unlogged[0])
                self._unlogged.popleft()
            self._awake = False
            # A wait that began just before may have found the thread awake, and so has not rung.
            self._awake = bool(self._unlogged or waits.under_way())


def _log(finding: Incident | str) -> None:
    # Imported late, because a service without findings may not need `logging`.
    import logging

    deadlock = isinstance(finding, Incident) and finding.kind == DEADLOCK
    with suppress(Exception):  # a handler may fail, and the thread must continue
        logging.getLogger("mnemoscope").log(logging.ERROR if deadlock else logging.WARNING, "%s", finding)


watchdog = Watchdog()
"""The watchdog of this process."""
atexit.register(watchdog.log)
