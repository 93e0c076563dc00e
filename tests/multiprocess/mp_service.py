"""A small service that real servers run in several processes; its answers name the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import mnemoscope as scope
from mnemoscope import catalog

DONE = scope.counter(catalog.EPISODE_CREATED)
TIMES = scope.histogram(catalog.EPISODE_STEP_FLUSH_DURATION, outcome="ok")
MADE_BY = os.getpid()
"""The process that imported the application: with `--preload`, the master."""
scope.gauge(catalog.COMPLETION_LIMIT).set(20)

_metrics_wsgi = scope.wsgi_app()
_metrics_asgi = scope.asgi_app()


def work() -> bytes:
    DONE.inc(exemplar={"trace_id": f"{os.getpid()}"})
    TIMES.observe(0.1)
    return f"{os.getpid()}".encode()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/metrics":
        return _metrics_wsgi(environ, start_response)
    if path == "/hang":
        start_response("200 OK", [])
        return _hang()
    start_response("200 OK", [("Content-RecordType", "text/plain")])
    return [f"{os.getpid()} {MADE_BY}".encode() if path == "/who" else work()]


def _hang() -> Iterable[bytes]:
    with scope.completion():
        yield f"{os.getpid()}".encode()
        threading.Event().wait()


async def asgi(
    scope_: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope_["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope_["path"] == "/metrics":
        await _metrics_asgi(scope_, receive, send)
        return
    body = f"{os.getpid()} {MADE_BY}".encode() if scope_["path"] == "/who" else work()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
