"""What can go wrong, and what a caller is told: each class is one HTTP answer."""

from __future__ import annotations

from typing import ClassVar


class StartError(Exception):
    """The service cannot start; the message is one line that says what is wrong and what to do."""


class ServiceError(Exception):
    """Base of every refusal. `status` is the HTTP answer; `retry_after` (seconds) goes with it where waiting helps."""

    status: ClassVar[int] = 500
    retry_after: ClassVar[int | None] = None


class BadRequest(ServiceError):
    """A parameter that cannot be used."""

    status = 400


class Unauthorized(ServiceError):
    """No bearer token, or an unknown one."""

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
    """The service cannot take this now: overloaded, a store is out, or it shuts down."""

    status = 503
    retry_after = 1
