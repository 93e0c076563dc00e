"""The HTTP status that a framework sends for a handler's result or exception.

Exceptions are known by the names of the frameworks' own classes. An exception of a client library (`openai`,
`qdrant_client`, `urllib`) may have a status too, but its 404 is no answer to this service's client.
"""

from __future__ import annotations

import sys
from typing import Any

_STATUS_OF: dict[str, int | str] = {
    "starlette.exceptions.HTTPException": "status_code",
    "fastapi.exceptions.RequestValidationError": 422,
    "werkzeug.exceptions.HTTPException": "code",
    "aiohttp.web_exceptions.HTTPException": "status",
    "falcon.http_error.HTTPError": "status",
    "falcon.http_status.HTTPStatus": "status",
    "rest_framework.exceptions.APIException": "status_code",
    "django.http.response.Http404": 404,
    "django.core.exceptions.PermissionDenied": 403,
    "django.core.exceptions.BadRequest": 400,
    "django.core.exceptions.SuspiciousOperation": 400,
    "django.http.multipartparser.MultiPartParserError": 400,
}
"""By class: the status, or the attribute that holds it."""


def status_of_exception(error: BaseException) -> int | None:
    """Return the status that the framework sends for this exception; None if it knows none, and sends 500.

    >>> status_of_exception(KeyError("episode")) is None
    True
    """
    names = (f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__)
    known = next((_STATUS_OF[name] for name in names if name in _STATUS_OF), None)
    if not isinstance(known, str):
        return known
    # Werkzeug's exceptions may carry a whole response, as after `abort(response)`.
    return status_of_response(_read(error, "response")) or status_code(_read(error, known))


def status_of_response(result: object) -> int | None:
    """Return the status of a response that a handler returned; None if the result is no response.

    An object without headers is no response, even if it has a status: an episode may have one. Only Flask takes a tuple
    as a response.

    >>> status_of_response({"status_code": 503}) is None
    True
    """
    if isinstance(result, tuple):
        return _of_tuple(result) if "flask" in sys.modules else None
    if _read(result, "headers") is None:
        return None
    return status_code(_read(result, "status_code")) or status_code(_read(result, "status"))


def _read(found: object, name: str) -> object:
    """Return an attribute; None if there is none, or if reading it fails."""
    try:
        return getattr(found, name, None)
    except Exception:
        return None


def _of_tuple(result: tuple[Any, ...]) -> int | None:
    """Return the status of Flask's `(body, status)`, `(body, status, headers)` and `(body, headers)`."""
    if len(result) not in (2, 3):
        return None
    return status_code(result[1]) or status_of_response(result[0])


def status_code(value: object) -> int | None:
    """Return the status given as a number, an `HTTPStatus` or text such as `404 Not Found`; else None.

    >>> status_code("503 Service Unavailable")
    503
    """
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str) and value[:3].isascii() and value[:3].isdecimal():
        value = int(value[:3])
    return int(value) if isinstance(value, int) and 100 <= value <= 599 else None
