"""A probe times every kind of callable to its end, and refuses anything else with one line."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import types
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import pytest
from recorded import outcomes, value

import mnemoscope as scope
from mnemoscope import catalog as m


@pytest.fixture
def registry() -> scope.Registry:
    return scope.Registry()


def behind_a_plain_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Steps:
    """Time that passes only while the code under test waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def wait(self) -> None:
        self.now += 1.0
        await asyncio.sleep(0)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    from mnemoscope.instrumentation.probes import decorate, operation

    clock = Steps()
    for module in (decorate, operation):
        monkeypatch.setattr(module, "perf_counter", clock)
    return clock


@pytest.mark.parametrize("probe", ["index_write", "storage"])
async def test_an_async_function_behind_a_plain_wrapper_is_timed_over_its_run(
    registry: scope.Registry, steps: Steps, probe: str
) -> None:
    metric, made = (
        (m.INDEX_WRITE_DURATION, scope.index_write("s", registry=registry))
        if probe == "index_write"
        else (m.STORAGE_OPERATION_DURATION, scope.storage("s", "load", registry=registry))
    )
    labels = ("s",) if probe == "index_write" else ("s", "load")

    @made
    @behind_a_plain_wrapper
    async def work(fails: bool) -> str:
        await steps.wait()
        if fails:
            raise KeyError
        return "done"

    pending = work(False)
    steps.now += 10  # before it is awaited
    assert await pending == "done"
    with pytest.raises(KeyError):
        await work(True)
    assert outcomes(registry, metric, *labels) == (1, 1, 0)
    assert registry.histogram(metric, **dict(zip(metric.label_names, (*labels, "ok"), strict=True))).point().sum == 1.0


async def test_a_coroutine_from_a_plain_wrapper_that_is_never_awaited_leaves_nothing_in_flight(
    registry: scope.Registry,
) -> None:
    @scope.completion(registry=registry)
    @behind_a_plain_wrapper
    async def complete() -> None: ...

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pending = complete()
        assert value(registry, m.COMPLETION_IN_FLIGHT) == 0
        del pending
        gc.collect()
    await complete()
    assert outcomes(registry, m.COMPLETION_DURATION) == (1, 0, 0)
    assert value(registry, m.COMPLETION_IN_FLIGHT) == 0


async def test_a_generator_based_coroutine_stays_awaitable(registry: scope.Registry) -> None:
    @scope.index_write("s", registry=registry)
    @types.coroutine
    def old_style() -> Generator[Any, Any, str]:
        yield from asyncio.sleep(0).__await__()
        return "done"

    assert inspect.isawaitable(old_style())
    assert await old_style() == "done"
    gc.collect()
    assert outcomes(registry)[0] == 1


async def test_an_async_generator_that_is_called_with_wrong_arguments_leaves_nothing_in_flight(
    registry: scope.Registry,
) -> None:
    @scope.completion(registry=registry)
    async def rows(n: int) -> AsyncIterator[int]:
        yield n

    with pytest.raises(TypeError):
        async for _ in rows(1, 2, 3):  # type: ignore[call-arg]
            pass
    assert value(registry, m.COMPLETION_IN_FLIGHT) == 0
    assert outcomes(registry, m.COMPLETION_DURATION) == (0, 1, 0)
    assert [n async for n in rows(1)] == [1]
    assert value(registry, m.COMPLETION_IN_FLIGHT) == 0


class Owner:
    @property
    def computed(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        (vars(Owner)["computed"], "a property: decorate its getter, below @property"),
        (Owner, "the class Owner: decorate its methods"),
        (functools.cached_property(len), "a cached_property"),
        (functools.partialmethod(len), "a partialmethod"),
        (3, "a int"),
        (None, "a NoneType"),
    ],
)
def test_decorating_anything_but_a_function_or_method_raises_there(
    registry: scope.Registry, target: Any, complaint: str
) -> None:
    for probe in (
        scope.index_write("s", registry=registry),
        scope.storage("s", "o", registry=registry),
        scope.per_call(scope.index_write, index="s", registry=registry),
    ):
        with pytest.raises(TypeError, match="a probe decorates functions and methods, not " + complaint):
            probe(target)


