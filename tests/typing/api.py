"""What type checkers see of the public interface: read by mypy and pyright (`make types`), never run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

from fastapi import FastAPI
from flask import Flask
from starlette.middleware import Middleware

import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.instrumentation.middleware import RequestRecording
from mnemoscope.instrumentation.probes import Consolidation, Lookup, Recall
from mnemoscope.instrumentation.timing import Timer


@scope.index_write("spatiotemporal")
def function(a: int, *, b: str = "") -> list[str]:
    return [b] * a


@scope.completion(limit=20)
async def coroutine(a: int) -> bytes:
    return bytes(a)


@scope.recall("flat")
def generator(n: int) -> Iterator[int]:
    yield n


@scope.timed(m.PATTERN_EXTRACTION, strategy="decision_point")
async def async_generator(n: int) -> AsyncIterator[int]:
    yield n


@scope.per_call(scope.storage, backend="turso", operation=lambda operation: operation)
def execute(operation: str) -> int:
    return len(operation)


class Store:
    @scope.storage("turso", "load", kind={KeyError: "other"}, is_error=lambda error: not isinstance(error, KeyError))
    def method(self, key: str) -> bytes | None:
        return key.encode()

    @classmethod
    @scope.storage("turso", "open")
    def on_class(cls, path: str) -> Store:
        return cls()

    @staticmethod
    @scope.cache_lookup("redb", hit=bool)
    def static(key: str) -> dict[str, int]:
        return {key: 1}


async def decorated_callables_keep_their_types(store: Store) -> None:
    assert_type(function(1, b="x"), list[str])
    assert_type(await coroutine(1), bytes)
    assert_type(generator(1), Iterator[int])
    assert_type(async_generator(1), AsyncIterator[int])
    assert_type(execute("load"), int)
    assert_type(store.method("k"), bytes | None)
    assert_type(Store.on_class("p"), Store)
    assert_type(Store.static("k"), dict[str, int])


async def blocks_give_what_can_be_set() -> None:
    with scope.cache_lookup("redb") as lookup:
        assert_type(lookup, Lookup)
        lookup.hit = True
    with scope.recall("blended") as recall:
        assert_type(recall, Recall)
        recall.results, recall.diversity = 3, 0.5
    async with scope.consolidation() as run:
        assert_type(run, Consolidation)
        run.episodes += 1
    with scope.request("/episodes") as request:
        assert_type(request, Timer)
        request.outcome = "error"
    async with scope.lock_wait("episodes", mode="write"):
        await asyncio.sleep(0)


def series_and_metrics() -> None:
    assert_type(m.LOCK_WAIT, Metric)
    assert_type(scope.counter(m.CACHE_STALE, cache="redb"), scope.Counter)
    assert_type(scope.gauge(m.INDEX_ENTRIES, index="s"), scope.Gauge)
    assert_type(scope.histogram(m.RECALL_DIVERSITY), scope.Histogram)
    scope.gauge(m.MEMORY_WEIGHT, memory="episodic").set(0.7)
    scope.gauge(m.COMPLETIONS_QUEUED).set_function(lambda: 3)
    scope.declare(m.STORAGE_ERRORS, backend="turso", operation="load")


def exporters(registry: scope.Registry) -> None:
    with scope.serve(port=0, registry=registry) as server:
        assert_type(server.port, int)
        assert_type(server.url, str)
    application: Any = scope.asgi_app()
    scope.not_ready("replaying the log", progress=0.4)
    scope.ready()
    del application


def middlewares(app: FastAPI, flask: Flask, registry: scope.Registry) -> None:
    app.add_middleware(scope.ASGIMiddleware, registry=registry, exclude=["/internal"])
    Middleware(scope.ASGIMiddleware, route=lambda where: where.get("own"))
    scope.ASGIMiddleware(app)
    scope.WSGIMiddleware(flask.wsgi_app, route=lambda environ: environ["PATH_INFO"], exclude=())
    request = scope.current_request()
    assert_type(request, RequestRecording | None)
    if request is not None:
        request.route = "/episodes/{id}"
