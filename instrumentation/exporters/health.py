"""The answers of `/health` and `/ready`: whether the process is alive, and whether it takes requests."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

Check = Callable[[], str | None]
"""Returns None if all is well, and otherwise the reason why the service cannot take requests."""


class Readiness(NamedTuple):
    """Whether the service takes requests; if not, the reason, and the progress of its start (0 to 1)."""

    ready: bool
    reason: str | None = None
    progress: float | None = None


_READY = Readiness(True)


class Health:
    """Liveness and readiness of one service. A new one is ready.

    It is safe in any thread and in signal handlers: the state is one immutable value, replaced without a lock.

        >>> health = Health(clock=iter([100.0, 112.5]).__next__)
        >>> health.health_document()
        {'status': 'ok', 'uptime_seconds': 12.5}
        >>> health.set_not_ready("replaying the log", progress=0.4)
        >>> health.ready_document()
        (503, {'status': 'unavailable', 'reason': 'replaying the log', 'progress': 0.4})
        >>> health.set_ready()
        >>> health.ready_document()
        (200, {'status': 'ready'})
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._state = _READY
        self._checks: dict[str, Check] = {}
        _all.add(self)

    def set_ready(self) -> None:
        """Declare that the service takes requests; registered checks must still pass."""
        self._state = _READY

    def set_not_ready(self, reason: str, progress: float | None = None) -> None:
        """Declare that the service takes no requests, with the reason and the progress (0 to 1)."""
        self._state = Readiness(False, str(reason), progress)

    def add_check(self, name: str, check: Check) -> None:
        """Call `check` at every `/ready`; it replaces an earlier check of that name.

        It runs in the thread of the request and should answer from memory, since an orchestrator calls often.
        """
        self._checks[name] = check

    def remove_check(self, name: str) -> None:
        """Remove the check of that name, if there is one."""
        self._checks.pop(name, None)

    def uptime(self) -> float:
        """Return the seconds since this object was made, or, in a forked child, since the fork."""
        return self._clock() - self._started

    def readiness(self) -> Readiness:
        """Return the state, with the reasons of all checks that fail. A check that raises has failed."""
        state = self._state
        failures = [f"{name}: {reason}" for name, check in self._checks.copy().items() if (reason := _failure(check))]
        if not failures:
            return state
        reasons = ([state.reason] if state.reason else []) + failures
        return Readiness(False, "; ".join(reasons), state.progress)

    def health_document(self) -> dict[str, Any]:
        """Return the body of `/health`."""
        return {"status": "ok", "uptime_seconds": round(self.uptime(), 3)}

    def ready_document(self) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status of `/ready` and its body."""
        state = self.readiness()
        if state.ready:
            return 200, {"status": "ready"}
        document: dict[str, Any] = {"status": "unavailable", "reason": state.reason}
        if state.progress is not None:
            document["progress"] = state.progress
        return 503, document


def _failure(check: Check) -> str | None:
    try:
        return check()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


_all: weakref.WeakSet[Health] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for health in list(_all):
        health._started = health._clock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
