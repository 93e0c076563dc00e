"""The answers to HTTP requests: a function from request to response that the server, ASGI and WSGI share.

A response is complete before its status is sent. A scrape that ends halfway would look to Prometheus like a target that
lost its series; a 500 looks like a failure.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...recording.snapshot import Snapshot
from ..failures import call_safely, log_warning
from ..formats import FORMATS, Format
from ..health import Health
from .negotiation import accepts_gzip, choose_format, compressed, restricted, wanted_names

METRICS_PATH = "/metrics"
HEALTH_PATH = "/health"
READY_PATH = "/ready"
DEBUG_LOCKS_PATH = "/debug/locks"
"""Answered only on request (`debug_locks`), since the document names threads and code."""

_FORMAT_PATHS = {format.path: format for format in FORMATS if format.path}
PATHS = (METRICS_PATH, *_FORMAT_PATHS, HEALTH_PATH, READY_PATH)

DEFAULT_MAX_SCRAPES = 8
"""How many scrapes may be rendered at the same time; two Prometheus servers and a person with a browser need three."""

_PLAIN = "text/plain; charset=utf-8"
_JSON = "application/json; charset=utf-8"
_RETRY_AFTER_SECONDS = "1"


@dataclass(frozen=True, slots=True)
class Response:
    """A whole HTTP response. `headers` include Content-Length; `body` is empty for HEAD."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: tuple[bytes, ...]


class Endpoints:
    """Answers requests for metrics and health; never raises.

    Attributes:
        paths: the paths that it answers.

    Args:
        snapshot: called once for each scrape.
        health: what `/health` and `/ready` show.
        on_scrape: called after each scrape, with the format and the duration in seconds.
        on_error: called with the format if collecting or rendering raised.
        debug_locks: returns the document of `/debug/locks`; without it, the path answers 404.
        max_scrapes: scrapes at the same time; further ones are answered with 503 and Retry-After.
    """

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        health: Health,
        *,
        on_scrape: Callable[[str, float], None] | None = None,
        on_error: Callable[[str], None] | None = None,
        debug_locks: Callable[[], Mapping[str, object]] | None = None,
        max_scrapes: int = DEFAULT_MAX_SCRAPES,
    ) -> None:
        self._snapshot = snapshot
        self._health = health
        self._on_scrape = on_scrape
        self._on_error = on_error
        self._debug_locks = debug_locks
        self.paths = PATHS if debug_locks is None else (*PATHS, DEBUG_LOCKS_PATH)
        self._slots = threading.BoundedSemaphore(max_scrapes)

    def handle(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response:
        """Return the response to one request.

        Args:
            method: HTTP method in capitals.
            path: decoded path below the mount point.
            query: raw query string, without the question mark.
            headers: names in lower case; repeated headers joined by commas.
        """
        try:
            return self._answer(method, path, query, headers)
        except Exception as error:
            log_warning("a request for %s failed", path, error=error)
            return plain(500, f"Failed: {type(error).__name__}. See the service's log.\n", method)

    def _answer(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response:
        if method not in ("GET", "HEAD"):
            return plain(405, "Only GET and HEAD are allowed.\n", method, ("Allow", "GET, HEAD"))
        if path not in self.paths:
            return plain(404, f"Not found. Paths: {' '.join(self.paths)}\n", method)
        if path == HEALTH_PATH:
            return _document(200, self._health.health_document(), method)
        if path == READY_PATH:
            return _document(*self._health.ready_document(), method)
        if path == DEBUG_LOCKS_PATH and self._debug_locks is not None:
            return _document(200, self._debug_locks(), method)
        return self._limited_scrape(method, path, query, headers)

    def _limited_scrape(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response:
        if not self._slots.acquire(blocking=False):
            return plain(503, "Too many scrapes at the same time.\n", method, ("Retry-After", _RETRY_AFTER_SECONDS))
        try:
            target = _FORMAT_PATHS.get(path) or choose_format(headers.get("accept", ""))
            gzip = accepts_gzip(headers.get("accept-encoding", ""))
            return self._scrape(target, gzip, wanted_names(query), method)
        finally:
            self._slots.release()

    def _scrape(self, target: Format, gzip: bool, names: frozenset[str], method: str) -> Response:
        started = time.perf_counter()
        try:
            chunks = target.render(restricted(self._snapshot(), names))
            body = tuple(compressed(chunks) if gzip else chunks)
        except Exception as error:
            log_warning("a scrape failed", error=error)
            call_safely(self._on_error, target.name)
            return plain(500, f"Collection failed: {type(error).__name__}. See the service's log.\n", method)
        call_safely(self._on_scrape, target.name, time.perf_counter() - started)
        extra = [("Vary", "Accept, Accept-Encoding")]
        if gzip:
            extra.append(("Content-Encoding", "gzip"))
        return _response(200, target.content_type, body, method, *extra)


def folded(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return header fields as `Endpoints.handle` takes them."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def plain(status: int, text: str, method: str, *extra: tuple[str, str]) -> Response:
    """Return a response of plain text."""
    return _response(status, _PLAIN, (text.encode(),), method, *extra)


def _document(status: int, document: Mapping[str, object], method: str) -> Response:
    return _response(status, _JSON, (json.dumps(document).encode(),), method)


def _response(
    status: int, content_type: str, body: tuple[bytes, ...], method: str, *extra: tuple[str, str]
) -> Response:
    length = sum(map(len, body))
    headers = (
        ("Content-Type", content_type),
        ("Content-Length", str(length)),
        ("Cache-Control", "no-store"),
        *extra,
    )
    return Response(status, headers, () if method == "HEAD" else body)
