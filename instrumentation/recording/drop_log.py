"""Log the first refusal of each kind, with the place in the code that it came from."""

from __future__ import annotations

import sys
from collections import deque

from ..catalog import Metric

_PACKAGE = __name__.rpartition(".")[0]
NOTHING = object()
"""No value was given; None may be one."""


class DropLog:
    """Refusals to be logged by the next scrape or at the end of the process.

    They are not logged at once: the service may hold a lock of its own that its log handler takes as well.
    """

    def __init__(self) -> None:
        self._pending: deque[str] = deque()

    def append(self, metric: Metric, reason: str, value: object) -> None:
        """Keep a line for the log."""
        given = f", given {_described(value)}" if value is not NOTHING else ""
        self._pending.append(f"{metric.name}: refused ({reason}{given}) at {_place()}; further ones are only counted")

    def log(self) -> None:
        """Log what is pending."""
        while self._pending:
            import logging

            try:
                line = self._pending.popleft()
            except IndexError:  # another thread was faster
                return
            logging.getLogger("mnemoscope").warning("%s", line)


def _described(value: object) -> str:
    """Return a value for the log: its type, or the digits of a float. Anything else may be personal data."""
    kind = type(value)
    return repr(value) if kind is float else kind.__name__


def _place() -> str:
    """Return file and line of the innermost code that is not this package's."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
