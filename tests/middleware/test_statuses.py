"""The status read from a handler's result or exception is the status that the real framework sends."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import django_site
import httpx
import pytest
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.test import Client as DjangoClient
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from flask import Flask, Response, abort, make_response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import JSONResponse
from werkzeug.exceptions import BadRequestKeyError, NotFound
from werkzeug.exceptions import HTTPException as WerkzeugHTTPException
from werkzeug.routing import RequestRedirect

from mnemoscope.instrumentation.middleware.statuses import status_code, status_of_exception, status_of_response


class Gone(StarletteHTTPException):
    """A service's own subclass."""

    def __init__(self) -> None:
        super().__init__(410)


def raised(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("it did not raise")


@pytest.mark.parametrize(
    "error",
    [HTTPException(404), HTTPException(503), StarletteHTTPException(429), Gone(), RequestValidationError([])],
    ids=repr,
)
async def test_fastapi_answers_an_exception_with_the_status_we_read(error: Exception) -> None:
    app = FastAPI()

    @app.get("/")
    def handler() -> None:
        raise error

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        assert (await client.get("/")).status_code == status_of_exception(error)


@pytest.mark.parametrize(
    "error",
    [
        NotFound(),
        BadRequestKeyError("q"),
        RequestRedirect("/elsewhere"),
        raised(lambda: abort(503)),
        raised(lambda: abort(Response("full", 507))),
        raised(lambda: abort(Response("moved", "302 Found"))),
    ],
    ids=repr,
)
def test_flask_answers_an_exception_with_the_status_we_read(error: Exception) -> None:
    app = Flask(__name__)

    @app.get("/")
    def handler() -> None:
        raise error

    assert app.test_client().get("/").status_code == status_of_exception(error)


@pytest.mark.parametrize("kind", [*django_site.RAISED, "too big", "multipart"])
def test_django_answers_an_exception_with_the_status_we_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(django_site.RAISED, "too big", RequestDataTooBig())
    monkeypatch.setitem(django_site.RAISED, "multipart", MultiPartParserError("no boundary"))
    answer = DjangoClient(raise_request_exception=False).get(f"/fails/{kind}")

    assert (status_of_exception(django_site.RAISED[kind]) or 500) == answer.status_code


def other_frameworks(qualified: str, **attributes: Any) -> BaseException:
    """Return an exception whose class has the name of a class of a framework that is not installed."""
    module, _, name = qualified.rpartition(".")
    base = type(name, (Exception,), {"__module__": module} | attributes)
    return type("Own", (base,), {"__module__": "service"})()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (other_frameworks("aiohttp.web_exceptions.HTTPException", status=404), 404),
        (other_frameworks("falcon.http_error.HTTPError", status="404 Not Found"), 404),
        (other_frameworks("falcon.http_error.HTTPError", status=HTTPStatus.CONFLICT), 409),
        (other_frameworks("falcon.http_status.HTTPStatus", status=b"204 No Content"), 204),
        (other_frameworks("rest_framework.exceptions.APIException", status_code=429), 429),
    ],
    ids=str,
)
def test_exceptions_of_other_frameworks_are_known_by_the_names_of_their_classes(
    error: BaseException, status: int
) -> None:
    assert status_of_exception(error) == status


@pytest.mark.parametrize(
    "error",
    [
        KeyError("episode"),
        urllib.error.HTTPError("http://upstream", 404, "Not Found", {}, None),  # type: ignore[arg-type]
        other_frameworks("openai.APIStatusError", status_code=404),
        other_frameworks("qdrant_client.http.exceptions.UnexpectedResponse", status_code=404),
        other_frameworks("aiohttp.client_exceptions.ClientResponseError", status=404),
        WerkzeugHTTPException(),
        SystemExit(404),
    ],
    ids=str,
)
def test_the_status_of_another_services_answer_is_ignored(error: BaseException) -> None:
    assert status_of_exception(error) is None


FLASK_RESULTS: list[Any] = [
    "text",
    ("text", 503),
    ("text", "503 Full"),
    ("text", 201, {"X": "y"}),
    ("text", {"X": "y"}),
    ({"a": 1}, HTTPStatus.ACCEPTED),
    lambda: make_response("text", 507),
    lambda: (make_response("text", 507), {"X": "y"}),
    lambda: (make_response("text", 507), 404),
]


@pytest.mark.parametrize("result", FLASK_RESULTS, ids=repr)
def test_flask_answers_a_result_with_the_status_we_read(result: Any) -> None:
    app = Flask(__name__)
    seen = []

    @app.get("/")
    def handler() -> Any:
        returned = result() if callable(result) else result
        seen.append(status_of_response(returned))
        return returned

    assert app.test_client().get("/").status_code == (seen[0] or 200)


@pytest.mark.parametrize("response", [JSONResponse({}, 503), HttpResponse(status=404), Response(status=204)], ids=repr)
def test_a_response_of_any_framework_has_its_status(response: Any) -> None:
    assert status_of_response(response) == response.status_code


@dataclass
class Checked:
    """A result of a service that has its own status."""

    status_code: int
    status: str


class Proud:
    """An object whose attributes fail."""

    @property
    def headers(self) -> None:
        raise RuntimeError("not now")


@pytest.mark.parametrize(
    "result",
    [None, "503 Full", {"status": 503}, Checked(503, "503 Full"), [1, 503], ("a", "b", "c", 503), 503, Http404],
)
def test_an_object_that_only_looks_like_a_response_has_no_status(result: Any) -> None:
    assert status_of_response(result) is None


def test_a_tuple_is_an_answer_to_flask_only(monkeypatch: pytest.MonkeyPatch) -> None:
    found = (["episode"], 503)  # a page of results, and how many there are
    assert status_of_response(found) == 503
    monkeypatch.delitem(__import__("sys").modules, "flask")
    assert status_of_response(found) is None


def test_a_result_whose_attributes_fail_does_not_raise() -> None:
    assert status_of_response(Proud()) is None


@pytest.mark.parametrize(
    ("value", "status"),
    [
        *[(200, 200), ("404 Not Found", 404), (b"404", 404), (HTTPStatus.OK, 200)],
        *[("²00", None), ("", None), (True, None), (99, None), (600, None), ("ok", None)],
        *[(2.0, None), (None, None), (b"\xff", None)],
    ],
)
def test_a_status_is_read_from_every_form_that_frameworks_use(value: object, status: int | None) -> None:
    assert status_code(value) == status
