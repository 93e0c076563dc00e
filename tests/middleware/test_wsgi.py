"""WSGI requests: routes of Flask and Django, and every way in which a request can end."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults, shift_path_info
from wsgiref.validate import validator

import django_site  # noqa: F401
import pytest
from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from flask import Blueprint, Flask, Response, abort, send_file, stream_with_context
from request_helpers import Client, Clock, Requests, until, wsgiref_serving
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import mnemoscope as scope
from mnemoscope.instrumentation.recording.registry import Registry

HERE = Path(__file__).parent


def flask_app(registry: Registry) -> Flask:
    app = Flask(__name__, static_folder=str(HERE), static_url_path="/static")
    api = Blueprint("api", __name__, url_prefix="/api")
    inner = Blueprint("inner", __name__, url_prefix="/v1")
    inner.add_url_rule("/episodes/<int:id>", view_func=lambda id: f"episode {id}", endpoint="episode")
    api.register_blueprint(inner)
    app.register_blueprint(api)

    @app.get("/episodes/<id>")
    def episode(id: str) -> str:
        return id

    @app.get("/fails/<int:status>")
    def fails(status: int) -> None:
        abort(status)

    @app.get("/says/<int:status>")
    def says(status: int) -> Any:
        return "body", status

    @app.get("/boom")
    def boom() -> None:
        raise RuntimeError("boom")

    @app.get("/file")
    def file() -> Any:
        return send_file(__file__)

    app.wsgi_app = scope.WSGIMiddleware(app.wsgi_app, registry=registry)  # type: ignore[method-assign]
    return app


@pytest.mark.parametrize(
    ("path", "route", "outcome"),
    [
        ("/episodes/7", "/episodes/<id>", "ok"),
        ("/api/v1/episodes/7", "/api/v1/episodes/<int:id>", "ok"),
        ("/static/conftest.py", "/static/<path:filename>", "ok"),
        ("/file", "/file", "ok"),
        ("/fails/404", "/fails/<int:status>", "ok"),
        ("/fails/503", "/fails/<int:status>", "error"),
        ("/says/204", "/says/<int:status>", "ok"),
        ("/says/304", "/says/<int:status>", "ok"),
        ("/says/503", "/says/<int:status>", "error"),
        ("/boom", "/boom", "error"),
        ("/none", "unmatched", "ok"),
        ("/api/v1/episodes/seven", "unmatched", "ok"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_flask_gives_the_rule_and_the_status_the_outcome(
    registry: Registry, requests: Requests, path: str, route: str, outcome: str, method: str
) -> None:
    with wsgiref_serving(flask_app(registry)) as port:
        Client(port, path, method).read_all()
        until(lambda: requests.counts, "the request has ended")

    assert requests.only == (route, outcome)
    assert requests.in_flight == 0


@pytest.mark.parametrize(("path", "route"), [("/boom", "/boom"), ("/before", "unmatched")])
def test_an_exception_that_leaves_flask_is_an_error_of_its_route(
    registry: Registry, requests: Requests, path: str, route: str
) -> None:
    app = flask_app(registry)
    app.testing = True

    @app.before_request
    def before() -> None:
        if path == "/before":
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        app.test_client().get(path)

    assert requests.only == (route, "error")


def test_the_mount_point_of_a_dispatcher_belongs_to_the_template(registry: Registry, requests: Requests) -> None:
    def shifting(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        shift_path_info(environ)  # it may be an id
        return below(environ, start_response)

    app, below = flask_app(Registry()), flask_app(Registry())
    dispatcher = DispatcherMiddleware(app, {"/below": below, "/django": get_wsgi_application(), "/shift": shifting})
    with wsgiref_serving(scope.WSGIMiddleware(dispatcher, registry=registry)) as port:
        for path in ("/episodes/7", "/below/episodes/7", "/django/episodes/7/", "/django/", "/shift/acme/episodes/7"):
            Client(port, path).read_all()
        until(lambda: sum(requests.counts.values()) == 5, "all have ended")

    assert requests.counts == {
        ("/episodes/<id>", "ok"): 2,
        ("/below/episodes/<id>", "ok"): 1,
        ("/django/episodes/<int:id>/", "ok"): 1,
        ("/django/", "ok"): 1,
    }


@pytest.mark.parametrize(
    ("path", "route", "outcome"),
    [
        ("/", "/", "ok"),
        ("/episodes/7/", "episodes/<int:id>/", "ok"),
        ("/episodes/7", "unmatched", "ok"),  # answered with a redirect
        ("/api/v1/episodes/7", "api/v1/episodes/<int:id>", "ok"),
        ("/old/7", r"^old/(?P<id>\d+)$", "ok"),
        ("/words/%C3%BCber", "words/<word>", "ok"),
        ("/fails/missing", "fails/<kind>", "ok"),
        ("/fails/denied", "fails/<kind>", "ok"),
        ("/fails/bad", "fails/<kind>", "ok"),
        ("/fails/suspicious", "fails/<kind>", "ok"),
        ("/fails/boom", "fails/<kind>", "error"),
        ("/status/503", "status/<int:code>", "error"),
        ("/stream", "stream", "ok"),
        ("/file", "file", "ok"),
        ("/none", "unmatched", "ok"),
    ],
)
def test_django_gives_its_resolvers_route_and_the_status_the_outcome(
    registry: Registry, requests: Requests, path: str, route: str, outcome: str
) -> None:
    with wsgiref_serving(scope.WSGIMiddleware(get_wsgi_application(), registry=registry)) as port:
        Client(port, path).read_all()
        until(lambda: requests.counts, "the request has ended")

    assert requests.only == (route, outcome)
    assert requests.in_flight == 0


def test_the_language_of_a_django_request_belongs_to_its_route(registry: Registry, requests: Requests) -> None:
    application = scope.WSGIMiddleware(get_wsgi_application(), registry=registry)
    with override_settings(
        ROOT_URLCONF="django_languages", MIDDLEWARE=["django.middleware.locale.LocaleMiddleware"], USE_I18N=True
    ):
        application = scope.WSGIMiddleware(get_wsgi_application(), registry=registry)
        for path in ("/de/episodes/7", "/en/episodes/7"):
            list(call(application, path))

    assert requests.routes == {"de/episodes/<int:id>", "en/episodes/<int:id>"}


# The protocol, whatever the framework ---------------------------------------------------------------


def call(app: Any, path: str = "/x", method: str = "GET", start: Callable[..., Any] | None = None, **more: Any) -> Any:
    environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method} | more
    setup_testing_defaults(environ)
    return app(environ, start or (lambda status, headers, exc_info=None: lambda data: None))


def answering(body: Any, status: str = "200 OK") -> Any:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response(status, [("Content-Type", "text/plain")])
        return body

    return app


class Closable:
    """A body that records its reads and its close."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = iter(chunks)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks

    def close(self) -> None:
        self.closed += 1


