"""Wrap any kind of callable so that an operation spans its run, and nothing else about it changes.

The wrapper is of the same kind as what it wraps (function, coroutine function, generator, async generator), so
that `inspect` answers as before; time runs from the first step to the end, not from the call that only creates
a coroutine or a generator.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from types import CodeType, MethodType
from typing import Any, Protocol, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
Function = Callable[..., Any]


class Operation(Protocol):
    """An operation under way."""

    def begin(self) -> None: ...
    def returned(self, result: Any) -> None: ...
    def end(self, error: BaseException | None) -> None: ...


class Source(Protocol):
    """What makes a new operation for each run, from the arguments of the call."""

    def for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation: ...


ForCall = Callable[[tuple[Any, ...], dict[str, Any]], Operation]


def wrap(target: F, probe: Source) -> F:
    """`target`, with an operation of `probe` around each of its runs.

    A probe may have wrappers of its own for some kinds of callable, in `wrappers`, where it knows a shorter way.
    """
    if isinstance(target, (classmethod, staticmethod)):
        return cast("F", type(target)(wrap(target.__func__, probe)))
    kind = _kind(target)
    special = getattr(probe, "wrappers", {})
    wrapper = special[kind](target, probe) if kind in special else _WRAPPERS[kind](target, probe.for_call)
    # A partial or a callable object has no __name__ to copy; functools.wraps leaves out what is missing.
    return cast("F", functools.wraps(target)(wrapper))


FUNCTION, COROUTINE, GENERATOR, ASYNC_GENERATOR = "function", "coroutine", "generator", "async generator"
_FLAGS = {0x200: ASYNC_GENERATOR, 0x80: COROUTINE, 0x20: GENERATOR}
"""`inspect.CO_ASYNC_GENERATOR` and so on; `inspect` itself would be a third of what this package imports."""


def _kind(target: Function) -> str:
    target = _innermost(target)
    for candidate in (target, type(target).__call__):
        code = getattr(candidate, "__code__", None)
        if isinstance(code, CodeType):
            for flag, kind in _FLAGS.items():
                if code.co_flags & flag:
                    return kind
        inspect = sys.modules.get("inspect")  # whoever marked a plain function as a coroutine function has loaded it
        if inspect is not None and inspect.iscoroutinefunction(candidate):
            return COROUTINE
    return FUNCTION


def _innermost(target: Any) -> Any:
    """The function within partials and bound methods."""
    while True:
        if isinstance(target, functools.partial):
            target = target.func
        elif isinstance(target, MethodType):
            target = target.__func__
        else:
            return target


def _function(target: Function, for_call: ForCall) -> Function:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        operation = for_call(args, kwargs)
        operation.begin()
        try:
            result = target(*args, **kwargs)
        except BaseException as error:
            operation.end(error)
            raise
        operation.returned(result)
        operation.end(None)
        return result

    return wrapper


def _coroutine(target: Function, for_call: ForCall) -> Function:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        operation = for_call(args, kwargs)
        operation.begin()
        try:
            result = await target(*args, **kwargs)
        except BaseException as error:
            operation.end(error)
            raise
        operation.returned(result)
        operation.end(None)
        return result

    return wrapper


def _generator(target: Function, for_call: ForCall) -> Function:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        operation = for_call(args, kwargs)
        operation.begin()
        try:
            result = yield from target(*args, **kwargs)
        except BaseException as error:
            operation.end(error)
            raise
        operation.returned(result)
        operation.end(None)
        return result

    return wrapper


def _async_generator(target: Function, for_call: ForCall) -> Function:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        operation = for_call(args, kwargs)
        operation.begin()
        inner = target(*args, **kwargs)
        try:
            # There is no `yield from` for async generators; this is what it would do.
            value = await inner.asend(None)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as thrown:
                    value = await inner.athrow(thrown)
                else:
                    value = await inner.asend(sent)
        except StopAsyncIteration:
            operation.end(None)
        except BaseException as error:
            operation.end(error)
            raise

    return wrapper


_WRAPPERS = {
    FUNCTION: _function,
    COROUTINE: _coroutine,
    GENERATOR: _generator,
    ASYNC_GENERATOR: _async_generator,
}
