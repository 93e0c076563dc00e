"""Helpers of the middlewares' tests: the recorded requests, a clock, real servers, and a client that leaves."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import uvicorn

from mnemoscope import catalog
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint

LONGEST = 30.0


@dataclass
class Requests:
    """What a middleware recorded in `registry`."""

    registry: Registry

    def _points(self, metric: catalog.Metric) -> Iterator[Any]:
        for family in self.registry.snapshot().families:
            if family.metric is metric:
                yield from family.points

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """The number of requests by route and outcome, without zeros."""
        points: Iterator[HistogramPoint] = self._points(catalog.REQUEST_DURATION)
        return {(p.labels[0], p.labels[1]): int(p.observations) for p in points if p.observations}

    @property
    def only(self) -> tuple[str, str]:
        """Route and outcome of the only request."""
        ((key, count),) = self.counts.items()
        assert count == 1
        return key

    @property
    def routes(self) -> set[str]:
        return {route for route, _ in self.counts}

    @property
    def outcomes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for (_, outcome), count in self.counts.items():
            found[outcome] = found.get(outcome, 0) + count
        return found

    @property
    def seconds(self) -> float:
        return sum(p.sum for p in self._points(catalog.REQUEST_DURATION))

    @property
    def in_flight(self) -> float:
        (point,) = self._points(catalog.REQUEST_IN_FLIGHT)
        return float(point.value)

    @property
    def dropped(self) -> dict[tuple[str, ...], float]:
        return {p.labels: p.value for p in self._points(catalog.INSTRUMENTATION_DROPPED)}


class Clock:
    """Takes the place of `perf_counter`; time passes only when a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that another thread or process is about to do."""
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, f"never came true: {what}"
        time.sleep(0.01)


@contextmanager
def uvicorn_serving(app: Any, **options: Any) -> Iterator[int]:
    """Run a real uvicorn in a thread; yield its port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", log_config=None, **options))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started, "uvicorn listens")
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(LONGEST)
        assert not thread.is_alive()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def wsgiref_serving(app: Any) -> Iterator[int]:
    """Run the standard library's server with a thread for each request; yield its port."""
    server = make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Handler)
    server.get_stderr = lambda: open("/dev/null", "w")  # type: ignore[attr-defined]  # noqa: PTH123, SIM115
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(LONGEST)
        server.server_close()


class Client:
    """A client on a bare socket, which may leave when it likes."""

    def __init__(self, port: int, path: str, method: str = "GET", more: str = "\r\n") -> None:
        """Send a request; `more` is further headers and the body, if any."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LONGEST)
        self.socket.sendall(f"{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{more}".encode())
        self.seen = b""

    def read_until(self, text: bytes) -> None:
        while text not in self.seen:
            received = self.socket.recv(65536)
            assert received, f"the server closed before it sent {text!r}: {self.seen!r}"
            self.seen += received

    def read_all(self) -> bytes:
        while received := self.socket.recv(65536):
            self.seen += received
        self.socket.close()
        return self.seen

    def leave(self) -> None:
        """Close immediately, so that the server's next packet is refused."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
