"""A Flask service for gunicorn, with its metrics beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, send_file
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import mnemoscope as scope

app = Flask(__name__)


@app.get("/stream")
def stream() -> Response:
    return Response(iter([b"first", b"last"]))


@app.get("/endless")
def endless() -> Response:
    def body() -> Iterator[bytes]:
        while True:
            yield b"chunk" * 100
            time.sleep(0.01)

    return Response(body())


@app.get("/file")
def file() -> Any:
    return send_file(__file__)


metrics = scope.wsgi_app()
dispatcher = DispatcherMiddleware(app.wsgi_app, {"/metrics": lambda environ, start: metrics(_whole(environ), start)})
app.wsgi_app = scope.WSGIMiddleware(dispatcher)  # type: ignore[method-assign]


def _whole(environ: dict[str, Any]) -> dict[str, Any]:
    return environ | {"PATH_INFO": "/metrics"}
