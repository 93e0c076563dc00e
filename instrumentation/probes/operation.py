"""Observe one run of an operation: a block, or a decorated call."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from sys import _getframe
from threading import get_ident
from time import perf_counter
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from ..catalog import Metric
from ..catalog.labels import DropReason
from ..recording.registry import Registry
from ..recording.series import NOT_RECORDED
from ..recording.values import UnrecordableError, label_text, number
from .decorate import wrap

OK, ERROR, CANCELLED = "ok", "error", "cancelled"

IsError = Callable[[Exception], bool]
"""Returns whether an exception is a failure; a `KeyError` for a missing entry, say, may be a normal answer."""

F = TypeVar("F", bound=Callable[..., Any])


def outcome_of(error: BaseException | None, is_error: IsError | None) -> str:
    """Return `ok`, `error`, or `cancelled` for a run that was cut short from outside.

    Cancellation in asyncio and trio, an abandoned generator, an interrupt from the keyboard and an exit are exceptions
    outside `Exception`. None of them means that the work itself failed.
    """
    if error is None:
        return OK
    if not isinstance(error, Exception):
        return CANCELLED
    if is_error is None:
        return ERROR
    try:
        return ERROR if is_error(error) else OK
    except Exception:
        return ERROR  # a predicate that fails must not reach the host, nor hide an error


class ProbeSeries(Protocol):
    """The series that a kind of probe records in."""

    @property
    def registry(self) -> Registry: ...
    @property
    def metric(self) -> Metric: ...

    def record(self, seconds: float, outcome: str) -> None:
        """Record a duration."""


S = TypeVar("S", bound=ProbeSeries)


class Operation(Generic[S]):
    """One run that a probe observes: a block (`with probe as operation`) or a decorated call.

    Attributes:
        outcome: set it within the block to override what the exception, or its absence, means. After the block, it is
            the outcome that was recorded.
        seconds: how long the run took; None until it has ended.
    """

    __slots__ = ("__weakref__", "_begun", "_is_error", "_outer", "_series", "_thread", "outcome", "seconds")
    _outer: Any
    _thread: int

    def __init__(self, series: S, is_error: IsError | None = None) -> None:
        self._series = series
        self._is_error = is_error
        self._begun: float | None = None
        self.outcome: str | None = None
        self.seconds: float | None = None

    # For subclasses -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin; the clock is read last."""
        self._begun = perf_counter()

    def returned(self, result: Any) -> Any:
        """Read the result of a decorated callable, and return what its caller gets."""
        return result

    def end(self, error: BaseException | None) -> None:
        """End, and record; `error` is the exception that ended the run."""
        if self._begun is None:
            return
        self.seconds = perf_counter() - self._begun
        self._begun = None
        self.outcome = OK if error is None and self.outcome is None else self._judged(error)
        self.record(self.seconds, self.outcome, error)

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        """Record the run."""
        self._series.record(seconds, outcome)

    def abandon(self) -> None:
        """Record nothing; another operation observes the run."""
        self._begun = None

    def drop(self, reason: DropReason, value: object, metric: Metric | None = None) -> None:
        """Count a value of the service as dropped, under `metric` or the probe's metric."""
        self._series.registry.drop(metric or self._series.metric, reason, value=value)

    def as_number(self, metric: Metric, value: object) -> float | None:
        """Return a number that the service has set, as a float; count anything else as dropped and return None."""
        try:
            return number(value, 0.0)
        except UnrecordableError as error:
            self.drop(error.reason, value, metric)
            return None

    def _judged(self, error: BaseException | None) -> str:
        given: object = self.outcome
        if given is None:
            return outcome_of(error, self._is_error)
        try:
            if isinstance(given, str | Enum):
                return label_text(given)
        except UnrecordableError:
            pass
        self.drop("wrong_type", given)
        return outcome_of(error, self._is_error)

    # For probes and wrappers: no exception of ours reaches the service, even when the stack is full ---

    def __enter__(self) -> Self:
        try:
            self.begin()
        except NOT_RECORDED:
            self._begun = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.end(error)
        except NOT_RECORDED:
            pass


class Unobserved:
    """Stands in for an operation when the stack has no room to make one; any attribute may be set."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None: ...

    def returned(self, result: object) -> object:
        return result

    def abandon(self) -> None: ...


O_co = TypeVar("O_co", bound=Operation[Any], covariant=True)


class Probe(Generic[O_co]):
    """A decorator and context manager around one kind of operation.

    Each block and each call is its own operation, so a probe can be kept, shared and nested.
    """

    __slots__ = ("_arguments", "_kind", "_open")

    def __init__(self, kind: type[O_co], *arguments: Any) -> None:
        self._kind = kind
        self._arguments = arguments
        self._open: dict[int, O_co] = {}  # by a frame's id, the newest operation that the frame has begun

    def operation(self) -> O_co:
        """Return a new operation, not begun."""
        return self._kind(*self._arguments)

    def for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> O_co:
        """Return the operation of one decorated call."""
        try:
            return self._kind(*self._arguments)
        except NOT_RECORDED:
            return cast("O_co", Unobserved())

    @property
    def timed(self) -> tuple[Any, IsError | None] | None:
        """Series and predicate of operations that record a duration by outcome and nothing else; None for others."""
        return (self._arguments[0], self._arguments[1]) if self._kind is Operation else None

    def __call__(self, target: F) -> F:
        """Return `target` with an operation around each run; of the same kind, name and signature as before.

        Raises:
            TypeError: `target` is no function or method.
        """
        return wrap(target, self)

    def __enter__(self) -> O_co:
        return self._enter(id(_getframe(1)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit(id(_getframe(1)), error)

    async def __aenter__(self) -> O_co:
        return self._enter(id(_getframe(1)))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit(id(_getframe(1)), error)

    # The frame with the `with` statement is the same at both ends of the block, in any thread or context. If a helper
    # such as ExitStack enters or leaves, the frames differ. Then the newest operation of the thread ends, or, in a
    # thread that has begun none, the oldest of all.

    def _enter(self, frame: int) -> O_co:
        operation = self.for_call((), {})
        operation._outer = self._open.get(frame)
        operation._thread = get_ident()
        self._open[frame] = operation
        return operation.__enter__()

    def _exit(self, frame: int, error: BaseException | None) -> None:
        operation = self._open.pop(frame, None)
        while operation is None and self._open:
            frame = self._likeliest_frame()
            operation = self._open.pop(frame, None)
        if operation is None:
            return
        if operation._outer is not None:
            self._open[frame] = operation._outer
            operation._outer = None
        operation.__exit__(None, error, None)

    def _likeliest_frame(self) -> int:
        entries = list(self._open.items())
        thread = get_ident()
        own = [frame for frame, operation in entries if operation._thread == thread]
        return own[-1] if own else entries[0][0] if entries else 0
