"""The recording of one request, which both middlewares share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from time import perf_counter
from typing import Any

from .. import catalog
from ..catalog.labels import OUTCOME
from ..default import default_registry
from ..recording.registry import Registry

OK, ERROR, CANCELLED = OUTCOME.values
UNMATCHED = "unmatched"
"""The route of a request that matches no route, so that all paths of a scanner are one series."""

OWN_PATHS = ("/health", "/ready", "/metrics", "/metrics.json")
"""The paths of this library's exporters: their many requests would distort every ratio."""

RouteOf = Callable[[Any], str | None]
Template = Callable[[], str]


class RequestRecording:
    """A request from its arrival to the last byte of its answer.

    Attributes:
        route: set it to name the route; it takes precedence over the route that the middleware finds.
        registry: where the request is recorded.
        status: HTTP status of the answer, once the answer has begun.
        left: whether the client left before the last byte.
        ended: whether the request has been recorded.
    """

    __slots__ = ("__weakref__", "_found", "_recorder", "_started", "ended", "left", "route", "status")

    def __init__(self, recorder: RequestRecorder) -> None:
        self.route: str | None = None
        self.status: int | None = None
        self.left = False
        self.ended = False
        self._found: str | None = None
        self._recorder = recorder
        self._started = perf_counter()
        recorder.in_flight.enter(self)

    def __del__(self) -> None:
        self._end(CANCELLED)  # a server that does not close a body must not leave its request in flight

    @property
    def registry(self) -> Registry:
        """The registry of the middleware."""
        return self._recorder.registry

    def answering(self, status: int | None, template: Template) -> None:
        """Store the status, and the route while the framework still knows it: Flask forgets it before the body."""
        self.status = status
        self._found = template()

    def answered(self) -> None:
        """End the request: its last byte has been sent."""
        self._end(ERROR if self.status is None or self.status >= 500 else OK)

    def failed(self, error: BaseException | None, template: Template) -> None:
        """End the request: an exception ended it, or the application left its answer incomplete."""
        if self._found is None and not self.ended:
            self._found = template()
        self._end(ERROR if error is None or isinstance(error, Exception) else CANCELLED)

    def closed(self, error: BaseException | None) -> None:
        """End the request: the server has closed its body, with an `error` if before the last byte."""
        if error is None:
            self.answered()
        else:
            self._end(CANCELLED)

    def _end(self, outcome: str) -> None:
        if self.ended:
            return
        self.ended = True
        seconds = perf_counter() - self._started
        self._recorder.in_flight.leave(self)
        self._recorder.record(str(self.route or self._found or UNMATCHED), CANCELLED if self.left else outcome, seconds)


class RequestRecorder:
    """Records the requests of one middleware, except those that it leaves out.

    Raises:
        TypeError: `route` cannot be called, or `exclude` is a string instead of several.
        ValueError: an excluded path does not begin with a slash.
    """

    def __init__(self, registry: Registry | None, route: RouteOf | None, exclude: Iterable[str]) -> None:
        if route is not None and not callable(route):
            raise TypeError(f"route={route!r}: give a function that returns a route template, or None")
        if isinstance(exclude, str):
            raise TypeError(f"exclude={exclude!r}: give a sequence of paths, such as [{exclude!r}]")
        self._excluded = frozenset(exclude)
        for path in self._excluded:
            if not isinstance(path, str) or not path.startswith("/"):
                raise ValueError(f"exclude: {path!r} is no path; begin it with a slash")
        self._below = tuple(path.rstrip("/") + "/" for path in self._excluded if path != "/")
        self._route = route
        self._declared: set[str] = set()
        self.registry = registry or default_registry()
        self._key = f"mnemoscope.request.{id(self.registry)}"
        self.in_flight = self.registry.in_flight(catalog.REQUEST_IN_FLIGHT)
        self.registry.gauge(catalog.REQUEST_IN_FLIGHT).set_function(self.in_flight.now)

    def begin(self, scope_or_environ: MutableMapping[str, Any], path: str) -> RequestRecording | None:
        """Return the recording of a request that arrived; None if the request is not to be recorded.

        That is so if its path is excluded, or if a middleware around this one records it already.
        """
        if path in self._excluded or path.startswith(self._below):
            return None
        outer = scope_or_environ.get(self._key)
        if outer is not None and not outer.ended:
            return None
        scope_or_environ[self._key] = recording = RequestRecording(self)
        return recording

    def template(self, scope_or_environ: Any, built_in: Callable[[], str | None]) -> str:
        """Return the route's template, from the service's own function or else from the framework."""
        try:
            found = (self._route(scope_or_environ) if self._route is not None else None) or built_in()
            if found is None or isinstance(found, str):
                return found or UNMATCHED
        except Exception:
            pass
        self.registry.drop(catalog.REQUEST_DURATION, "callback", 1)
        return UNMATCHED

    def record(self, route: str, outcome: str, seconds: float) -> None:
        """Record a duration; declare the other outcomes of a route with its first request."""
        if route not in self._declared and len(self._declared) < self.registry.max_label_sets:
            self._declared.add(route)
            self.registry.declare(catalog.REQUEST_DURATION, route=route)
        self.registry.histogram(catalog.REQUEST_DURATION, route=route, outcome=outcome).observe(seconds)
