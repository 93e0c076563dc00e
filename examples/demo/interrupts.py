"""Signals and the time limit as exceptions, so that one `finally` cleans up however a run ends."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from mnemoscope.errors import MnemoscopeError

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def as_exceptions() -> Iterator[None]:
    """Make Ctrl-C raise KeyboardInterrupt, and SIGTERM and SIGHUP raise SystemExit, while the context is open.

    Main thread only. The previous handlers are restored.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in (*_ENDING, signal.SIGALRM)}
    for number in _ENDING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else end)
    try:
        yield
    finally:
        time_limit(0, str)
        for number, handler in before.items():
            signal.signal(number, handler)


def time_limit(seconds: float, step: Callable[[], str]) -> None:
    """Raise MnemoscopeError in the main thread after `seconds`; 0 removes the limit."""

    def out_of_time(_number: int, _frame: FrameType | None) -> None:
        raise MnemoscopeError(f"not finished within {seconds:g} s; the step was: {step()}", exit_code=1)

    signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def hold_off() -> None:
    """Ignore further signals and the time limit, so that nothing interrupts the clean-up."""
    time_limit(0, str)
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
