"""A decorated handler is timed to the end of its body and agrees with the middleware, in the real frameworks."""

from __future__ import annotations

import asyncio
import gc
import inspect
import io
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import django_site
import httpx
import pytest
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse as DjangoFile
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI, HTTPException
from flask import Flask, Response, abort, send_file, stream_with_context
from request_helpers import Client, Clock, Requests, until, uvicorn_serving, wsgiref_serving
from starlette.responses import PlainTextResponse, StreamingResponse

import mnemoscope as scope
from mnemoscope.instrumentation.middleware.bodies import at_end_of_body
from mnemoscope.instrumentation.probes import operation
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = pytest.mark.slow

PATH = "/episodes/{id}"


@pytest.fixture
def decorated() -> Requests:
    """Return what the decorator records by itself, in another registry than the middleware's."""
    return Requests(Registry(strict=True))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(operation, "perf_counter", clock)
    return clock


def chunks(clock: Clock | None = None) -> Iterator[bytes]:
    for _ in range(3):
        if clock:
            clock.pass_by(2)
        yield b"chunk"


async def async_chunks(clock: Clock | None = None) -> AsyncIterator[bytes]:
    for chunk in chunks(clock):
        yield chunk


def broken() -> Iterator[bytes]:
    yield b"chunk"
    raise RuntimeError("the store is gone")


async def async_broken() -> AsyncIterator[bytes]:
    for chunk in broken():
        yield chunk


def endless() -> Iterator[bytes]:
    while True:
        yield b"chunk" * 1000


async def async_endless() -> AsyncIterator[bytes]:
    while True:
        yield b"chunk" * 100
        await asyncio.sleep(0.01)


def refuse(status: int) -> Any:
    raise HTTPException(status)


STARLETTE: dict[str, tuple[Callable[[], Any], str]] = {
    "plain": (lambda: {"id": 7}, "ok"),
    "not found": (lambda: refuse(404), "ok"),
    "full": (lambda: refuse(503), "error"),
    "returned 503": (lambda: PlainTextResponse("full", 503), "error"),
    "stream": (lambda: StreamingResponse(chunks()), "ok"),
    "async stream": (lambda: StreamingResponse(async_chunks()), "ok"),
    "stream of a 503": (lambda: StreamingResponse(async_chunks(), 503), "error"),
    "broken": (lambda: StreamingResponse(broken()), "error"),
    "async broken": (lambda: StreamingResponse(async_broken()), "error"),
    "left": (lambda: StreamingResponse(async_endless()), "cancelled"),
    "generator": (lambda: (number for number in range(3)), "ok"),  # FastAPI makes a list of it
}


def visit(port: int, method: str, outcome: str) -> None:
    """Visit as a client that reads the whole answer, or leaves after the first chunk."""
    client = Client(port, "/episodes/7", method)
    if outcome == "cancelled":
        client.read_until(b"\r\n\r\n")
        client.leave()
    else:
        client.read_all()


def both(requests: Requests, decorated: Requests) -> bool:
    gc.collect()  # ends what was abandoned within a circle
    return bool(requests.counts and decorated.counts)


@pytest.mark.parametrize("case", STARLETTE)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_decorated_handler_of_fastapi_agrees_with_the_middleware(
    registry: Registry, requests: Requests, decorated: Requests, case: str, method: str
) -> None:
    make, outcome = STARLETTE[case]
    app = FastAPI()
    app.add_middleware(scope.ASGIMiddleware, registry=registry)
    handler = scope.request(PATH, registry=decorated.registry)(make)
    app.add_api_route(PATH, handler, methods=["GET", "HEAD"], response_model=None)
    with uvicorn_serving(app) as port:
        visit(port, method, outcome)
        until(lambda: both(requests, decorated), "both have recorded it")

    assert requests.counts == decorated.counts == {(PATH, outcome): 1}


FLASK: dict[str, tuple[Callable[[], Any], str, str]] = {
    "plain": (lambda: {"id": 7}, "ok", "ok"),
    "not found": (lambda: abort(404), "ok", "ok"),
    "full": (lambda: abort(503), "error", "error"),
    "returned 503": (lambda: ("full", 503), "error", "error"),
    "stream": (lambda: Response(chunks()), "ok", "ok"),
    "stream with context": (lambda: Response(stream_with_context(chunks())), "ok", "ok"),
    "generator": (chunks, "ok", "ok"),
    "generator of a 503": (lambda: (chunks(), "503 Full"), "error", "error"),
    "broken": (lambda: Response(broken()), "error", "ok"),
    "broken generator": (broken, "error", "ok"),
    "left": (lambda: Response(endless()), "cancelled", "ok"),
    "left generator": (lambda: (endless(), {"X": "y"}), "cancelled", "ok"),
    "file": (lambda: send_file(__file__), "ok", "ok"),
}


