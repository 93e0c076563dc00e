"""Each kind of probe records what it promises, and a failing callback never reaches the service."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import time

import pytest
from recorded import outcomes, spent, value

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.probes import operation
from mnemoscope.instrumentation.recording.registry import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_lock_wait_counts_waiters_while_it_waits(registry: Registry) -> None:
    with scope.lock_wait("episodes", mode="write", registry=registry):
        assert value(registry, catalog.LOCK_WAITERS, "episodes", "write") == 1
    assert value(registry, catalog.LOCK_WAITERS, "episodes", "write") == 0
    assert value(registry, catalog.LOCK_WAIT_DURATION, "episodes", "write") == 1


def test_a_cache_lookup_is_a_hit_a_miss_or_an_error(registry: Registry) -> None:
    def results() -> tuple[float, ...]:
        return tuple(value(registry, catalog.CACHE_LOOKUPS, "redb", r) for r in ("hit", "miss", "error"))

    cache = {"a": 1}
    with scope.cache_lookup("redb", registry=registry) as lookup:
        lookup.hit = "a" in cache
    decorated = scope.cache_lookup("redb", registry=registry)(cache.get)
    assert decorated("b") is None
    with pytest.raises(ConnectionError), scope.cache_lookup("redb", registry=registry):
        raise ConnectionError
    assert results() == (1, 1, 1)
    nonempty = scope.cache_lookup("redb", is_hit=bool, registry=registry)(lambda *given: list(*given))
    nonempty()
    assert results() == (1, 2, 1)


async def test_completions_in_flight_rise_and_fall_and_their_peak_is_kept(registry: Registry) -> None:
    gate = asyncio.Event()

    @scope.completion(limit=20, registry=registry)
    async def complete() -> None:
        await gate.wait()

    tasks = [asyncio.create_task(complete()) for _ in range(12)]
    await asyncio.sleep(0)
    assert value(registry, catalog.COMPLETION_IN_FLIGHT) == 12
    tasks[0].cancel()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert value(registry, catalog.COMPLETION_IN_FLIGHT) == 0
    assert value(registry, catalog.COMPLETION_IN_FLIGHT_PEAK) == 12
    assert value(registry, catalog.COMPLETION_LIMIT) == 20
    assert value(registry, catalog.COMPLETION_DURATION, "cancelled") == 1


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_a_completion_that_is_never_awaited_or_is_closed_leaves_nothing_in_flight(registry: Registry) -> None:
    @scope.completion(registry=registry)
    async def complete() -> None:
        await asyncio.sleep(60)

    complete()
    gc.collect()
    assert value(registry, catalog.COMPLETION_IN_FLIGHT) == 0
    started = complete()
    started.send(None)
    assert value(registry, catalog.COMPLETION_IN_FLIGHT) == 1
    started.close()
    assert value(registry, catalog.COMPLETION_IN_FLIGHT) == 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "connection"),
        (sqlite3.OperationalError("database is locked"), "busy"),
        (sqlite3.IntegrityError("UNIQUE constraint failed"), "integrity"),
        (sqlite3.DatabaseError("database disk image is malformed"), "corruption"),
        (OSError(28, "No space left on device"), "quota"),
        (KeyError("x"), "other"),
    ],
)
def test_a_storage_error_is_counted_by_its_kind(registry: Registry, error: Exception, kind: str) -> None:
    with pytest.raises(type(error)), scope.storage("turso", "store", registry=registry):
        raise error
    assert value(registry, catalog.STORAGE_ERRORS, "turso", "store", kind) == 1
    assert value(registry, catalog.STORAGE_OPERATION_DURATION, "turso", "store", "error") == 1


def test_an_error_classifier_that_fails_does_not_reach_the_host(registry: Registry) -> None:
    def broken(_error: BaseException) -> str:
        raise RuntimeError

    with pytest.raises(KeyError), scope.storage("turso", "store", kind=broken, registry=registry):
        raise KeyError
    assert value(registry, catalog.STORAGE_ERRORS, "turso", "store", "other") == 1


def test_a_mapping_from_exceptions_takes_precedence_over_the_built_in_rules(registry: Registry) -> None:
    class Throttled(ConnectionError): ...

    for error, kind in ((Throttled(), "quota"), (ConnectionError(), "connection"), (ValueError(), "other")):
        probe = scope.storage("s3", "put", kind={Throttled: "quota", ValueError: "no such kind"}, registry=registry)
        with pytest.raises(type(error)), probe:
            raise error
        assert value(registry, catalog.STORAGE_ERRORS, "s3", "put", kind) == 1


def test_a_predicate_decides_which_exceptions_are_errors_and_a_failing_one_hides_none(registry: Registry) -> None:
    def not_missing(error: Exception) -> bool:
        return not isinstance(error, KeyError)

    @scope.index_write("s", is_error=not_missing, registry=registry)
    def find(error: Exception) -> None:
        raise error

    for error in (KeyError(), ValueError()):
        with pytest.raises(type(error)):
            find(error)
    assert outcomes(registry) == (1, 1, 0)
    with pytest.raises(KeyError), scope.index_write("s", is_error=lambda _e: 1 / 0, registry=registry):  # type: ignore[arg-type, return-value]
        raise KeyError
    assert outcomes(registry) == (1, 2, 0)


async def test_labels_may_come_from_the_calls_arguments(registry: Registry) -> None:
    @scope.per_call(scope.storage, backend="turso", operation=lambda operation, **_: operation, registry=registry)
    async def execute(operation: str, **_options: object) -> str:
        return operation

    assert await execute("load", fast=True) == "load"
    await execute("store")
    assert value(registry, catalog.STORAGE_OPERATION_DURATION, "turso", "load", "ok") == 1
    assert value(registry, catalog.STORAGE_OPERATION_DURATION, "turso", "store", "ok") == 1


def test_a_label_function_that_fails_is_counted_and_does_not_reach_the_host(registry: Registry) -> None:
    @scope.per_call(scope.index_write, index=lambda: "never called so", registry=registry)
    def insert(episode: int) -> int:
        return episode

    assert insert(5) == 5
    assert value(registry, catalog.INDEX_WRITE_DURATION, "other", "ok") == 1
    assert value(registry, catalog.INSTRUMENTATION_DROPPED, catalog.INDEX_WRITE_DURATION.name, "callback") == 1


def test_a_hit_predicate_that_fails_counts_a_miss_and_does_not_reach_the_host(registry: Registry) -> None:
    scope.cache_lookup("redb", is_hit=lambda result: 1 / 0, registry=registry)(lambda: 1)()  # type: ignore[arg-type, return-value]
    assert value(registry, catalog.CACHE_LOOKUPS, "redb", "miss") == 1


def test_a_failed_consolidation_counts_its_episodes_and_concepts(registry: Registry) -> None:
    with pytest.raises(RuntimeError), scope.consolidation(registry=registry) as run:
        run.episodes += 40
        run.concepts += 3
        raise RuntimeError
    assert value(registry, catalog.CONSOLIDATION_DURATION, "error") == 1
    assert value(registry, catalog.CONSOLIDATION_EPISODES) == 40
    assert value(registry, catalog.CONCEPT_FORMED) == 3


def test_a_request_that_answers_5xx_without_raising_can_be_called_an_error(registry: Registry) -> None:
    with scope.request("/recall", registry=registry) as request:
        request.outcome = "error"
    assert value(registry, catalog.REQUEST_DURATION, "/recall", "error") == 1


def test_timing_something_that_is_no_histogram_is_an_error() -> None:
    with pytest.raises(ValueError, match="only a histogram can be timed"):
        scope.timed(catalog.CACHE_LOOKUPS, cache="redb", result="hit", registry=Registry())


def test_a_change_of_the_wall_clock_does_not_change_a_duration(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall, now = 1_000_000.0, 0.0
    monkeypatch.setattr(time, "time", lambda: wall)
    monkeypatch.setattr(operation, "perf_counter", lambda: now)
    with scope.index_write("s", registry=registry):
        wall, now = wall - 3600, 0.25
    with scope.index_write("s", registry=registry):
        wall, now = wall + 7200, 0.75
    assert spent(registry, catalog.INDEX_WRITE_DURATION, "s", "ok") == 0.75
