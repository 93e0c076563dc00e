"""Wrap any kind of callable so that an operation spans its run, and nothing else about it changes.

The wrapper is of the same kind as what it wraps (function, coroutine function, generator, async generator), so
that `inspect` answers as before; time runs from the first step to the end, not from the call that only creates
a coroutine or a generator.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Protocol, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class Spanning(Protocol):
    """An operation under way."""

    def returned(self, result: Any) -> None:
        """What the callable returned; called before a successful end."""

    def end(self, error: BaseException | None) -> None:
        """The end, with the exception that caused it."""


def wrap(target: F, start: Callable[[], Spanning]) -> F:
    """`target`, with an operation from `start` around each of its runs."""
    if isinstance(target, (classmethod, staticmethod)):
        return cast("F", type(target)(wrap(target.__func__, start)))
    kind = _kind(target)
    return cast("F", _copy(_WRAPPERS[kind](target, start), target))


def _kind(target: Callable[..., Any]) -> str:
    while isinstance(target, functools.partial):
        target = target.func
    inner = target if inspect.isroutine(target) else type(target).__call__
    for candidate in (target, inner):
        if inspect.isasyncgenfunction(candidate):
            return "async generator"
        if inspect.iscoroutinefunction(candidate):
            return "coroutine"
        if inspect.isgeneratorfunction(candidate):
            return "generator"
    return "function"


def _copy(wrapper: Callable[..., Any], target: Callable[..., Any]) -> Callable[..., Any]:
    # A partial or a callable object has no __name__ to copy; functools.wraps leaves out what is missing.
    return functools.wraps(target)(wrapper)


def _function(target: Callable[..., Any], start: Callable[[], Spanning]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        operation = start()
        try:
            result = target(*args, **kwargs)
        except BaseException as error:
            operation.end(error)
            raise
        operation.returned(result)
        operation.end(None)
        return result

    return wrapper


def _coroutine(target: Callable[..., Any], start: Callable[[], Spanning]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        operation = start()
        try:
            result = await target(*args, **kwargs)
        except BaseException as error:
            operation.end(error)
            raise
        operation.returned(result)
        operation.end(None)
        return result

    return wrapper


def _generator(target: Callable[..., Any], start: Callable[[], Spanning]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        operation = start()
        try:
            result = yield from target(*args, **kwargs)
        except BaseException as error:
            operation.end(error)
            raise
        operation.returned(result)
        operation.end(None)
        return result

    return wrapper


def _async_generator(target: Callable[..., Any], start: Callable[[], Spanning]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        operation = start()
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
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "async generator": _async_generator,
}
