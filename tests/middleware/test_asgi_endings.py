"""How an ASGI request ends, and when: under a real uvicorn, with clients that stay and clients that leave."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import types
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import django_site  # noqa: F401
import httpx
import pytest
from django.core.asgi import get_asgi_application
from fastapi import FastAPI, HTTPException
from request_helpers import Client, Clock, Requests, until, uvicorn_serving
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import mnemoscope as scope
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = pytest.mark.slow

Handler = Callable[[Request], Any]


def observed(handler: Handler, registry: Registry) -> Starlette:
    app = Starlette(routes=[Route("/x", handler, methods=["GET", "POST"])])
    app.add_middleware(scope.ASGIMiddleware, registry=registry)
    return app


class OutOfOrder(Exception):
    """A failure that has an exception handler."""


def fastapi_app(registry: Registry) -> FastAPI:
    app = FastAPI()
    app.add_middleware(scope.ASGIMiddleware, registry=registry)

    @app.get("/raises/{status}")
    def raises(status: int) -> None:
        raise HTTPException(status)

    @app.get("/returns/{status}")
    def returns(status: int) -> Response:
        return Response(status_code=status)

    @app.get("/handled/{status}")
    def handled(status: int) -> None:
        raise OutOfOrder(status)

    @app.exception_handler(OutOfOrder)
    def answer(request: Request, error: OutOfOrder) -> Response:
        return Response(status_code=error.args[0])

    @app.get("/breaks")
    def breaks() -> None:
        raise RuntimeError("boom")

    return app


@pytest.mark.parametrize(
    ("path", "route", "outcome"),
    [
        ("/raises/404", "/raises/{status}", "ok"),
        ("/raises/503", "/raises/{status}", "error"),
        ("/raises/seven", "/raises/{status}", "ok"),  # 422
        ("/returns/204", "/returns/{status}", "ok"),
        ("/returns/304", "/returns/{status}", "ok"),
        ("/returns/499", "/returns/{status}", "ok"),
        ("/returns/500", "/returns/{status}", "error"),
        ("/handled/409", "/handled/{status}", "ok"),
        ("/handled/503", "/handled/{status}", "error"),
        ("/breaks", "/breaks", "error"),
        ("/none", "unmatched", "ok"),
    ],
)
def test_the_outcome_follows_the_status_that_the_client_gets(
    registry: Registry, requests: Requests, path: str, route: str, outcome: str
) -> None:
    with uvicorn_serving(fastapi_app(registry)) as port:
        Client(port, path).read_all()
        until(lambda: requests.counts, "the request has ended")

    assert requests.only == (route, outcome)
    assert requests.in_flight == 0


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("episodes/7/", "ok"),
        ("fails/missing", "ok"),
        ("fails/denied", "ok"),
        ("fails/bad", "ok"),
        ("fails/suspicious", "ok"),
        ("fails/boom", "error"),
        ("status/503", "error"),
        ("stream", "ok"),
        ("async-stream", "ok"),
        ("file", "ok"),
    ],
)
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators")
def test_django_under_asgi_is_recorded_alike(registry: Registry, requests: Requests, path: str, outcome: str) -> None:
    with uvicorn_serving(scope.ASGIMiddleware(get_asgi_application(), registry=registry), lifespan="off") as port:
        Client(port, f"/{path}").read_all()
        until(lambda: requests.counts, "the request has ended")

    assert requests.outcomes == {outcome: 1}
    assert "unmatched" not in requests.routes


async def test_the_time_runs_to_the_last_byte_of_a_stream(registry: Registry, requests: Requests, clock: Clock) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            clock.pass_by(2)
            yield b"chunk"
        clock.pass_by(1)

    def handler(request: Request) -> Response:
        clock.pass_by(0.5)
        return StreamingResponse(body(), background=BackgroundTask(clock.pass_by, 100))

    transport = httpx.ASGITransport(observed(handler, registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        await client.get("/x")

    assert requests.only == ("/x", "ok")
    assert requests.seconds == 7.5


def test_a_request_is_in_flight_from_its_arrival_to_its_last_byte(registry: Registry, requests: Requests) -> None:
    go_on, after = threading.Event(), threading.Event()
    seen_after: list[object] = []

    def background() -> None:
        seen_after.append(scope.current_request())
        after.wait(30)

    def body() -> Iterator[bytes]:
        yield b"first"
        go_on.wait(30)
        yield b"last"

    def handler(request: Request) -> Response:
        return StreamingResponse(body(), background=BackgroundTask(background))

    with uvicorn_serving(observed(handler, registry)) as port:
        clients = [Client(port, "/x") for _ in range(3)]
        for client in clients:
            client.read_until(b"first")
        assert requests.in_flight == 3
        assert requests.counts == {}

        go_on.set()
        for client in clients:
            client.read_until(b"last")
        until(lambda: requests.in_flight == 0, "the last byte is sent, while the background task runs")
        assert requests.counts == {("/x", "ok"): 3}
        after.set()
        for client in clients:
            client.read_all()

    assert requests.counts == {("/x", "ok"): 3}
    assert seen_after == [None] * 3


def endless(seen: threading.Event) -> Handler:
    """Stream until the client leaves; `seen` is set when the service notices."""

    async def body() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"chunk" * 100
                await asyncio.sleep(0.01)
        finally:
            seen.set()

    return lambda request: StreamingResponse(body())


@pytest.mark.parametrize("between", [None, "function", "gzip"])
def test_a_client_that_leaves_a_stream_has_cancelled_it(
    registry: Registry, requests: Requests, between: str | None
) -> None:
    async def hand_on(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    seen = threading.Event()
    app = Starlette(routes=[Route("/x", endless(seen))])
    if between == "function":
        app.add_middleware(BaseHTTPMiddleware, dispatch=hand_on)
    if between == "gzip":
        app.add_middleware(GZipMiddleware)
    app.add_middleware(scope.ASGIMiddleware, registry=registry)
    with uvicorn_serving(app) as port:
        client = Client(port, "/x")
        client.read_until(b"chunk")
        client.leave()
        until(lambda: requests.in_flight == 0, "the request has ended")

    assert requests.counts == {("/x", "cancelled"): 1}
    assert seen.wait(30)


def test_a_client_that_leaves_before_the_answer_has_cancelled_it(registry: Registry, requests: Requests) -> None:
    reading = threading.Event()

    async def handler(request: Request) -> Response:
        reading.set()
        await request.body()  # Starlette raises when the client leaves meanwhile
        return PlainTextResponse("done")

    with uvicorn_serving(observed(handler, registry)) as port:
        client = Client(port, "/x", "POST", "Content-Length: 100\r\n\r\nhalf of it")
        assert reading.wait(30)
        client.leave()
        until(lambda: requests.counts, "the request has ended")

    assert requests.only == ("/x", "cancelled")
    assert requests.in_flight == 0


def test_a_client_that_leaves_a_django_view_has_cancelled_it(registry: Registry, requests: Requests) -> None:
    app = scope.ASGIMiddleware(get_asgi_application(), registry=registry)
    with uvicorn_serving(app, lifespan="off") as port:
        client = Client(port, "/endless")
        client.read_until(b"chunk")
        client.leave()
        until(lambda: requests.counts, "the request has ended")

    assert requests.counts == {("endless", "cancelled"): 1}
    assert requests.in_flight == 0


def test_a_client_that_leaves_after_the_last_byte_does_not_change_the_outcome(
    registry: Registry, requests: Requests
) -> None:
    after = threading.Event()

    def handler(request: Request) -> Response:
        return PlainTextResponse("done", background=BackgroundTask(after.wait, 30))

    async def listen(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"done"

        return StreamingResponse(body(), status_code=500)

    app = Starlette(routes=[Route("/x", handler), Route("/stream", listen)])
    app.add_middleware(scope.ASGIMiddleware, registry=registry)
    with uvicorn_serving(app) as port:
        client = Client(port, "/x")
        client.read_until(b"done")
        client.leave()
        after.set()
        Client(port, "/stream").read_all()
        until(lambda: len(requests.counts) == 2, "both have ended")

    assert requests.counts == {("/x", "ok"): 1, ("/stream", "error"): 1}


def test_a_stream_that_breaks_off_is_an_error(registry: Registry, requests: Requests) -> None:
    def body() -> Iterator[bytes]:
        yield b"first"
        raise RuntimeError("the store is gone")

    with uvicorn_serving(observed(lambda request: StreamingResponse(body()), registry)) as port:
        Client(port, "/x").read_all()
        until(lambda: requests.counts, "the request has ended")

    assert requests.only == ("/x", "error")
    assert requests.in_flight == 0


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_is_timed_and_counted_like_any_body(registry: Registry, requests: Requests, method: str) -> None:
    with uvicorn_serving(observed(lambda request: FileResponse(Path(__file__)), registry)) as port:
        text = Client(port, "/x", method).read_all()
        until(lambda: requests.counts, "the request has ended")

    assert requests.only == ("/x", "ok")
    assert (Path(__file__).read_bytes() in text) == (method == "GET")


async def test_a_file_that_the_server_sends_by_its_path_ends_with_the_message(
    registry: Registry, requests: Requests, clock: Clock
) -> None:
    app = observed(lambda request: FileResponse(__file__, background=BackgroundTask(clock.pass_by, 9)), registry)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app(http_scope(extensions={"http.response.pathsend": {}}), receive, send)

    assert sent == ["http.response.start", "http.response.pathsend"]
    assert requests.only == ("/x", "ok")
    assert requests.seconds == 0


def http_scope(**more: Any) -> dict[str, Any]:
    scope = {"type": "http", "method": "GET", "path": "/x", "root_path": "", "query_string": b"", "headers": []}
    return scope | {"asgi": {"version": "3.0", "spec_version": "2.4"}} | more


async def test_a_server_that_raises_because_the_client_left_makes_the_request_cancelled(
    registry: Registry, requests: Requests
) -> None:
    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise BrokenPipeError

    with pytest.raises(ClientDisconnect):
        await observed(endless(threading.Event()), registry)(http_scope(), receive, send)

    assert requests.only == ("/x", "cancelled")
    assert requests.in_flight == 0


async def test_a_task_that_is_cancelled_is_no_error_and_stays_cancelled(registry: Registry, requests: Requests) -> None:
    waiting = asyncio.Event()

    async def handler(request: Request) -> Response:
        waiting.set()
        await asyncio.Event().wait()
        return PlainTextResponse("never")

    async def nothing(*_: Any) -> Any:
        await asyncio.Event().wait()

    task = asyncio.create_task(observed(handler, registry)(http_scope(), nothing, nothing))
    await waiting.wait()
    assert requests.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert requests.only == ("/x", "cancelled")
    assert requests.in_flight == 0


def test_a_request_that_is_freed_with_its_loop_does_not_stay_in_flight(registry: Registry, requests: Requests) -> None:
    @types.coroutine
    def wait(*_: Any) -> Any:
        yield

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    call: Any = scope.ASGIMiddleware(app, registry=registry)(http_scope(), wait, wait)
    contextvars.copy_context().run(call.send, None)  # as a task does, up to its first wait
    assert requests.in_flight == 1
    del call  # and as the garbage collector does, in another context

    assert requests.only == ("unmatched", "cancelled")
    assert requests.in_flight == 0


async def test_an_application_that_ends_without_an_answer_is_an_error(registry: Registry, requests: Requests) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def send(message: Any) -> None:
        pass

    for path in ("/nothing", "/half"):
        await scope.ASGIMiddleware(app, registry=registry)(http_scope(path=path), send, send)

    assert requests.counts == {("unmatched", "error"): 2}


async def test_an_answer_that_the_server_refused_does_not_end_the_request(
    registry: Registry, requests: Requests
) -> None:
    """Send a body before its start, say; the framework turns the server's exception into a 500."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.body", "body": b"too early"})
        except RuntimeError:
            await send({"type": "http.response.start", "status": 500, "headers": []})
            assert requests.in_flight == 1
            await send({"type": "http.response.body", "body": b"sorry"})

    started: list[Any] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            started.append(message)
        elif not started:
            raise RuntimeError("a response has not been started")

    await scope.ASGIMiddleware(app, registry=registry)(http_scope(), send, send)

    assert requests.only == ("unmatched", "error")


