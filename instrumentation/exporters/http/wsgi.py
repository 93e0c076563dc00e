"""The endpoints as a WSGI application, to mount in a framework or to serve alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from .endpoints import Endpoints

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_HEADERS = {
    "accept": "HTTP_ACCEPT",
    "accept-encoding": "HTTP_ACCEPT_ENCODING",
}


def wsgi_app(endpoints: Endpoints) -> WSGIApplication:
    """Return a WSGI application that answers below its mount point."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = endpoints.handle(
            environ["REQUEST_METHOD"],
            # WSGI has already removed the mount point, and decoded the rest as Latin-1.
            environ.get("PATH_INFO", ""),
            environ.get("QUERY_STRING", ""),
            {name: environ[key] for name, key in _HEADERS.items() if key in environ},
        )
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", list(response.headers))
        return list(response.body)

    return application
