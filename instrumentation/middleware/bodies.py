"""Observe the end of a body that a handler returns and the framework sends later."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator
from itertools import chain
from types import AsyncGeneratorType, GeneratorType
from typing import Any, TypeVar
from weakref import ref

Done = Callable[[BaseException | None], None]
G = TypeVar("G", bound="Generator[Any, Any, Any] | AsyncGenerator[Any, None]")
_unbegun: set[ref[Any]] = set()


def at_end_of_body(result: Any, done: Done) -> Any:
    """Return a replacement for a handler's result, which calls `done` once its streamed body ends.

    Without such a body, return None and never call `done`. `done` gets None after the last chunk, and after a body that
    was not wanted (an answer to HEAD). It gets the exception of a body that failed, and a GeneratorExit or a
    cancellation of a body that was abandoned. The end of a file that Starlette sends cannot be observed here.

    Known bodies are Starlette's and FastAPI's `StreamingResponse`, Flask's responses, Django's `StreamingHttpResponse`
    and `FileResponse`, generators and async generators, and Flask's tuples of these.
    """
    end = _End(done)
    try:
        return _observed(result, end)
    except Exception:  # from a property of an object that only looks like a response
        end.called = True
        return None


class _End:
    """Calls `done` at its first call only."""

    __slots__ = ("begun", "called", "done")

    def __init__(self, done: Done) -> None:
        self.done = done
        self.begun = False
        self.called = False

    def __call__(self, error: BaseException | None) -> None:
        if not self.called:
            self.called = True
            self.done(error)


def _observed(result: Any, end: _End) -> Any:
    if isinstance(result, GeneratorType):
        return _iterated(result, end)
    if isinstance(result, AsyncGeneratorType):
        return _async_iterated(result, end)
    if isinstance(result, tuple):
        body = _observed(result[0], end) if len(result) in (2, 3) and "flask" in sys.modules else None
        return None if body is None else (body, *result[1:])
    if not hasattr(result, "headers"):
        return None
    if hasattr(result, "body_iterator"):  # Starlette
        result.body_iterator = _async_iterated(result.body_iterator, end)
    elif hasattr(result, "streaming_content"):  # Django
        if getattr(result, "file_to_stream", None) is not None:
            return result if after_close(result, end) else None
        content = result.streaming_content
        result.streaming_content = (_async_iterated if result.is_async else _iterated)(content, end)
    elif hasattr(result, "call_on_close") and result.is_streamed:  # Werkzeug
        body = result.response
        if result.direct_passthrough:
            return result if after_close(body, end) else None
        if hasattr(body, "close"):
            result.call_on_close(body.close)
        result.response = _iterated(chain(body), end)  # a chain has no `close`, so that it is called only once
    else:
        return None
    return result


def _iterated(body: Any, end: _End) -> Generator[Any, Any, Any]:
    def generator() -> Generator[Any, Any, Any]:
        end.begun = True
        try:
            result = yield from body
        except BaseException as error:
            end(error)
            raise
        end(None)
        return result

    return _watched(generator(), end)


def _async_iterated(body: AsyncIterable[Any], end: _End) -> AsyncGenerator[Any, None]:
    async def generator() -> AsyncGenerator[Any, None]:
        end.begun = True
        try:
            async for chunk in body:
                yield chunk
        except BaseException as error:
            end(error)
            if isinstance(body, AsyncGeneratorType):
                await body.aclose()
            raise
        end(None)

    return _watched(generator(), end)


def _watched(generator: G, end: _End) -> G:
    """Return the generator; if it is never begun, it ends when it is freed."""

    def freed(gone: ref[G]) -> None:
        _unbegun.discard(gone)
        if not end.begun:
            end(None)

    _unbegun.add(ref(generator, freed))
    return generator


def after_close(closable: Any, done: Done) -> bool:
    """Call `done` after the `close` of an object that a server sends in its own way.

    `done` gets a GeneratorExit if the server closes because it could not send. Return whether `close` can be replaced.
    """
    close = getattr(closable, "close", None)

    def close_and_report() -> None:
        unsent = isinstance(sys.exc_info()[1], OSError)
        try:
            if close is not None:
                close()
        finally:
            done(GeneratorExit() if unsent else None)

    try:
        closable.close = close_and_report
    except AttributeError:
        return False
    return True
