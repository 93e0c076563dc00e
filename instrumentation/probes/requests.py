"""The probe of requests, which judges them by their HTTP status as the middleware does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import catalog
from ..default import default_registry
from ..middleware.bodies import at_end_of_body
from ..middleware.current import current_request
from ..middleware.statuses import status_of_exception, status_of_response
from ..recording.registry import Bundle, Registry
from .durations import Durations
from .in_flight import InFlightOperation
from .operation import ERROR, IsError, Probe

if TYPE_CHECKING:
    from ..middleware.request_recording import RequestRecording


def request(
    route: str, *, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[RequestOperation]:
    """Record one request: duration to the end of its body, outcome by status, and requests in flight.

    A 5xx answer is an error, returned or raised in a way that the framework knows; any other answer is `ok`, a 404 too.
    Inside `ASGIMiddleware` or `WSGIMiddleware`, which record the request already, it only names the route.

    Args:
        route: the template (`/episodes/{id}`), never the raw path.
        is_error: whether an exception is a failure; by default each that is not answered below 500.
        registry: what to record in; the default registry if not given.
    """
    return Probe(RequestOperation, (registry or default_registry()).bound(_REQUEST, route), is_error, route)


class _Requests:
    """Series of the requests of one route, and those under way."""

    __slots__ = ("_durations", "in_flight", "registry")
    metric = catalog.REQUEST_DURATION

    def __init__(self, registry: Registry, route: str) -> None:
        self.registry = registry
        self._durations = Durations(registry, catalog.REQUEST_DURATION, route=route)
        self.in_flight = registry.in_flight(catalog.REQUEST_IN_FLIGHT)
        registry.gauge(catalog.REQUEST_IN_FLIGHT).set_function(self.in_flight.now)

    def record(self, seconds: float, outcome: str) -> None:
        self._durations.record(seconds, outcome)


_REQUEST = Bundle("request", catalog.REQUEST_DURATION, (catalog.REQUEST_DURATION.label("route"),), _Requests)


def _is_server_error(error: Exception) -> bool:
    status = status_of_exception(error)
    return status is None or status >= 500


class RequestOperation(InFlightOperation):
    """A request; set `outcome` to overrule what its status means."""

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
        """Read the status of a response, and wait for the end of a body that is sent later."""
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
