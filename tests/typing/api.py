"""What type checkers see of the public interface: read by mypy and pyright (`make types`), never run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, assert_type

from fastapi import FastAPI
from flask import Flask
from starlette.middleware import Middleware

import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.catalog import ExposedNames, Metric, Mode, StorageErrorKind
from mnemoscope.testing import Change, Metrics, moved, value


@scope.index_write("spatiotemporal")
def function(a: int, *, b: str = "") -> list[str]:
    return [b] * a


@scope.completion(limit=20)
async def coroutine(a: int) -> bytes:
    return bytes(a)


@scope.recall("flat", results=len)
def search(query: str) -> list[str]:
    return [query]


@scope.recall("flat")
def generator(n: int) -> Iterator[int]:
    yield n


@scope.timed(m.PATTERN_EXTRACTION_DURATION, strategy="decision_point")
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
    @scope.cache_lookup("redb", is_hit=bool)
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
        assert_type(lookup, scope.CacheLookup)
        lookup.hit = True
    with scope.recall("blended") as recall:
        assert_type(recall, scope.Recall)
        recall.results, recall.diversity = 3, 0.5
    async with scope.consolidation() as run:
        assert_type(run, scope.Consolidation)
        run.episodes += 1
    with scope.request("/episodes") as request:
        request.outcome = "error"
    assert_type(request.seconds, float | None)
    with scope.in_flight(m.COMPLETION_QUEUE_DEPTH) as queued:
        assert_type(queued, scope.InFlightOperation)
    async with scope.lock_wait("episodes", mode="write"):
        await asyncio.sleep(0)


def series_and_metrics() -> None:
    assert_type(m.LOCK_WAIT_DURATION, Metric)
    assert_type(scope.counter(m.CACHE_STALE_READS, cache="redb"), scope.Counter)
    assert_type(scope.gauge(m.INDEX_ENTRIES, index="s"), scope.Gauge)
    assert_type(scope.histogram(m.RECALL_DIVERSITY), scope.Histogram)
    scope.gauge(m.MEMORY_WEIGHT, memory="episodic").set(0.7)
    scope.gauge(m.COMPLETION_QUEUE_DEPTH).set_function(lambda: 3)
    scope.declare(m.STORAGE_ERRORS, backend="turso", operation="load")


def the_catalog() -> None:
    mode: Mode = "exclusive"
    kind: StorageErrorKind = "timeout"
    scope.lock_wait("episodes", mode=mode)
    scope.declare(m.STORAGE_ERRORS, backend="turso", operation="load", kind=kind)
    mode = "shared"  # type: ignore[assignment]
    scope.recall("blnded")  # type: ignore[arg-type]
    scope.lock_hold("episodes", mode="shared")  # type: ignore[arg-type]
    own = m.LOCK_WAIT_DURATION.replace(buckets=(1, 2))
    assert_type(own, Metric)
    assert_type(own.labels[0].replace(help="Another"), m.Label)
    assert_type(own.exposed_names(), frozenset[str])
    assert_type(ExposedNames(m.CATALOG).conflict(own), Metric | None)
    own.help = "Another"  # type: ignore[misc]


async def tests_of_a_service(metrics: Metrics) -> None:
    registry = scope.Registry(strict=True)
    assert_type(value(m.STORAGE_ERRORS, backend="s3", kind="timeout"), float)
    assert_type(metrics.value(m.INDEX_ENTRIES, registry=registry, index="s"), float)
    with moved(m.INDEX_WRITE_DURATION, index="s", outcome="ok", by=2, within=(0.0, 0.5), registry=registry) as change:
        assert_type(change, Change)
    assert_type(change.by, float)
    assert_type(change.mean, float)
    assert_type(metrics.moved(m.CACHE_LOOKUPS, cache="redb", result="hit", by=0), Change)
    assert_type(metrics.moved(m.CACHE_LOOKUPS, at_least=1), Change)
    moved(m.CACHE_LOOKUPS, at_least=1, by=1)  # type: ignore[call-overload]
    moved(m.CACHE_LOOKUPS, cache=1)  # type: ignore[call-overload]
    moved("cache.lookups")  # type: ignore[call-overload]
    value(m.CACHE_LOOKUPS, cache=1)  # type: ignore[arg-type]


def exporters(registry: scope.Registry) -> None:
    with scope.serve(port=0, registry=registry) as server:
        assert_type(server, scope.Server)
        assert_type(server.port, int)
        assert_type(server.url, str)
    scope.serve(
        9464,
        "0.0.0.0",
        certfile=Path("server.pem"),
        keyfile="key.pem",
        basic_auth=("prometheus", "secret"),
        timeout=5,
        max_connections=8,
        debug_locks=True,
    ).close()
    pusher = scope.otlp(
        "collector:4317",
        "grpc",
        15,
        timeout=5,
        headers={"authorization": "Bearer abc"},
        resource_attributes={"service.name": "memory"},
        insecure=True,
        registry=registry,
    )
    assert_type(pusher.flush(timeout=2), bool)
    application: Any = scope.asgi_app()
    scope.set_not_ready("replaying the log", progress=0.4)
    scope.set_ready()
    del application


def middlewares(app: FastAPI, flask: Flask, registry: scope.Registry) -> None:
    app.add_middleware(scope.ASGIMiddleware, registry=registry, exclude=["/internal"])
    Middleware(scope.ASGIMiddleware, route=lambda where: where.get("own"))
    scope.ASGIMiddleware(app)
    scope.WSGIMiddleware(flask.wsgi_app, route=lambda environ: environ["PATH_INFO"], exclude=())
    request = scope.current_request()
    assert_type(request, scope.RequestRecording | None)
    if request is not None:
        request.route = "/episodes/{id}"
