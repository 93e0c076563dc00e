"""A thread that calls a function again and again, with pauses."""

from __future__ import annotations

import logging
import time
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from threading import current_thread

_FAILURE_SECONDS = 1.0
"""The pause after a call that raised."""
_PAUSE_RATIO = 10
"""A pause is at least so many times as long as the processor time of the call before it."""


class PeriodicThread:
    """Calls `work` in its own thread until it is stopped.

    It is not a `threading.Thread`, whose start waits for locks. The thread that records first may be a signal handler
    or a finaliser that interrupted the holder of these locks.

    Args:
        name: the name of the thread.
        work: called with whether `wake` was called, and returns the seconds until the next call.
    """

    def __init__(self, name: str, work: Callable[[bool], float]) -> None:
        self._name = name
        self._work = work
        self._wake = allocate_lock()
        self._stopped = False
        self._wake.acquire()
        start_new_thread(self._run, ())

    def _run(self) -> None:
        current_thread().name = self._name
        pause = 0.0
        while True:
            woken = self._wake.acquire(timeout=pause)
            if self._stopped:
                return
            started = time.thread_time()
            try:
                pause = self._work(woken)
            except Exception:
                logging.getLogger("mnemoscope").exception("multi-process mode: a pass failed")
                pause = _FAILURE_SECONDS
            pause = max(pause, _PAUSE_RATIO * (time.thread_time() - started))

    def wake(self) -> None:
        """End the current pause."""
        with suppress(RuntimeError):  # another thread has done so
            self._wake.release()

    def stop(self) -> None:
        """End the thread after the call under way."""
        self._stopped = True
        self.wake()
