"""The probes of an agent-memory service, by the names a service author types.

Each is a decorator and a context manager, for functions, coroutines, generators, async generators and methods.
None raises into the service and none waits for another thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from . import catalog
from .catalog import Kind, Metric
from .errors import error_kind
from .operation import ERROR, OK, Operation, Probe
from .registry import Registry, default_registry


class Timed(Operation):
    """An operation whose duration is recorded, by outcome where the metric has that label."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record = record
        super().__init__()

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._record(seconds, outcome)


Record = Callable[[float, str], None]


def _recorder(registry: Registry, metric: Metric, pairs: tuple[tuple[str, str], ...] = ()) -> Record:
    """A function that records a duration; every outcome exists from the start, at zero."""
    labels = dict(pairs)
    if metric.kind is not Kind.HISTOGRAM:
        raise ValueError(f"{metric.name} is a {metric.kind.value}; only a histogram can be timed")
    if "outcome" in metric.label_names and "outcome" not in labels:
        values = metric.label("outcome").values
        by_outcome = {value: registry.histogram(metric, outcome=value, **labels).observe for value in values}
        fallback = by_outcome.get(ERROR, by_outcome[values[0]])
        return lambda seconds, outcome: by_outcome.get(outcome, fallback)(seconds)
    observe = registry.histogram(metric, **labels).observe
    return lambda seconds, outcome: observe(seconds)


def timed(metric: Metric, /, *, registry: Registry | None = None, **labels: str) -> Probe[Timed]:
    """Record how long something takes in any histogram of the catalog, or of your own, that counts seconds.

    A label `outcome` is filled in (`ok`, `error`, `cancelled`) unless it is given.

    Raises:
        ValueError: the metric is no histogram, or the labels are not the metric's.
    """
    record = (registry or default_registry()).memo(_recorder, metric, tuple(labels.items()))
    return Probe(partial(Timed, record))


def lock_wait(lock: str, mode: str = "exclusive", *, registry: Registry | None = None) -> Probe[Timed]:
    """Record the time from here to the end of the block as a wait for `lock`; put it around any acquire.

    Args:
        lock: name of the lock.
        mode: `exclusive`, `read` or `write`.
    """
    return Probe((registry or default_registry()).memo(_lock_wait, lock, mode))


def _lock_wait(registry: Registry, lock: str, mode: str) -> Callable[[], Timed]:
    waiters = registry.gauge(catalog.LOCK_WAITERS, lock=lock, mode=mode)
    observe = registry.histogram(catalog.LOCK_WAIT, lock=lock, mode=mode).observe

    def record(seconds: float, outcome: str) -> None:
        waiters.dec()
        observe(seconds)

    def start() -> Timed:
        waiters.inc()
        return Timed(record)

    return start


def lock_hold(lock: str, mode: str = "exclusive", *, registry: Registry | None = None) -> Probe[Timed]:
    """Record how long the block, or the decorated call, holds `lock`."""
    return timed(catalog.LOCK_HOLD, registry=registry, lock=lock, mode=mode)


def index_write(index: str, *, registry: Registry | None = None) -> Probe[Timed]:
    """Record duration and outcome of one write to `index`."""
    return timed(catalog.INDEX_WRITE, registry=registry, index=index)


def vector_search(index: str, *, registry: Registry | None = None) -> Probe[Timed]:
    """Record the duration of one search in `index`."""
    return timed(catalog.VECTOR_SEARCH, registry=registry, index=index)


def request(route: str, *, registry: Registry | None = None) -> Probe[Timed]:
    """Record duration and outcome of one request; `route` is the template (`/episodes/{id}`), never the raw path.

    A caller's mistake (a 4xx answer) is `ok` for availability; set `request.outcome = "error"` for a 5xx that was
    answered without an exception.
    """
    return timed(catalog.REQUEST_DURATION, registry=registry, route=route)


class Lookup(Timed):
    """A cache lookup; set `hit` before its end. Unset counts as a miss, an exception as an error."""

    __slots__ = ("_is_hit", "hit")

    def __init__(self, record: Record, is_hit: Callable[[Any], bool]) -> None:
        self.hit = False
        self._is_hit = is_hit
        super().__init__(record)

    def returned(self, result: Any) -> None:
        self.hit = self._is_hit(result)

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._record(seconds, "error" if outcome != OK else "hit" if self.hit else "miss")


def _found(result: Any) -> bool:
    return result is not None


def cache_lookup(cache: str, hit: Callable[[Any], bool] = _found, *, registry: Registry | None = None) -> Probe[Lookup]:
    """Record one lookup in `cache`: its duration, and whether it hit. The ratio is computed from the counts.

    Args:
        cache: name of the cache or its backend.
        hit: for a decorated lookup, tells from the result whether it hit; by default, whether it is not None.

    In a block: `with cache_lookup("redb") as lookup: lookup.hit = (value := cache.get(key)) is not None`.
    """
    record = (registry or default_registry()).memo(_lookup_recorder, cache)
    return Probe(partial(Lookup, record, hit))


def _lookup_recorder(registry: Registry, cache: str) -> Record:
    results = {
        result: registry.counter(catalog.CACHE_LOOKUPS, cache=cache, result=result).inc
        for result in catalog.CACHE_LOOKUPS.label("result").values
    }
    observe = registry.histogram(catalog.CACHE_LOOKUP_DURATION, cache=cache).observe

    def record(seconds: float, result: str) -> None:
        results[result]()
        observe(seconds)

    return record


