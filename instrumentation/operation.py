"""What a probe is: a decorator and a context manager around one kind of operation.

A probe object is itself the operation of whoever enters it first; whoever enters it while it is in use (nested,
in another thread or task) gets an operation of its own. So the usual `with index_write("s"):` makes one object
and no more, and a probe that is kept and shared is right as well.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from time import perf_counter
from types import TracebackType
from typing import Any, Self, TypeVar

from .decorate import wrap

F = TypeVar("F", bound=Callable[..., Any])

OK, ERROR, CANCELLED = "ok", "error", "cancelled"


IsError = Callable[[Exception], bool]
"""Says whether an exception is a failure, or an answer like any other (a `KeyError` for what is not there)."""


class Sink:
    """Where a kind of operation is recorded, and how its outcome is judged.

    Cancellation in asyncio and trio, an abandoned generator, an interrupt from the keyboard and an exit are all
    exceptions beside `Exception`; none of them says that the work itself failed.
    """

    __slots__ = ("is_error",)

    def __init__(self, is_error: IsError | None = None) -> None:
        self.is_error = is_error

    def outcome_of(self, error: BaseException | None) -> str:
        """`ok`, `error`, or `cancelled` for what is cut short from outside."""
        if error is None:
            return OK
        if not isinstance(error, Exception):
            return CANCELLED
        if self.is_error is None:
            return ERROR
        try:
            return ERROR if self.is_error(error) else OK
        except Exception:
            return ERROR  # a predicate that fails must not reach the host, nor hide an error


# Operations that this thread's or task's context began on a probe that was already in use, newest first.
_marked: ContextVar[tuple[Probe, Any] | None] = ContextVar("mnemoscope_operations", default=None)


_MARKED = ""
"""As an outcome: nothing was said of it, but the probe itself bears a mark, which its exit has to take away."""


class Probe:
    """Decorator and context manager in one; subclasses say what is recorded at the end of an operation.

    Attributes:
        sink: where it is recorded; each kind of probe has a kind of sink.
        idle: empty while somebody has entered this object itself.
        outcome: set it within the block to overrule what the exception, or its absence, says.
        started: `perf_counter` at the begin.
    """

    __slots__ = ("_others", "idle", "outcome", "sink", "started")

    def __init__(self, sink: Any) -> None:
        self.sink = sink
        self.idle = [True]  # whoever pops it has the probe; list.pop is atomic, so only one thread does
        self._others: dict[int, Self] = {}  # by id: the operations of who entered while it was in use
        self.outcome: str | None = None
        self.started = 0.0

    # For subclasses -------------------------------------------------------------------------------

    def fresh(self) -> Self:
        """Another probe of the same kind and labels, not in use."""
        return type(self)(self.sink)

    def for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Self:
        """The operation of one decorated call."""
        return type(self)(self.sink)

    def begin(self) -> None:
        """Begin an operation."""
        self.outcome = None
        self.started = perf_counter()

    def returned(self, result: Any) -> None:
        """Take note of what a decorated callable returned."""

    def end(self, error: BaseException | None) -> None:
        """End the operation, with the exception that ended it."""
        seconds = perf_counter() - self.started
        self.record(seconds, self.outcome or self.sink.outcome_of(error), error)

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        """Write down what there is to record."""
        raise AssertionError("each kind of probe says what it records")

    # For services ---------------------------------------------------------------------------------

    def __call__(self, target: F) -> F:
        """`target` with an operation around each run; of the same kind, name and signature as before."""
        return wrap(target, self)

    def __enter__(self) -> Self:
        try:
            self.idle.pop()
        except IndexError:
            return self._enter_again()
        self.begin()
        if self._others:
            self._mark()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        operation = self._mine() if self._others or self.outcome is not None else self
        operation.end(error)
        if operation is self:
            self.idle.append(True)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def _mark(self) -> None:
        """Bear in this context that the newest operation is the probe itself, where its others are open too.

        Without it, an exit would take an older one of this context for its own: that of the code a signal handler
        interrupts, or that of the task which started this one and lent it its context.
        """
        _marked.set((self, _marked.get()))
        self.outcome = _MARKED

    def _enter_again(self) -> Self:
        operation = self.fresh()
        self._others[id(operation)] = operation
        _marked.set((operation, _marked.get()))
        operation.begin()
        return operation

    def _mine(self) -> Self:
        """The operation that this context began last: one it bears a mark of, else the first one, the probe itself."""
        others = self._others
        node = _marked.get()
        while node is not None:
            # One step for finding and taking: other threads change the dictionary meanwhile.
            operation = self if node[0] is self else others.pop(id(node[0]), None)
            if operation is not None:
                _marked.set(node[1])
                return operation
            node = node[1]
        if self.idle:  # no mark, and the probe itself is not in use: the begin was in another context
            with suppress(KeyError):
                return others.popitem()[1]
        return self