def test_the_time_runs_to_the_last_byte_of_a_stream(registry: Registry, requests: Requests, clock: Clock) -> None:
    app = Flask(__name__)

    @app.get("/x")
    def stream() -> Response:
        def body() -> Iterator[str]:
            for _ in range(3):
                clock.pass_by(2)
                yield "chunk"
            clock.pass_by(1)

        clock.pass_by(0.5)
        response = Response(stream_with_context(body()))
        response.call_on_close(lambda: clock.pass_by(100))
        return response

    app.wsgi_app = scope.WSGIMiddleware(app.wsgi_app, registry=registry)  # type: ignore[method-assign]
    assert app.test_client().get("/x").data == b"chunk" * 3

    assert requests.only == ("/x", "ok")
    assert requests.seconds == 7.5


def test_a_request_is_in_flight_from_its_arrival_to_its_last_byte(registry: Registry, requests: Requests) -> None:
    go_on = threading.Event()

    def body() -> Iterator[bytes]:
        yield b"first"
        go_on.wait(30)
        yield b"last"

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return answering(body())(environ, start_response)

    with wsgiref_serving(scope.WSGIMiddleware(app, registry=registry)) as port:
        clients = [Client(port, "/x") for _ in range(3)]
        for client in clients:
            client.read_until(b"first")
        assert requests.in_flight == 3
        assert requests.counts == {}
        go_on.set()
        for client in clients:
            client.read_all()
        until(lambda: requests.in_flight == 0, "all are answered")

    assert requests.counts == {("unmatched", "ok"): 3}