@pytest.mark.parametrize("case", FLASK)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_decorated_view_of_flask_agrees_with_the_middleware(
    registry: Registry, requests: Requests, decorated: Requests, case: str, method: str
) -> None:
    make, got, headed = FLASK[case]  # to HEAD, Flask answers without a look at the body
    outcome = got if method == "GET" else headed
    app = Flask(__name__)
    app.add_url_rule(
        "/episodes/7", view_func=scope.request("/episodes/7", registry=decorated.registry)(make), endpoint="x"
    )
    app.wsgi_app = scope.WSGIMiddleware(app.wsgi_app, registry=registry)  # type: ignore[method-assign]
    with wsgiref_serving(app) as port:
        visit(port, method, outcome)
        unbegun = method == "HEAD" and inspect.isgeneratorfunction(make)  # its run never begins
        until(lambda: both(requests, decorated) or (unbegun and bool(requests.counts)), "both have recorded it")

    assert requests.counts == {("/episodes/7", outcome): 1}
    assert decorated.counts == ({} if unbegun else requests.counts)


DJANGO: dict[str, tuple[Callable[[], Any], str]] = {
    "plain": (lambda: HttpResponse("7"), "ok"),
    "returned 503": (lambda: HttpResponse("full", status=503), "error"),
    "not found": (lambda: (_ for _ in ()).throw(django_site.RAISED["missing"]), "ok"),
    "stream": (lambda: StreamingHttpResponse(chunks()), "ok"),
    "broken": (lambda: StreamingHttpResponse(broken()), "error"),
    "left": (lambda: StreamingHttpResponse(endless()), "cancelled"),
    "file": (lambda: DjangoFile(Path(__file__).open("rb")), "ok"),  # noqa: SIM115  # Django closes it
}
DJANGO_ASYNC: dict[str, tuple[Callable[[], Any], str]] = {
    "stream": (lambda: StreamingHttpResponse(async_chunks()), "ok"),
    "broken": (lambda: StreamingHttpResponse(async_broken()), "error"),
    "left": (lambda: StreamingHttpResponse(async_endless()), "cancelled"),
}


def django_view(make: Callable[[], Any], decorated: Requests) -> Any:
    def view(request: HttpRequest) -> Any:
        result = make()
        return next(result) if hasattr(result, "throw") else result

    urls = (path("episodes/7", scope.request("episodes/7", registry=decorated.registry)(view)),)
    return override_settings(ROOT_URLCONF=urls)


@pytest.mark.parametrize("case", DJANGO)
def test_a_decorated_view_of_django_agrees_with_the_middleware(
    registry: Registry, requests: Requests, decorated: Requests, case: str
) -> None:
    make, outcome = DJANGO[case]
    app = scope.WSGIMiddleware(get_wsgi_application(), registry=registry)
    with django_view(make, decorated), wsgiref_serving(app) as port:
        visit(port, "GET", outcome)
        until(lambda: both(requests, decorated), "both have recorded it")

    assert requests.counts == decorated.counts == {("episodes/7", outcome): 1}


@pytest.mark.parametrize("case", DJANGO_ASYNC)
def test_a_decorated_view_of_django_under_asgi_agrees_with_the_middleware(
    registry: Registry, requests: Requests, decorated: Requests, case: str
) -> None:
    make, outcome = DJANGO_ASYNC[case]
    app = scope.ASGIMiddleware(get_asgi_application(), registry=registry)
    with django_view(make, decorated), uvicorn_serving(app, lifespan="off") as port:
        visit(port, "GET", outcome)
        until(lambda: both(requests, decorated), "both have recorded it")

    assert requests.counts == decorated.counts == {("episodes/7", outcome): 1}


async def test_a_decorated_handler_below_the_middleware_names_its_route_and_is_recorded_once(
    registry: Registry, requests: Requests
) -> None:
    app = FastAPI()
    app.add_middleware(scope.ASGIMiddleware, registry=registry)

    @app.get("/function/{id}")
    @scope.request("/named/function", registry=registry)
    def function(id: int) -> Any:  # in a thread
        return StreamingResponse(chunks())

    @app.get("/coroutine/{id}")
    @scope.request("/named/coroutine", registry=registry)
    async def coroutine(id: int) -> Any:
        raise HTTPException(503)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        await client.get("/function/7")
        await client.get("/coroutine/7")

    assert requests.counts == {("/named/function", "ok"): 1, ("/named/coroutine", "error"): 1}


