"""Wrap any kind of callable in an operation, and change nothing else about it.

The wrapper is of the same kind as the callable (function, coroutine function, generator, async generator), so that
`inspect` returns the same as before. Time runs from the first step to the end: the call that only creates a coroutine
or a generator does not count.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from time import perf_counter
from types import CoroutineType, MethodType
from typing import Any, Protocol, Self, TypeVar, cast

from ..recording.journal import LIMIT
from ..recording.series import NOT_RECORDED

F = TypeVar("F", bound=Callable[..., Any])
Function = Callable[..., Any]


class ObservedRun(Protocol):
    """One run that a wrapper observes: an `Operation`."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *ended: Any) -> None: ...
    def returned(self, result: Any) -> Any: ...
    def abandon(self) -> None: ...


ForCall = Callable[[tuple[Any, ...], dict[str, Any]], ObservedRun]


class Observer(Protocol):
    """Makes an `ObservedRun` for each call, from the call's arguments: a `Probe` or a `PerCall`."""

    def for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedRun: ...


def wrap(target: F, probe: Observer) -> F:
    """Return `target` with an operation of `probe` around each of its runs.

    Raises:
        TypeError: `target` is no function or method.
    """
    if isinstance(target, (classmethod, staticmethod)):
        return cast("F", type(target)(wrap(target.__func__, probe)))
    if isinstance(target, type) or not callable(target):
        raise TypeError(f"a probe decorates functions and methods, not {_described(target)}")
    kind = _kind(target)
    timed = getattr(probe, "timed", None)
    if timed is not None and kind in _TIMED_WRAPPERS:
        wrapper = _TIMED_WRAPPERS[kind](target, *timed)
    else:
        wrapper = _WRAPPERS[kind](target, probe.for_call)
    # A partial or a callable object has no __name__ to copy; functools.wraps leaves out what is missing.
    functools.update_wrapper(wrapper, target)
    return cast("F", types.coroutine(wrapper) if _is_generator_coroutine(target) else wrapper)


def _described(target: object) -> str:
    if isinstance(target, type):
        return f"the class {target.__qualname__}: decorate its methods"
    if isinstance(target, property):
        return "a property: decorate its getter, below @property"
    return f"a {type(target).__name__}"


def _kind(target: Function) -> str:
    target = _innermost(target)
    for candidate in (target, type(target).__call__):
        if inspect.isasyncgenfunction(candidate):
            return "async generator"
        if inspect.iscoroutinefunction(candidate):
            return "coroutine"
        if inspect.isgeneratorfunction(candidate):
            return "generator"
    return "function"


def _innermost(target: Any) -> Any:
    """Return the function within partials and bound methods."""
    while True:
        if isinstance(target, functools.partial):
            target = target.func
        elif isinstance(target, MethodType):
            target = target.__func__
        else:
            return target


def _is_generator_coroutine(target: Any) -> bool:
    """Return whether `types.coroutine` made a generator function awaitable."""
    code = getattr(_innermost(target), "__code__", None)
    return isinstance(code, types.CodeType) and bool(code.co_flags & inspect.CO_ITERABLE_COROUTINE)


def _function(target: Function, for_call: ForCall) -> Function:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with for_call(args, kwargs) as operation:
            result = target(*args, **kwargs)
            if type(result) is CoroutineType:  # a plain wrapper around a coroutine function
                operation.abandon()
                return _finished(result, for_call(args, kwargs))
            return operation.returned(result)

    return wrapper


async def _finished(coroutine: Coroutine[Any, Any, Any], operation: ObservedRun) -> Any:
    with operation:
        result = await coroutine
        return operation.returned(result)


def _coroutine(target: Function, for_call: ForCall) -> Function:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with for_call(args, kwargs) as operation:
            result = await target(*args, **kwargs)
            return operation.returned(result)

    return wrapper


def _generator(target: Function, for_call: ForCall) -> Function:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with for_call(args, kwargs) as operation:
            result = yield from target(*args, **kwargs)
            return operation.returned(result)

    return wrapper


def _async_generator(target: Function, for_call: ForCall) -> Function:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with for_call(args, kwargs):
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
                pass

    return wrapper


_WRAPPERS = {
    "function": _function,
    "coroutine": _coroutine,
    "generator": _generator,
    "async generator": _async_generator,
}

# The usual probe records a duration by outcome and nothing else. An operation object would cost more than its two clock
# readings, so these wrappers append to the journal themselves. Unpacking an empty dictionary of keywords would copy it.
# Each variable of a closure costs at every call, so `_Timing` holds what a call rarely needs.


class _Timing:
    """What a wrapper of the usual probe needs, besides the journal of the runs that ended well."""

    __slots__ = ("failures", "fold", "is_error", "series")

    def __init__(self, series: Any, is_error: Any) -> None:
        self.series = series
        self.is_error = is_error
        self.fold = series.ok.fold
        self.failures = series.error.journal

    async def finished(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Await the coroutine that a plain function returned, and record its run."""
        return await _timed_coroutine(lambda: coroutine, self.series, self.is_error)()


def _timed_function(target: Function, series: Any, is_error: Any) -> Function:
    journal, timing = series.ok.journal, _Timing(series, is_error)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = perf_counter()
        try:
            result = target(*args, **kwargs) if kwargs else target(*args)
        except BaseException as error:
            try:
                timing.series.failed(perf_counter() - started, error, timing.is_error)
            except NOT_RECORDED:  # too little stack is left to find the outcome
                timing.failures.append(perf_counter() - started)
            raise
        if type(result) is CoroutineType:
            return timing.finished(result)
        journal.append(perf_counter() - started)
        if len(journal) > LIMIT:
            try:
                timing.fold()
            except NOT_RECORDED:
                pass
        return result

    return wrapper


def _timed_coroutine(target: Function, series: Any, is_error: Any) -> Function:
    journal, timing = series.ok.journal, _Timing(series, is_error)

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = perf_counter()
        try:
            result = await (target(*args, **kwargs) if kwargs else target(*args))
        except BaseException as error:
            try:
                timing.series.failed(perf_counter() - started, error, timing.is_error)
            except NOT_RECORDED:
                timing.failures.append(perf_counter() - started)
            raise
        journal.append(perf_counter() - started)
        if len(journal) > LIMIT:
            try:
                timing.fold()
            except NOT_RECORDED:
                pass
        return result

    return wrapper


_TIMED_WRAPPERS = {"function": _timed_function, "coroutine": _timed_coroutine}