class Completion(Timed):
    """A completion under way; it is one of those in flight until its end."""

    __slots__ = ("_leave",)

    def __init__(self, record: Record, enter: Callable[[object], None], leave: Callable[[object], None]) -> None:
        self._leave = leave
        super().__init__(record)
        enter(self)

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._leave(self)
        self._record(seconds, outcome)


def completion(*, limit: int | None = None, registry: Registry | None = None) -> Probe[Completion]:
    """Record a completion: how many run at once, now and at peak, how long each takes and how it ends.

    Args:
        limit: how many the service lets run at once, if it has a limit; exported beside the number.
    """
    return Probe((registry or default_registry()).memo(_completion, limit))


def _completion(registry: Registry, limit: int | None) -> Callable[[], Completion]:
    tracker = registry.in_flight(catalog.COMPLETIONS_IN_FLIGHT)
    registry.gauge(catalog.COMPLETIONS_IN_FLIGHT).set_function(tracker.now)
    registry.gauge(catalog.COMPLETIONS_PEAK).set_function(tracker.peak)
    if limit is not None:
        registry.gauge(catalog.COMPLETIONS_LIMIT).set(limit)
    return partial(Completion, _recorder(registry, catalog.COMPLETION_DURATION), tracker.enter, tracker.leave)


class StorageOperation(Timed):
    """A storage operation; a failed one is also counted by the class of its error."""

    __slots__ = ("_failed",)

    def __init__(self, record: Record, failed: Callable[[BaseException | None], None]) -> None:
        self._failed = failed
        super().__init__(record)

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._record(seconds, outcome)
        if outcome == ERROR:
            self._failed(error)


def storage(
    backend: str,
    operation: str,
    *,
    kind: Callable[[BaseException], str] = error_kind,
    registry: Registry | None = None,
) -> Probe[StorageOperation]:
    """Record one storage operation: duration, outcome, and each error by its class.

    Args:
        backend: name of the store.
        operation: what is asked of it, such as `store_episode`.
        kind: turns an exception into one of the error kinds of `storage.errors`; anything else counts as `other`.
    """
    return Probe((registry or default_registry()).memo(_storage, backend, operation, kind))


def _storage(
    registry: Registry, backend: str, operation: str, kind: Callable[[BaseException], str]
) -> Callable[[], StorageOperation]:
    record = _recorder(registry, catalog.STORAGE_DURATION, (("backend", backend), ("operation", operation)))
    errors = {
        value: registry.counter(catalog.STORAGE_ERRORS, backend=backend, operation=operation, kind=value).inc
        for value in catalog.STORAGE_ERRORS.label("kind").values
    }

    def failed(error: BaseException | None) -> None:
        try:
            name = kind(error) if error is not None else "other"
        except Exception:
            name = "other"
            registry.drop(catalog.STORAGE_ERRORS, "callback", 1)
        errors.get(name, errors["other"])()

    return partial(StorageOperation, record, failed)


class Recall(Timed):
    """A recall; set `results` to the number of memories it found, and `diversity` to their score, 0 to 1."""

    __slots__ = ("_registry", "diversity", "path", "results")

    def __init__(self, record: Record, registry: Registry, path: str) -> None:
        self._registry = registry
        self.path = path
        self.results: int | None = None
        self.diversity: float | None = None
        super().__init__(record)

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._record(seconds, outcome)
        if self.results is not None:
            self._registry.histogram(catalog.RECALL_RESULTS, path=self.path).observe(self.results)
            if self.results == 0:
                self._registry.counter(catalog.RECALL_EMPTY, path=self.path).inc()
        if self.diversity is not None:
            self._registry.histogram(catalog.RECALL_DIVERSITY).observe(self.diversity)


def recall(path: str, *, registry: Registry | None = None) -> Probe[Recall]:
    """Record one recall: duration and outcome by `path` (`hierarchical`, `flat` or `blended`).

    In a block, `as op: op.results = len(found)` records how much it found, and counts it if that is nothing.
    """
    return Probe((registry or default_registry()).memo(_recall, path))


def _recall(registry: Registry, path: str) -> Callable[[], Recall]:
    registry.declare(catalog.RECALL_EMPTY, path=path)
    return partial(Recall, _recorder(registry, catalog.RECALL_DURATION, (("path", path),)), registry, path)


class Consolidation(Timed):
    """A consolidation run; set `episodes` it worked through and `concepts` it formed, or add to them as it goes."""

    __slots__ = ("_registry", "concepts", "episodes")

    def __init__(self, record: Record, registry: Registry) -> None:
        self._registry = registry
        self.episodes = 0
        self.concepts = 0
        super().__init__(record)

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._record(seconds, outcome)
        self._registry.counter(catalog.CONSOLIDATED_EPISODES).inc(self.episodes)
        self._registry.counter(catalog.CONCEPTS_FORMED).inc(self.concepts)


def consolidation(*, registry: Registry | None = None) -> Probe[Consolidation]:
    """Record one consolidation run: duration, outcome, episodes worked through and concepts formed."""
    return Probe((registry or default_registry()).memo(_consolidation))


def _consolidation(registry: Registry) -> Callable[[], Consolidation]:
    registry.declare(catalog.CONSOLIDATED_EPISODES, catalog.CONCEPTS_FORMED)
    return partial(Consolidation, _recorder(registry, catalog.CONSOLIDATION_DURATION), registry)
