"""A small decorator of requests, made of the same parts as the library's own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from time import perf_counter
from typing import Any

from mnemoscope import catalog
from mnemoscope.instrumentation.middleware import current_request
from mnemoscope.instrumentation.middleware.answers import status_of_exception, status_of_response
from mnemoscope.instrumentation.middleware.bodies import at_end_of_body
from mnemoscope.instrumentation.registry import Registry


def request(route: str, registry: Registry) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Record the decorated handler's requests, or name the route of the one that a middleware records already."""

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            operation = _Operation(route, registry)
            try:
                result = await handler(*args, **kwargs)
            except BaseException as error:
                operation.end(error)
                raise
            return operation.returned(result)

        @functools.wraps(handler)
        def function(*args: Any, **kwargs: Any) -> Any:
            operation = _Operation(route, registry)
            try:
                result = handler(*args, **kwargs)
            except BaseException as error:
                operation.end(error)
                raise
            return operation.returned(result)

        return coroutine if inspect.iscoroutinefunction(handler) else function

    return decorate


class _Operation:
    def __init__(self, route: str, registry: Registry) -> None:
        self.route, self.registry, self.status = route, registry, 200
        self.started = perf_counter()
        around = current_request()
        self.recorded = around is not None and around.registry is registry
        if around is not None and self.recorded:
            around.route = route

    def returned(self, result: Any) -> Any:
        if self.recorded:
            return result
        self.status = status_of_response(result) or 200
        observed = at_end_of_body(result, self.end)
        if observed is None:
            self.end(None)
            return result
        return observed

    def end(self, error: BaseException | None) -> None:
        if self.recorded:
            return
        if error is not None and not isinstance(error, Exception):
            outcome = "cancelled"
        elif error is not None:
            outcome = "error" if (status_of_exception(error) or 500) >= 500 else "ok"
        else:
            outcome = "error" if self.status >= 500 else "ok"
        histogram = self.registry.histogram(catalog.REQUEST_DURATION, route=self.route, outcome=outcome)
        histogram.observe(perf_counter() - self.started)
