"""The four paths as one function from request to response; WSGI, ASGI and the server only carry it.

A response is complete before its status is sent. A scrape that broke off halfway would look to Prometheus like
a target that lost its series, where a 500 looks like what it is.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ...recording.snapshot import Snapshot
from ..failures import call_safely, log_warning
from ..formats.json_document import JSON_CONTENT_TYPE
from ..health import Health
from .negotiation import JSON, Format, accepts_gzip, choose_format, compressed, restricted, wanted_names

METRICS_PATH = "/metrics"
JSON_PATH = "/metrics.json"
HEALTH_PATH = "/health"
READY_PATH = "/ready"
PATHS = (METRICS_PATH, JSON_PATH, HEALTH_PATH, READY_PATH)
DEBUG_LOCKS_PATH = "/debug/locks"
"""Answered only by an app that was given `debug_locks`: it names threads and code, which not everybody is to read."""

DEFAULT_MAX_SCRAPES = 8
"""How many scrapes may be rendered at once; two Prometheus servers and a curious person need three."""

_PLAIN = "text/plain; charset=utf-8"
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
        paths: what it answers.

    Args:
        snapshot: called once a scrape.
        health: what `/health` and `/ready` speak of.
        on_scrape: called with the format and the seconds it took, after each scrape.
        on_error: called with the format when collecting or rendering raised.
        debug_locks: gives the document of `/debug/locks`; without it, the path is not there.
        max_scrapes: further scrapes at the same time are answered with 503 and Retry-After.
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
        """The response to one request.

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
            return plain(500, f"Failed: {type(error).__name__}. The service's log says more.\n", method)

    def _answer(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response:
        if method not in ("GET", "HEAD"):
            return plain(405, "Only GET and HEAD.\n", method, ("Allow", "GET, HEAD"))
        if path not in self.paths:
            return plain(404, f"Nothing here. Paths: {' '.join(self.paths)}\n", method)
        if path == HEALTH_PATH:
            return _document(200, self._health.health_document(), method)
        if path == READY_PATH:
            return _document(*self._health.ready_document(), method)
        if path == DEBUG_LOCKS_PATH and self._debug_locks is not None:
            return _document(200, self._debug_locks(), method)
        return self._limited_scrape(method, path, query, headers)

    def _limited_scrape(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response:
        if not self._slots.acquire(blocking=False):
            return plain(503, "Too many scrapes at once.\n", method, ("Retry-After", _RETRY_AFTER_SECONDS))
        try:
            target = JSON if path == JSON_PATH else choose_format(headers.get("accept", ""))
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
            return plain(500, f"Collection failed: {type(error).__name__}. The service's log says more.\n", method)
        call_safely(self._on_scrape, target.name, time.perf_counter() - started)
        extra = [("Vary", "Accept, Accept-Encoding")]
        if gzip:
            extra.append(("Content-Encoding", "gzip"))
        return _response(200, target.content_type, body, method, *extra)


def folded(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Header fields as `Endpoints.handle` takes them."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def plain(status: int, text: str, method: str, *extra: tuple[str, str]) -> Response:
    """A response for a person to read."""
    return _response(status, _PLAIN, (text.encode(),), method, *extra)


def _document(status: int, document: Mapping[str, object], method: str) -> Response:
    return _response(status, JSON_CONTENT_TYPE, (json.dumps(document).encode(),), method)


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
