"""The errors of the service; each class is one HTTP answer."""

from __future__ import annotations

from typing import ClassVar


class StartError(Exception):
    """The service cannot start; the message is one line with the reason and the fix."""


class ServiceError(Exception):
    """Base of every refusal: `status` is the HTTP status, `retry_after` (seconds) is set where waiting helps."""

    status: ClassVar[int] = 500
    retry_after: ClassVar[int | None] = None


class BadRequest(ServiceError):
    """A parameter is unusable."""

    status = 400


class Unauthorized(ServiceError):
    """The bearer token is missing or unknown."""

    status = 401


class NotFound(ServiceError):
    """There is no such episode."""

    status = 404


class Conflict(ServiceError):
    """The episode is not in the state that the request needs."""

    status = 409


class TooLarge(ServiceError):
    """More bytes than a limit allows."""

    status = 413


class TooMany(ServiceError):
    """More items than a limit allows."""

    status = 422


class TooFast(ServiceError):
    """A rate limit or a quota is used up."""

    status = 429
    retry_after = 1


class Unavailable(ServiceError):
    """The service is overloaded, a store is unavailable, or the service shuts down."""

    status = 503
    retry_after = 1