async def test_a_stream_is_timed_to_its_end_without_the_middleware(decorated: Requests, clock: Clock) -> None:
    app = FastAPI()

    @app.get(PATH)
    @scope.request(PATH, registry=decorated.registry)
    async def handler(id: int) -> StreamingResponse:
        clock.pass_by(0.5)
        return StreamingResponse(async_chunks(clock))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        await client.get("/episodes/7")

    assert decorated.seconds == 6.5


# The hook by itself -----------------------------------------------------------------------------------


class Ended(list[BaseException | None]):
    """What `done` was called with."""

    def __call__(self, error: BaseException | None) -> None:
        self.append(error)


@pytest.mark.parametrize("result", [None, "text", b"bytes", [1], {}, (), 7, PlainTextResponse("x"), HttpResponse("x")])
def test_a_result_without_a_streamed_body_is_unchanged(result: Any) -> None:
    ended = Ended()

    assert at_end_of_body(result, ended) is None
    assert ended == []


def test_a_result_whose_attributes_fail_is_unchanged() -> None:
    class Proud:
        headers: tuple[()] = ()

        @property
        def streaming_content(self) -> None:
            raise RuntimeError("not now")

    assert at_end_of_body(Proud(), Ended()) is None


def test_a_generator_stays_a_generator_with_all_its_methods() -> None:
    def talk() -> Any:
        heard = yield "first"
        try:
            yield heard
        except KeyError:
            yield "caught"
        return "result"

    ended = Ended()
    generator = at_end_of_body(talk(), ended)

    assert next(generator) == "first"
    assert generator.send("heard") == "heard"
    assert generator.throw(KeyError()) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "result"
    assert ended == [None]


@pytest.mark.parametrize("how", ["close", "throw away"])
def test_an_abandoned_generator_ends_once_with_a_generator_exit(how: str) -> None:
    ended = Ended()
    inner = endless()
    generator = at_end_of_body(inner, ended)
    next(generator)
    if how == "close":
        generator.close()
        generator.close()
    del generator

    assert [type(error) for error in ended] == [GeneratorExit]
    assert inner.gi_frame is None  # type: ignore[attr-defined]


def test_a_generator_that_is_never_begun_has_ended_well() -> None:
    ended = Ended()
    generator = at_end_of_body(endless(), ended)
    assert ended == []
    del generator

    assert ended == [None]


@pytest.mark.parametrize(
    ("how", "ends_with"),
    [("read", type(None)), ("fails", RuntimeError), ("closed", GeneratorExit), ("cancelled", asyncio.CancelledError)],
)
async def test_an_async_generator_ends_with_its_exception(how: str, ends_with: type[BaseException]) -> None:
    closed = []

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"chunk"
            if how == "fails":
                raise RuntimeError("the store is gone")
            if how == "cancelled":
                await asyncio.Event().wait()
        finally:
            closed.append(True)

    ended = Ended()
    generator = at_end_of_body(body(), ended)
    assert await anext(generator) == b"chunk"
    if how == "closed":
        await generator.aclose()
    elif how == "cancelled":
        task = asyncio.ensure_future(anext(generator))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    elif how == "fails":
        with pytest.raises(RuntimeError):
            await anext(generator)
    else:
        assert [chunk async for chunk in generator] == []

    assert [type(error) for error in ended] == [ends_with]
    assert closed == [True]


class Closing(io.BytesIO):
    """A stream that counts how often it is closed."""

    times = 0

    def close(self) -> None:
        self.times += 1
        super().close()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("read", [True, False])
def test_a_body_of_flask_is_closed_as_often_as_without_the_probe(method: str, read: bool) -> None:
    counts = []
    for observe in (lambda response: response, lambda response: at_end_of_body(response, Ended())):
        body = Closing(b"a\nb\nc\n")
        app = Flask(__name__)
        app.add_url_rule("/", view_func=lambda body=body, observe=observe: observe(Response(body)), endpoint="x")
        answer = app.test_client().open("/", method=method)
        if read:
            assert answer.data == (b"a\nb\nc\n" if method == "GET" else b"")
        answer.close()
        counts.append(body.times)

    assert counts[0] == counts[1]


def test_a_file_is_left_to_the_server_and_ends_once_with_its_close() -> None:
    ended = Ended()
    with Flask(__name__).test_request_context():
        flask = send_file(__file__)
        sent = flask.response
        assert at_end_of_body(flask, ended) is flask
    assert flask.response is sent
    flask.close()
    flask.close()
    assert ended == [None]

    ended = Ended()
    django = DjangoFile(Path(__file__).open("rb"))  # noqa: SIM115  # Django closes it
    file = django.file_to_stream
    assert at_end_of_body(django, ended) is django
    assert django.file_to_stream is file
    django.close()
    assert file.closed
    assert ended == [None]
