"""End a wait of the main thread from another thread, even one inside a blocking acquire."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Interruptible:
    """While the block runs, `interrupt` makes the main thread raise within it, whatever it waits for.

    It works where there are POSIX signals and the block is in the main thread; elsewhere `possible` is false, and
    `interrupt` does nothing. It borrows SIGALRM, whose use in tests is to end them; an alarm of somebody else goes
    to whoever handled it before.
    """

    def __init__(self) -> None:
        self.possible = hasattr(signal, "pthread_kill") and threading.current_thread() is threading.main_thread()
        self._thread = threading.get_ident()
        self._error: BaseException | None = None
        self._over = False
        self._sending = threading.Lock()

    def interrupt(self, error: BaseException) -> None:
        """Raise `error` in the block; nothing happens when the block is over. From any thread, as often as needed."""
        with self._sending:
            if self.possible and not self._over:
                self._error = error
                signal.pthread_kill(self._thread, signal.SIGALRM)

    def __enter__(self) -> Self:
        if self.possible:
            self._previous = signal.signal(signal.SIGALRM, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over = True
        if self.possible:
            # Whoever was about to send has sent when this is ours, and `signal` first handles what has arrived.
            with self._sending:
                signal.signal(signal.SIGALRM, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        error, self._error = self._error, None
        if error is None:
            if callable(self._previous):
                self._previous(number, frame)
        elif not self._over:
            raise error
