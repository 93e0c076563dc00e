"""The probe of requests, which derives the outcome from the HTTP status as the middleware does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import catalog
from ..default import default_registry
from ..middleware.bodies import at_end_of_body
from ..middleware.current import current_request
from ..middleware.statuses import status_of_exception, status_of_response
from ..recording.registry import Registry
from ..recording.series_lookup import SeriesLookup
from .durations import Durations
from .in_flight import InFlightOperation
from .operation import ERROR, IsError, Probe

if TYPE_CHECKING:
    from ..middleware.request_recording import RequestRecording


def request(
    route: str, *, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[RequestOperation]:
    """Record one request: duration to the end of its body, outcome by status, and requests in flight.

    A 5xx answer is an error, whether the handler returns it or raises an exception that the framework turns into it.
    Any other answer is `ok`, a 404 too. Inside `ASGIMiddleware` or `WSGIMiddleware`, which record the request already,
    the probe only names the route.

    Args:
        route: the template (`/episodes/{id}`), never the raw path.
        is_error: returns whether an exception is a failure; by default, unless its status is below 500.
        registry: where to record; the default registry if not given.
    """
    return Probe(RequestOperation, _REQUEST.find(registry or default_registry(), route), is_error, route)


class _Requests:
    """Series of the requests of one route, and the requests in flight."""

    __slots__ = ("_durations", "in_flight", "registry")
    metric = catalog.REQUEST_DURATION

    def __init__(self, registry: Registry, route: str) -> None:
        self.registry = registry
        self._durations = Durations(registry, catalog.REQUEST_DURATION, route=route)
        self.in_flight = registry.in_flight(catalog.REQUEST_IN_FLIGHT)
        registry.gauge(catalog.REQUEST_IN_FLIGHT).set_function(self.in_flight.now)

    def record(self, seconds: float, outcome: str) -> None:
        self._durations.record(seconds, outcome)


_REQUEST = SeriesLookup("request", catalog.REQUEST_DURATION, ("route",), _Requests)


def _is_server_error(error: Exception) -> bool:
    status = status_of_exception(error)
    return status is None or status >= 500


class RequestOperation(InFlightOperation):
    """A request; set `outcome` to override what its status means."""

    __slots__ = ("_around", "_awaits_body", "_route")

    def __init__(self, series: _Requests, is_error: IsError | None, route: str) -> None:
        super().__init__(series, is_error or _is_server_error)
        self._route = route
        self._around: RequestRecording | None = None
        self._awaits_body = False

    def begin(self) -> None:
        around = current_request()
        if around is not None and around.registry is self._series.registry:
            self._around = around
            around.route = self._route
        else:
            super().begin()

    def returned(self, result: Any) -> Any:
        """Read the status of a response, and end with its body if that is sent later."""
        if self._around is not None:
            return result
        status = status_of_response(result)
        if status is not None and status >= 500 and self.outcome is None:
            self.outcome = ERROR
        observed = at_end_of_body(result, self._body_ended)
        self._awaits_body = observed is not None
        return result if observed is None else observed

    def end(self, error: BaseException | None) -> None:
        if self._around is None and not self._awaits_body:
            super().end(error)

    def _body_ended(self, error: BaseException | None) -> None:
        self._awaits_body = False
        self.__exit__(None, error, None)