def test_a_client_that_leaves_a_stream_has_cancelled_it(registry: Registry, requests: Requests) -> None:
    closed = threading.Event()

    def body() -> Iterator[bytes]:
        try:
            while True:
                yield b"chunk" * 10_000
        finally:
            closed.set()

    with wsgiref_serving(scope.WSGIMiddleware(answering(body()), registry=registry)) as port:
        client = Client(port, "/x")
        client.read_until(b"chunk")
        client.leave()
        until(lambda: requests.counts, "the request has ended")

    assert requests.only == ("unmatched", "cancelled")
    assert requests.in_flight == 0
    assert closed.wait(30)


def test_a_client_that_leaves_while_the_application_writes_has_cancelled_it(
    registry: Registry, requests: Requests
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        write = start_response("200 OK", [])
        while True:
            write(b"chunk" * 10_000)

    with wsgiref_serving(scope.WSGIMiddleware(app, registry=registry)) as port:
        client = Client(port, "/x")
        client.read_until(b"chunk")
        client.leave()
        until(lambda: requests.counts, "the request has ended")

    assert requests.only == ("unmatched", "cancelled")


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyError("episode")])
def test_a_body_that_breaks_off_is_an_error(registry: Registry, requests: Requests, error: Exception) -> None:
    def body() -> Iterator[bytes]:
        yield b"first"
        raise error

    answer = call(scope.WSGIMiddleware(answering(body()), registry=registry))
    with pytest.raises(type(error)) as raised:
        list(answer)
    answer.close()

    assert raised.value is error
    assert requests.only == ("unmatched", "error")


