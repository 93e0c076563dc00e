"""Probes on every kind of callable and as context managers: time, outcome, and nothing else changed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import pickle
import threading
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

import pytest
from recorded import outcomes, spent, value

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.probes import operation
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint

PAUSE = 0.02


@pytest.fixture
def registry() -> Registry:
    return Registry()


# Decorators ---------------------------------------------------------------------------------------


def test_a_function_is_timed_and_its_result_and_errors_pass_through(registry: Registry) -> None:
    @scope.index_write("s", registry=registry)
    def insert(n: int) -> int:
        time.sleep(PAUSE)
        return 10 // n

    assert insert(2) == 5
    with pytest.raises(ZeroDivisionError):
        insert(0)
    assert outcomes(registry) == (1, 1, 0)
    assert spent(registry, catalog.INDEX_WRITE_DURATION, "s", "ok") >= PAUSE


async def test_a_coroutine_is_timed_from_its_first_step_to_its_end_not_at_creation(registry: Registry) -> None:
    @scope.index_write("s", registry=registry)
    async def insert() -> str:
        await asyncio.sleep(PAUSE)
        return "done"

    pending = insert()
    assert outcomes(registry) == (0, 0, 0)
    assert await pending == "done"
    assert outcomes(registry) == (1, 0, 0)
    assert spent(registry, catalog.INDEX_WRITE_DURATION, "s", "ok") >= PAUSE * 0.9


async def test_a_cancelled_coroutine_is_neither_a_success_nor_an_error(registry: Registry) -> None:
    begun = asyncio.Event()

    @scope.index_write("s", registry=registry)
    async def insert() -> None:
        begun.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(insert())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcomes(registry) == (0, 0, 1)


def test_a_generator_is_timed_over_its_whole_iteration(registry: Registry) -> None:
    @scope.index_write("s", registry=registry)
    def rows() -> Iterator[int]:
        yield 1
        time.sleep(PAUSE)
        yield 2

    iterator = rows()
    assert outcomes(registry) == (0, 0, 0)
    assert list(iterator) == [1, 2]
    assert outcomes(registry) == (1, 0, 0)
    assert spent(registry, catalog.INDEX_WRITE_DURATION, "s", "ok") >= PAUSE


def test_send_throw_and_close_reach_a_decorated_generator(registry: Registry) -> None:
    seen: list[Any] = []

    @scope.index_write("s", registry=registry)
    def echo() -> Any:
        try:
            seen.append((yield "first"))
            try:
                yield "second"
            except KeyError:
                seen.append("thrown")
            yield "third"
        finally:
            seen.append("closed")

    generator = echo()
    assert next(generator) == "first"
    assert generator.send("sent") == "second"
    assert generator.throw(KeyError()) == "third"
    generator.close()
    assert seen == ["sent", "thrown", "closed"]
    assert outcomes(registry) == (0, 0, 1)


async def test_send_throw_and_close_reach_a_decorated_async_generator(registry: Registry) -> None:
    seen: list[Any] = []

    @scope.index_write("s", registry=registry)
    async def echo() -> Any:
        try:
            seen.append((yield "first"))
            try:
                yield "second"
            except KeyError:
                seen.append("thrown")
            yield "third"
        finally:
            seen.append("closed")

    generator = echo()
    assert await generator.__anext__() == "first"
    assert await generator.asend("sent") == "second"
    assert await generator.athrow(KeyError()) == "third"
    await generator.aclose()
    assert seen == ["sent", "thrown", "closed"]
    assert outcomes(registry) == (0, 0, 1)


async def test_an_async_generator_is_timed_to_its_end(registry: Registry) -> None:
    @scope.index_write("s", registry=registry)
    async def rows() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(PAUSE)
        yield 2

    assert [row async for row in rows()] == [1, 2]
    assert outcomes(registry) == (1, 0, 0)
    assert spent(registry, catalog.INDEX_WRITE_DURATION, "s", "ok") >= PAUSE * 0.9


class Store:
    registry = Registry()

    @scope.index_write("s", registry=registry)
    def method(self) -> Store:
        return self

    @scope.index_write("s", registry=registry)
    @classmethod
    def on_class(cls) -> type:
        return cls

    @classmethod
    @scope.index_write("s", registry=registry)
    def under_class(cls) -> type:
        return cls

    @scope.index_write("s", registry=registry)
    @staticmethod
    def static(x: int) -> int:
        return x

    async def __call__(self) -> int:
        return 1


async def test_methods_of_all_kinds_partials_and_callable_objects_work() -> None:
    store, registry = Store(), Store.registry
    probe = scope.index_write("s", registry=registry)
    assert store.method() is store
    assert store.on_class() is Store
    assert Store.under_class() is Store
    assert store.static(3) == 3
    assert probe(functools.partial(divmod, 7))(2) == (3, 1)
    assert await probe(store)() == 1
    assert await probe(functools.partial(store.__call__))() == 1
    assert await probe(functools.partial(store))() == 1
    assert outcomes(registry) == (8, 0, 0)
    # The wrapper of a coroutine function, however deep that is wrapped, is a coroutine function too.
    for wrapped in (store, functools.partial(store), functools.partial(functools.partial(store.__call__))):
        assert inspect.iscoroutinefunction(probe(wrapped))


@scope.index_write("pickled", registry=Registry())
def module_level(a: int, *, b: str = "x") -> tuple[int, str]:
    """Documented."""
    return a, b


def test_a_decorated_function_looks_and_pickles_as_before() -> None:
    plain = module_level.__wrapped__  # type: ignore[attr-defined]
    assert inspect.signature(module_level) == inspect.signature(plain)
    assert (module_level.__name__, module_level.__doc__) == ("module_level", "Documented.")
    assert pickle.loads(pickle.dumps(module_level)) is module_level


def test_inspect_sees_the_same_kind_of_function(registry: Registry) -> None:
    async def coroutine() -> None: ...
    def generator() -> Iterator[None]:
        yield

    async def async_generator() -> AsyncIterator[None]:
        yield

    probe = scope.index_write("s", registry=registry)
    for function, test in (
        (coroutine, inspect.iscoroutinefunction),
        (generator, inspect.isgeneratorfunction),
        (async_generator, inspect.isasyncgenfunction),
    ):
        assert test(probe(function))
    assert not inspect.iscoroutinefunction(probe(len))


if hasattr(inspect, "markcoroutinefunction"):  # from Python 3.12 on

    async def test_a_function_marked_as_a_coroutine_function_is_timed_to_the_end_of_its_coroutine(
        registry: Registry,
    ) -> None:
        @scope.index_write("s", registry=registry)
        @inspect.markcoroutinefunction
        def begins() -> Coroutine[Any, Any, None]:
            return asyncio.sleep(PAUSE)

        assert inspect.iscoroutinefunction(begins)
        await begins()
        assert registry.histogram(catalog.INDEX_WRITE_DURATION, index="s", outcome="ok").point().sum >= PAUSE * 0.9


async def test_endless_calls_are_folded_and_do_not_fill_the_memory(registry: Registry) -> None:
    probe = scope.index_write("s", registry=registry)
    calls, journal = 200_000, registry.histogram(catalog.INDEX_WRITE_DURATION, index="s", outcome="ok").journal
    function, coroutine = probe(len), probe(asyncio.sleep)
    longest = 0
    for _ in range(calls):
        function(())
        longest = max(longest, len(journal))
    for _ in range(1000):
        await coroutine(0)
    assert longest < calls / 10
    assert len(journal) < calls / 10
    assert outcomes(registry) == (calls + 1000, 0, 0)


# Context managers ---------------------------------------------------------------------------------


def test_one_probe_can_be_entered_again_inside_itself(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(operation, "perf_counter", lambda: now)
    probe = scope.index_write("s", registry=registry)
    with probe as outer:
        now = 1.0
        with probe as inner:
            now = 3.0
        now = 7.0
    assert (outer.seconds, inner.seconds) == (7.0, 2.0)
    assert spent(registry, catalog.INDEX_WRITE_DURATION, "s", "ok") == 9.0
    assert outcomes(registry) == (2, 0, 0)


async def test_one_probe_shared_by_tasks_that_end_out_of_order_gives_each_its_own_time(registry: Registry) -> None:
    probe = scope.recall("flat", registry=registry)

    async def recall(n: int) -> None:
        async with probe as operation:
            await asyncio.sleep(0.01 * (5 - n))
            operation.results = n

    await asyncio.gather(*(recall(n) for n in range(5)))
    results = next(f for f in registry.snapshot().families if f.metric is catalog.RECALL_RESULTS).points[0]
    assert isinstance(results, HistogramPoint)
    assert (results.observations, results.sum) == (5, 10)
    assert value(registry, catalog.RECALL_EMPTY, "flat") == 1
    assert spent(registry, catalog.RECALL_DURATION, "flat", "ok") >= 0.15 * 0.9


def test_one_probe_shared_by_threads_pairs_each_end_with_its_own_begin(registry: Registry) -> None:
    probe = scope.recall("flat", registry=registry)
    barrier = threading.Barrier(4)
    mine: list[bool] = []

    def work(n: int) -> None:
        barrier.wait()
        for _ in range(500):
            with probe as operation:
                operation.results = n
                mine.append(operation.results == n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine)
    assert value(registry, catalog.RECALL_DURATION, "flat", "ok") == 2000
    assert value(registry, catalog.RECALL_EMPTY, "flat") == 500


def test_a_block_that_is_left_in_another_thread_ends_its_own_operation(registry: Registry) -> None:
    probe = scope.recall("flat", registry=registry)

    def block(results: int) -> Iterator[None]:
        with probe as operation:
            operation.results = results
            yield

    blocks = [block(n) for n in range(1, 6)]
    for one in blocks:
        next(one)
    for one in reversed(blocks[1:]):
        thread = threading.Thread(target=one.close)
        thread.start()
        thread.join()
    assert outcomes(registry, catalog.RECALL_DURATION, "flat") == (0, 0, 4)
    assert list(blocks[0]) == []
    assert outcomes(registry, catalog.RECALL_DURATION, "flat") == (1, 0, 4)
    assert probe._open == {}


def test_a_shared_probe_in_exit_stacks_of_several_threads_pairs_every_begin_with_one_end(registry: Registry) -> None:
    probe = scope.completion(registry=registry)
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        for _ in range(200):
            with contextlib.ExitStack() as stack:
                operations = [stack.enter_context(probe) for _ in range(3)]
                assert len(set(map(id, operations))) == 3

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes(registry, catalog.COMPLETION_DURATION) == (2400, 0, 0)
    assert value(registry, catalog.COMPLETION_IN_FLIGHT) == 0
    assert probe._open == {}


def test_a_probe_that_is_left_without_having_been_entered_does_nothing(registry: Registry) -> None:
    probe = scope.index_write("s", registry=registry)
    probe.__exit__(None, None, None)
    assert outcomes(registry) == (0, 0, 0)


def test_the_duration_and_the_outcome_of_a_block_can_be_read_after_it(registry: Registry) -> None:
    with scope.index_write("s", registry=registry) as write:
        assert write.seconds is None
        time.sleep(PAUSE)
    assert write.seconds is not None
    assert write.seconds >= PAUSE
    assert write.outcome == "ok"
    assert spent(registry, catalog.INDEX_WRITE_DURATION, "s", "ok") == write.seconds