@pytest.mark.parametrize("name", ["index_write", "vector_search", "lock_wait", "lock_hold", "cache_lookup", "request"])
def test_a_decorator_without_its_label_raises_at_decoration(name: str) -> None:
    with pytest.raises(TypeError, match=rf'scope\.{name} takes the \w+ first; as a decorator, write @scope\.{name}\("'):
        getattr(scope, name)(lambda: None)


@pytest.mark.parametrize("name", ["completion", "consolidation"])
def test_a_decorator_without_its_parentheses_raises_at_decoration(name: str) -> None:
    with pytest.raises(TypeError, match=rf"write @scope\.{name}\(\)"):
        getattr(scope, name)(lambda: None)


@pytest.mark.parametrize(
    ("factory", "arguments", "complaint"),
    [
        (scope.storage, {"backend": "turso"}, "missing a required argument: 'operation'"),
        (scope.storage, {"backend": "turso", "operatoin": "x", "operation": "y"}, "unexpected keyword argument"),
        (scope.index_write, {}, "missing a required argument: 'index'"),
    ],
)
def test_a_missing_or_misspelt_label_is_refused_by_per_call_itself(
    factory: Any, arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(TypeError, match=rf"per_call\(scope\.{factory.__name__}\): .*{complaint}"):
        scope.per_call(factory, **arguments)


def test_per_call_passes_options_on_unchanged(registry: scope.Registry) -> None:
    @scope.per_call(
        scope.storage,
        backend="turso",
        operation=lambda name: name,
        is_error=lambda error: not isinstance(error, KeyError),
        registry=registry,
    )
    def load(name: str) -> None:
        raise KeyError(name)

    with pytest.raises(KeyError):
        load("get")
    assert outcomes(registry, m.STORAGE_OPERATION_DURATION, "turso", "get") == (1, 0, 0)


def test_per_call_takes_a_metric_of_the_services_own(registry: scope.Registry) -> None:
    @scope.per_call(
        functools.partial(scope.timed, m.PATTERN_EXTRACTION_DURATION), strategy=lambda s: s, registry=registry
    )
    def extract(strategy: str) -> None: ...

    extract("decision_point")
    names = m.PATTERN_EXTRACTION_DURATION.label_names
    labels = {"strategy": "decision_point", **({"outcome": "ok"} if "outcome" in names else {})}
    assert registry.histogram(m.PATTERN_EXTRACTION_DURATION, **labels).point().observations == 1


@pytest.mark.parametrize("decorated", [True, False])
async def test_a_recall_counts_its_results_in_every_form(registry: scope.Registry, decorated: bool) -> None:
    async def search(found: list[int]) -> list[int]:
        return found

    if decorated:
        search = scope.recall("blended", results=len, registry=registry)(search)
    for found in ([1, 2], []):
        if decorated:
            assert await search(found) == found
        else:
            with scope.recall("blended", registry=registry) as recall:
                recall.results = len(await search(found))
    results = registry.histogram(m.RECALL_RESULTS, path="blended").point()
    assert (results.observations, results.sum) == (2, 2)
    assert value(registry, m.RECALL_EMPTY, "blended") == 1


def test_a_gauge_of_the_services_own_counts_work_in_flight_and_its_peak(registry: scope.Registry) -> None:
    now = m.COMPLETION_QUEUE_DEPTH.replace(name="acme.exports.running", labels=(m.Label("shard", "shard"),))
    peak = now.replace(name="acme.exports.peak")
    export = scope.in_flight(now, peak=peak, shard="a", registry=registry)

    @export
    def nested() -> float:
        with export:
            return value(registry, now, "a")

    assert nested() == 2
    assert value(registry, now, "a") == 0
    assert value(registry, peak, "a") == 2
    with pytest.raises(ValueError, match="is a histogram, not a gauge"):
        scope.in_flight(m.INDEX_WRITE_DURATION, registry=registry)


async def test_every_probe_returns_awaitables_unchanged(registry: scope.Registry) -> None:
    @scope.completion(registry=registry)
    def future() -> Awaitable[str]:
        made = asyncio.get_running_loop().create_future()
        made.set_result("done")
        return made

    assert await future() == "done"
