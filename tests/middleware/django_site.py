"""A Django site: settings in this process, URLs with `include()`, and views of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import django
from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path

if not settings.configured:
    settings.configure(
        ROOT_URLCONF="django_site",
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="tests",
        LOGGING_CONFIG=None,
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    )
    django.setup()

RAISED = {
    "missing": Http404("no such episode"),
    "denied": PermissionDenied(),
    "bad": BadRequest(),
    "suspicious": SuspiciousOperation(),
    "boom": RuntimeError("boom"),
}


def episode(request: HttpRequest, id: int) -> HttpResponse:
    return HttpResponse(f"episode {id}")


def failing(request: HttpRequest, kind: str) -> HttpResponse:
    raise RAISED[kind]


def status(request: HttpRequest, code: int) -> HttpResponse:
    return HttpResponse(status=code)


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def body() -> Iterator[bytes]:
        yield b"first"
        yield b"last"

    return StreamingHttpResponse(body())


async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        yield b"last"

    return StreamingHttpResponse(body())


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"chunk" * 100
            await asyncio.sleep(0.01)

    return StreamingHttpResponse(body())


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


urlpatterns = [
    path("", lambda request: HttpResponse("root")),
    path("episodes/<int:id>/", episode),
    path("words/<word>", lambda request, word: HttpResponse(word)),
    path("fails/<kind>", failing),
    path("status/<int:code>", status),
    path("stream", stream),
    path("async-stream", async_stream),
    path("endless", endless),
    path("file", file),
    path("api/", include([path("v1/", include([path("episodes/<int:id>", episode)]))])),
    re_path(r"^old/(?P<id>\d+)$", episode),
]