async def test_a_disconnect_while_the_last_byte_is_sent_does_not_cancel(registry: Registry, requests: Requests) -> None:
    """Report a disconnect as a server does after the last byte, even while its `send` waits."""
    taken = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        listening = asyncio.create_task(receive())
        await send({"type": "http.response.body", "body": b"all"})
        assert listening.done()

    async def receive() -> Any:
        await taken.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            taken.set()
            await asyncio.sleep(0.01)

    await scope.ASGIMiddleware(app, registry=registry)(http_scope(), receive, send)

    assert requests.only == ("unmatched", "ok")


async def test_messages_and_exceptions_pass_unchanged(registry: Registry) -> None:
    error = RuntimeError("the application's own")
    sent = [
        {"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")], "trailers": True},
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b"b"},
        {"type": "http.response.trailers", "headers": []},
    ]
    request = {"type": "http.request", "body": b"question"}
    passed: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        passed.append(await receive())
        for message in sent:
            await send(message)
        raise error

    async def receive() -> Any:
        return request

    async def send(message: Any) -> None:
        passed.append(message)

    with pytest.raises(RuntimeError) as raised:
        await scope.ASGIMiddleware(app, registry=registry)(http_scope(), receive, send)

    assert raised.value is error
    assert [id(message) for message in passed] == [id(message) for message in (request, *sent)]
