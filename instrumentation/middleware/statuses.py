"""The HTTP status that a framework will make of what a handler returns or raises.

Known by the names of the frameworks' own classes: a failed call to another service has a status too (`openai`,
`qdrant_client`, `urllib`), and a 404 from there is no answer to this service's client.
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
"""By class: the status, or the attribute that says it."""


def status_of_exception(error: BaseException) -> int | None:
    """Return the status that the framework answers to this exception; None if it knows nothing better than 500.

    >>> status_of_exception(KeyError("episode")) is None
    True
    """
    names = (f"{cls.__module__}.{cls.__qualname__}" for cls in type(error).__mro__)
    known = next((_STATUS_OF[name] for name in names if name in _STATUS_OF), None)
    if not isinstance(known, str):
        return known
    # Werkzeug's may carry a whole response, as after `abort(response)`.
    return status_of_response(_read(error, "response")) or status_code(_read(error, known))


def status_of_response(result: object) -> int | None:
    """Return the status of a response that a handler returned; None for what the framework makes one of itself.

    What has no headers is no response, even if it has a status: an episode may have one. A tuple is one to Flask only.

    >>> status_of_response({"status_code": 503}) is None
    True
    """
    if isinstance(result, tuple):
        return _of_tuple(result) if "flask" in sys.modules else None
    if _read(result, "headers") is None:
        return None
    return status_code(_read(result, "status_code")) or status_code(_read(result, "status"))


def _read(found: object, name: str) -> object:
    """An attribute; None where there is none, or where reading it fails."""
    try:
        return getattr(found, name, None)
    except Exception:
        return None


def _of_tuple(result: tuple[Any, ...]) -> int | None:
    """Flask's `(body, status)`, `(body, status, headers)` and `(body, headers)`."""
    if len(result) not in (2, 3):
        return None
    return status_code(result[1]) or status_of_response(result[0])


def status_code(value: object) -> int | None:
    """Return the status that is written as a number, an `HTTPStatus` or text such as `404 Not Found`; else None.

    >>> status_code("503 Service Unavailable")
    503
    """
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str) and value[:3].isascii() and value[:3].isdecimal():
        value = int(value[:3])
    return int(value) if isinstance(value, int) and 100 <= value <= 599 else None