@pytest.mark.parametrize(
    ("error", "outcome"), [(RuntimeError("boom"), "error"), (SystemExit(1), "cancelled"), (OSError("disk"), "error")]
)
def test_an_exception_before_the_answer_leaves_unchanged(
    registry: Registry, requests: Requests, error: BaseException, outcome: str
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        raise error

    with pytest.raises(type(error)) as raised:
        call(scope.WSGIMiddleware(app, registry=registry))

    assert raised.value is error
    assert requests.only == ("unmatched", outcome)
    assert requests.in_flight == 0


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified", "500 Internal Server Error"])
def test_a_body_that_is_closed_unread_is_cancelled_only_if_the_client_wanted_it(
    registry: Registry, requests: Requests, method: str, status: str
) -> None:
    body = Closable(b"never", b"read")
    call(scope.WSGIMiddleware(answering(body, status), registry=registry), method=method).close()

    wanted = method == "GET" and status[0] != "3" and status[:3] != "204"
    assert requests.only == ("unmatched", "cancelled" if wanted else "error" if status[0] == "5" else "ok")
    assert body.closed == 1


def test_a_body_is_closed_as_often_as_the_server_closes_it(registry: Registry, requests: Requests) -> None:
    body = Closable(b"a", b"b")
    answer = call(scope.WSGIMiddleware(answering(body), registry=registry))

    assert list(answer) == [b"a", b"b"]
    assert body.closed == 0
    answer.close()
    assert body.closed == 1
    assert requests.only == ("unmatched", "ok")


def test_a_test_client_that_reads_only_the_status_does_not_cancel_the_request(
    registry: Registry, requests: Requests
) -> None:
    answer = flask_app(registry).test_client().get("/episodes/7")
    assert answer.status_code == 200
    assert requests.in_flight == 1
    del answer
    gc.collect()

    assert requests.only == ("/episodes/<id>", "ok")
    assert requests.in_flight == 0


@pytest.mark.parametrize("body", [[b"one"], (b"one", b"two"), [], iter([b"one"])], ids=repr)
def test_a_body_has_a_length_if_the_applications_body_has_one(registry: Registry, body: Any) -> None:
    """Check `len`, from which a server derives Content-Length."""
    answer = call(scope.WSGIMiddleware(answering(body), registry=registry))

    assert hasattr(answer, "__len__") == hasattr(body, "__len__")
    if hasattr(body, "__len__"):
        assert len(answer) == len(body)


def test_a_server_answers_the_same_with_and_without_the_middleware(registry: Registry) -> None:
    """Compare status, headers and body, in the HTTP/1.0 of the standard library's server."""
    bodies = [lambda: [b"one"], lambda: [b"one", b"two"], lambda: iter([b"one", b"two"]), lambda: Closable(b"x")]
    for body in bodies:
        answers = []
        for middleware in (lambda app: app, lambda app: scope.WSGIMiddleware(app, registry=registry)):
            with wsgiref_serving(middleware(answering(body()))) as port:
                text = Client(port, "/x").read_all()
                answers.append([line for line in text.split(b"\r\n") if not line.startswith(b"Date:")])
        assert answers[0] == answers[1]


def test_an_application_may_answer_late_write_and_start_again(registry: Registry, requests: Requests) -> None:
    started: list[tuple[Any, ...]] = []
    written: list[bytes] = []

    def start(*arguments: Any) -> Callable[[bytes], None]:
        started.append(arguments)
        return written.append

    def late(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        write = start_response("200 OK", [])
        write(b"written")
        try:
            {}["episode"]
        except KeyError:
            start_response("500 Internal Server Error", [], exc_info=sys.exc_info())
        yield b"sorry"

    answer = call(scope.WSGIMiddleware(late, registry=registry), start=start)
    assert started == []
    assert list(answer) == [b"sorry"]
    answer.close()

    assert written == [b"written"]
    assert [len(arguments) for arguments in started] == [2, 3]
    assert requests.only == ("unmatched", "error")


def test_an_answer_that_was_never_started_is_an_error(registry: Registry, requests: Requests) -> None:
    list(call(scope.WSGIMiddleware(lambda environ, start_response: [b"body"], registry=registry)))

    assert requests.only == ("unmatched", "error")


def test_the_middleware_keeps_to_the_protocol(registry: Registry, requests: Requests) -> None:
    """Check both sides with the standard library's validator."""
    app = validator(scope.WSGIMiddleware(validator(answering([b"one"])), registry=registry))
    with wsgiref_serving(app) as port:
        assert Client(port, "/x").read_all().endswith(b"\r\n\r\none")
        until(lambda: requests.counts, "the request has ended")

    assert requests.only == ("unmatched", "ok")


class Stubborn(FileWrapper):
    """A file wrapper whose attributes cannot be set, as one written in C."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "close":
            raise AttributeError(name)
        super().__setattr__(name, value)

    def __init__(self, file: Any) -> None:
        self.filelike, self.blksize = file, 1


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("wrapper", [FileWrapper, Stubborn])
def test_a_file_is_left_to_the_server_and_ends_with_its_close(
    registry: Registry, requests: Requests, wrapper: Any, sent: bool
) -> None:
    file = io.BytesIO(b"abc")
    body = wrapper(file)
    more = {"wsgi.file_wrapper": wrapper}
    answer = call(scope.WSGIMiddleware(answering(body), registry=registry), **more)
    assert isinstance(answer, wrapper) == (wrapper is FileWrapper)
    assert requests.in_flight == 1

    def serve() -> None:
        """Serve as servers do: they close a body while they handle an exception of sending."""
        try:
            for _ in answer:
                if not sent:
                    raise BrokenPipeError
        finally:
            answer.close()

    if sent:
        serve()
    else:
        with pytest.raises(BrokenPipeError):
            serve()

    assert requests.only == ("unmatched", "ok" if sent else "cancelled")
    assert requests.in_flight == 0
    assert file.closed == (wrapper is FileWrapper)


def test_a_file_that_no_server_closes_does_not_stay_in_flight(registry: Registry, requests: Requests) -> None:
    more = {"wsgi.file_wrapper": FileWrapper}
    answer = call(scope.WSGIMiddleware(answering(FileWrapper(io.BytesIO(b"abc"))), registry=registry), **more)
    assert requests.in_flight == 1
    del answer
    gc.collect()

    assert requests.in_flight == 0
    assert requests.only == ("unmatched", "cancelled")


def test_code_within_a_lazy_body_names_the_route_of_the_request(registry: Registry, requests: Requests) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        under_way = scope.current_request()
        assert under_way is not None
        under_way.route = "/named"
        yield from answering([b"body"])(environ, start_response)

    observed = scope.WSGIMiddleware(scope.WSGIMiddleware(app, registry=registry), registry=registry)
    assert list(call(observed)) == [b"body"]

    assert requests.only == ("/named", "ok")
    assert scope.current_request() is None


def test_probes_and_scrapes_are_left_out(registry: Registry, requests: Requests) -> None:
    app = scope.WSGIMiddleware(scope.wsgi_app(registry=Registry()), registry=registry)
    for path in ("/health", "/ready", "/metrics", "/metrics.json"):
        assert list(call(app, path))

    assert requests.counts == {}


def test_a_function_of_the_service_names_the_route_or_leaves_it_to_the_framework(
    registry: Registry, requests: Requests
) -> None:
    app = flask_app(Registry())
    app.wsgi_app = scope.WSGIMiddleware(  # type: ignore[method-assign]
        app.wsgi_app, registry=registry, route=lambda environ: "/own" if environ["PATH_INFO"] == "/boom" else None
    )
    for path in ("/boom", "/episodes/7"):
        assert app.test_client().get(path).data

    assert requests.counts == {("/own", "error"): 1, ("/episodes/<id>", "ok"): 1}


def test_a_reused_environ_is_a_new_request(registry: Registry, requests: Requests) -> None:
    app = scope.WSGIMiddleware(answering([b"body"]), registry=registry)
    environ: dict[str, Any] = {"PATH_INFO": "/x"}
    setup_testing_defaults(environ)
    for _ in range(2):
        list(app(environ, lambda *_: lambda data: None))

    assert requests.counts == {("unmatched", "ok"): 2}


# gunicorn -------------------------------------------------------------------------------------------


def test_gunicorn_records_streams_files_and_clients_that_leave(free_port: int, tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "gunicorn_service:app", "--bind", f"127.0.0.1:{free_port}", "--threads=4"],
        cwd=HERE,
        env=os.environ | {"MNEMOSCOPE_MULTIPROC_DIR": ""},
        stderr=(tmp_path / "log").open("wb"),
    )

    def samples() -> dict[str, float]:
        try:
            text = Client(free_port, "/metrics").read_all().decode()
        except OSError:
            return {}
        lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("mnemo_request_"))
        return {name.removeprefix("mnemo_request_"): float(value) for name, _, value in lines}

    def count(route: str, outcome: str) -> float:
        return samples().get(f'duration_seconds_count{{outcome="{outcome}",route="{route}"}}', 0)

    try:
        until(samples, "gunicorn answers")
        assert Client(free_port, "/file").read_all().endswith((HERE / "gunicorn_service.py").read_bytes())
        assert b"first" in Client(free_port, "/stream").read_all()
        client = Client(free_port, "/endless")
        client.read_until(b"chunk")
        assert samples()["in_flight"] == 1
        client.leave()
        until(lambda: count("/endless", "cancelled") == 1, "the client's leaving is noticed")
        until(lambda: count("/file", "ok") == count("/stream", "ok") == 1, "both have ended")
        assert samples()["in_flight"] == 0
    finally:
        server.terminate()
        assert server.wait(30) == 0
