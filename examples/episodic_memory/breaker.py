"""A circuit breaker: after some failures in a row, callers are refused immediately."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from types import TracebackType
from typing import Concatenate, Literal, ParamSpec, Protocol, TypeVar

import mnemoscope as scope
from mnemoscope import catalog as m

from .errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")
State = Literal["closed", "half_open", "open"]
STATES: tuple[State, ...] = ("closed", "half_open", "open")


class CircuitBreaker:
    """The guard of one backend; use it as a context manager around each operation.

    While closed, it admits every caller. After `failures` failures in a row it opens and raises Unavailable. After
    `reset_after` seconds it admits one caller (half open): success closes the circuit, failure opens it again.
    Only exceptions of type `failure` count.
    """

    def __init__(
        self,
        backend: str,
        *,
        failure: type[Exception],
        failures: int = 5,
        reset_after: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._failure = failure
        self._limit = failures
        self._reset_after = reset_after
        self._clock = clock
        self._lock = scope.Lock("breaker")
        self._in_a_row = 0
        self._opened_at = 0.0
        self._state: State = "closed"
        self._show()

    @property
    def state(self) -> State:
        """The current state."""
        return self._state

    def __enter__(self) -> None:
        with self._lock:
            if self._state == "closed":
                return
            if self._state == "half_open" or self._clock() - self._opened_at < self._reset_after:
                raise Unavailable(f"{self._backend} is out of service after {self._in_a_row} failures in a row")
            self._state = "half_open"
            self._show()

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        failed = kind is not None and issubclass(kind, self._failure)
        with self._lock:
            if failed:
                self._in_a_row += 1
                if self._state == "half_open" or self._in_a_row >= self._limit:
                    self._state, self._opened_at = "open", self._clock()
            elif self._state != "open":
                # A late success while the circuit is open does not close it; only the trial call does.
                self._state, self._in_a_row = "closed", 0
            self._show()

    def _show(self) -> None:
        for state in STATES:
            scope.gauge(m.STORAGE_CIRCUIT_STATE, backend=self._backend, state=state).set(int(state == self._state))
        scope.gauge(m.STORAGE_CIRCUIT_CONSECUTIVE_FAILURES, backend=self._backend).set(self._in_a_row)


class Guarded(Protocol):
    """An object with a breaker."""

    @property
    def breaker(self) -> CircuitBreaker:
        """The breaker around the object's operations."""


G = TypeVar("G", bound=Guarded)


def guarded(operation: Callable[Concatenate[G, P], R]) -> Callable[Concatenate[G, P], R]:
    """Decorate a method so that it runs behind `self.breaker`."""

    @functools.wraps(operation)
    def run(self: G, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.breaker:
            return operation(self, *args, **kwargs)

    return run
