"""An operation and its probe: what begins, ends once, and has an outcome.

A probe is what a service writes: a decorator and a context manager in one. An operation is one run of what the
probe surrounds. One probe object may be entered many times at once (nested, in threads, in tasks): each entry
has an operation of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter
from types import TracebackType
from typing import Any, Generic, TypeVar

from .decorate import wrap

F = TypeVar("F", bound=Callable[..., Any])
O = TypeVar("O", bound="Operation")  # noqa: E741  # an operation

OK, ERROR, CANCELLED = "ok", "error", "cancelled"


def outcome_of(error: BaseException | None) -> str:
    """`ok`, `error`, or `cancelled` for what is cut short from outside.

    Cancellation in asyncio and trio, an abandoned generator, an interrupt from the keyboard and an exit are all
    exceptions beside `Exception`; none of them says that the work itself failed.
    """
    if error is None:
        return OK
    return ERROR if isinstance(error, Exception) else CANCELLED


class Operation:
    """One run. Subclasses say what is recorded at its end."""

    __slots__ = ("ended", "outcome", "started")

    def __init__(self) -> None:
        self.ended = False
        self.outcome: str | None = None
        """Set it to overrule what the exception, or its absence, says."""
        self.started = perf_counter()

    def returned(self, result: Any) -> None:
        """Take note of what a decorated callable returned."""

    def end(self, error: BaseException | None) -> None:
        """End it; a second end is ignored."""
        if self.ended:
            return
        seconds = perf_counter() - self.started
        self.ended = True
        self.record(seconds, self.outcome or outcome_of(error), error)

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        """Write down what there is to record."""
        raise AssertionError("each kind of operation says what it records")


_marked: ContextVar[tuple[Operation, Any] | None] = ContextVar("mnemoscope_operations", default=None)


class Probe(Generic[O]):
    """Decorator and context manager around operations of one kind.

    Args:
        start: begins an operation.
    """

    __slots__ = ("_open", "_start")

    def __init__(self, start: Callable[[], O]) -> None:
        self._start = start
        self._open: list[O] = []

    def __call__(self, target: F) -> F:
        """`target` with an operation around each run; of the same kind, name and signature as before."""
        return wrap(target, self._start)

    def __enter__(self) -> O:
        operation = self._start()
        self._open.append(operation)
        if len(self._open) > 1:
            # More than one entry at a time: remember in this task's or thread's context which one is its own.
            _marked.set((operation, _marked.get()))
        return operation

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._mine().end(error)

    async def __aenter__(self) -> O:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._mine().end(error)

    def _mine(self) -> O:
        """Take out the operation that this context entered last."""
        opened = self._open
        if len(opened) == 1:
            return opened.pop()
        node = _marked.get()
        while node is not None:
            for operation in opened:
                if operation is node[0]:
                    _marked.set(node[1])
                    opened.remove(operation)
                    return operation
            node = node[1]
        return opened.pop(0)  # entered before there was another, so it bears no mark
