"""Log the first dropped recording of each kind, with the place in the service's code that made it."""

from __future__ import annotations

import sys
from collections import deque

from ..catalog import Metric

_PACKAGE = __name__.rpartition(".")[0]
NOTHING = object()
"""No value was given; None may be one."""


class DropLog:
    """Dropped recordings that the next scrape, or the end of the process, will log.

    They are not logged immediately: the service may hold a lock that its own log handler takes as well.
    """

    def __init__(self) -> None:
        self._pending: deque[str] = deque()

    def append(self, metric: Metric, reason: str, value: object) -> None:
        """Add a line for the log."""
        given = f", given {_described(value)}" if value is not NOTHING else ""
        what = f"{metric.name}: recording dropped ({reason}{given})"
        self._pending.append(f"{what} at {_place()}; further ones are only counted")

    def log(self) -> None:
        """Log the lines that were added since the last call."""
        while self._pending:
            import logging

            try:
                line = self._pending.popleft()
            except IndexError:  # another thread was faster
                return
            logging.getLogger("mnemoscope").warning("%s", line)


def _described(value: object) -> str:
    """Return a value for the log: a float's digits, else only its type, as it may be personal data."""
    kind = type(value)
    return repr(value) if kind is float else kind.__name__


def _place() -> str:
    """Return file and line of the innermost frame outside this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
