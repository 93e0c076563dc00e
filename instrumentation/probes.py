"""The probes of an agent-memory service, by the names a service author types.

Each is a decorator and a context manager, for functions, coroutines, generators, async generators and methods.
None raises into the service and none waits for another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import catalog
from .catalog import Metric
from .errors import ErrorKind, error_kind, mapped
from .locks.hooks import waiters_of
from .operation import ERROR, OK, IsError, Probe, Sink
from .registry import Registry, default_registry
from .timing import Durations, Timer, timer


def timed(
    metric: Metric, /, *, is_error: IsError | None = None, registry: Registry | None = None, **labels: str
) -> Timer:
    """Record how long something takes in any histogram of the catalog, or of your own, that counts seconds.

    A label `outcome` is filled in (`ok`, `error`, `cancelled`) unless it is given.

    Raises:
        ValueError: the metric is no histogram, or the labels are not the metric's.
    """
    return Timer((registry or default_registry()).memo(_durations, metric, is_error, *labels.items()))


def _durations(registry: Registry, metric: Metric, is_error: IsError | None, *labels: tuple[str, str]) -> Durations:
    return Durations(registry, metric, is_error, **dict(labels))


def lock_hold(lock: str, mode: str = "exclusive", *, registry: Registry | None = None) -> Timer:
    """Record how long the block, or the decorated call, holds `lock`."""
    return timer(registry, (catalog.LOCK_HOLD, None, lock, mode))


def index_write(index: str, *, is_error: IsError | None = None, registry: Registry | None = None) -> Timer:
    """Record duration and outcome of one write to `index`."""
    return timer(registry, (catalog.INDEX_WRITE, is_error, index))


def vector_search(index: str, *, is_error: IsError | None = None, registry: Registry | None = None) -> Timer:
    """Record the duration of one search in `index`."""
    return timer(registry, (catalog.VECTOR_SEARCH, is_error, index))


def request(route: str, *, is_error: IsError | None = None, registry: Registry | None = None) -> Timer:
    """Record duration and outcome of one request; `route` is the template (`/episodes/{id}`), never the raw path.

    A caller's mistake (a 4xx answer) is `ok` for availability; set `request.outcome = "error"` for a 5xx that was
    answered without an exception.
    """
    return timer(registry, (catalog.REQUEST_DURATION, is_error, route))


def lock_wait(lock: str, mode: str = "exclusive", *, registry: Registry | None = None) -> Wait:
    """Record the time from here to the end of the block as a wait for `lock`; put it around any acquire.

    Args:
        lock: name of the lock.
        mode: `exclusive`, `read` or `write`.
    """
    return Wait((registry or default_registry()).memo(_Waits, lock, mode))


class _Waits(Sink):
    """Series of the waits for one lock."""

    __slots__ = ("wait", "waiters")

    def __init__(self, registry: Registry, lock: str, mode: str) -> None:
        super().__init__()
        self.waiters = waiters_of(registry, lock, mode)
        self.wait = registry.histogram(catalog.LOCK_WAIT, lock=lock, mode=mode)


class Wait(Probe):
    """A wait for a lock; who waits is counted until its end."""

    __slots__ = ()
    sink: _Waits

    def begin(self) -> None:
        self.sink.waiters.enter(self)
        super().begin()

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self.sink.waiters.leave(self)
        self.sink.wait.observe(seconds)


def found(result: Any) -> bool:
    """Whether a lookup's result is a hit, unless the service says otherwise: it is not None."""
    return result is not None


def cache_lookup(cache: str, hit: Callable[[Any], bool] = found, *, registry: Registry | None = None) -> Lookup:
    """Record one lookup in `cache`: its duration, and whether it hit. The ratio is computed from the counts.

    Args:
        cache: name of the cache or its backend.
        hit: for a decorated lookup, tells from the result whether it hit; by default, whether it is not None.

    In a block: `with cache_lookup("redb") as lookup: lookup.hit = (value := cache.get(key)) is not None`.
    """
    return Lookup((registry or default_registry()).memo(_Lookups, cache, hit))


class _Lookups(Sink):
    """Series of the lookups in one cache."""

    __slots__ = ("duration", "error", "hit", "is_hit", "miss", "registry")

    def __init__(self, registry: Registry, cache: str, is_hit: Callable[[Any], bool]) -> None:
        super().__init__()
        self.registry = registry
        self.is_hit = is_hit
        self.hit, self.miss, self.error = (
            registry.counter(catalog.CACHE_LOOKUPS, cache=cache, result=result) for result in ("hit", "miss", "error")
        )
        self.duration = registry.histogram(catalog.CACHE_LOOKUP_DURATION, cache=cache)


class Lookup(Probe):
    """A cache lookup; set `hit` before its end. Unset counts as a miss, an exception as an error."""

    __slots__ = ("hit",)
    sink: _Lookups

    def begin(self) -> None:
        self.hit = False
        super().begin()

    def returned(self, result: Any) -> None:
        try:
            self.hit = bool(self.sink.is_hit(result))
        except Exception:
            self.sink.registry.drop(catalog.CACHE_LOOKUPS, "callback", 1)

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        sink = self.sink
        result = sink.error if outcome != OK else sink.hit if self.hit else sink.miss
        result.inc()
        sink.duration.observe(seconds)


def completion(
    *, limit: int | None = None, is_error: IsError | None = None, registry: Registry | None = None
) -> Completion:
    """Record a completion: how many run at once, now and at peak, how long each takes and how it ends.

    Args:
        limit: how many the service lets run at once, if it has a limit; exported beside the number.
    """
    return Completion((registry or default_registry()).memo(_Completions, limit, is_error))


class _Completions(Sink):
    """Series of the completions, and those under way."""

    __slots__ = ("durations", "under_way")

    def __init__(self, registry: Registry, limit: int | None, is_error: IsError | None) -> None:
        super().__init__(is_error)
        self.durations = Durations(registry, catalog.COMPLETION_DURATION, is_error)
        self.under_way = registry.in_flight(catalog.COMPLETIONS_IN_FLIGHT)
        registry.gauge(catalog.COMPLETIONS_IN_FLIGHT).set_function(self.under_way.now)
        registry.gauge(catalog.COMPLETIONS_PEAK).set_function(self.under_way.peak)
        if limit is not None:
            registry.gauge(catalog.COMPLETIONS_LIMIT).set(limit)


class Completion(Probe):
    """A completion under way; it is one of those in flight until its end."""

    __slots__ = ()
    sink: _Completions

    def begin(self) -> None:
        self.sink.under_way.enter(self)
        super().begin()

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self.sink.under_way.leave(self)
        self.sink.durations.record(seconds, outcome)


def storage(
    backend: str,
    operation: str,
    *,
    kind: ErrorKind | Mapping[type[BaseException], str] = error_kind,
    is_error: IsError | None = None,
    registry: Registry | None = None,
) -> StorageOperation:
    """Record one storage operation: duration, outcome, and each error by its class.

    Args:
        backend: name of the store.
        operation: what is asked of it, such as `store_episode`.
        kind: turns an exception into one of the error kinds of `storage.errors`; anything else counts as `other`.
            A mapping from exception types is asked first, the built-in rules for what it does not name.
        is_error: says whether an exception is a failure; by default each is.
    """
    rules = tuple(kind.items()) if isinstance(kind, Mapping) else kind
    return StorageOperation(
        (registry or default_registry()).memo(_StorageOperations, backend, operation, rules, is_error)
    )


class _StorageOperations(Sink):
    """Series of one operation of one store."""

    __slots__ = ("durations", "errors", "kind", "registry")

    def __init__(
        self,
        registry: Registry,
        backend: str,
        operation: str,
        kind: ErrorKind | tuple[tuple[type[BaseException], str], ...],
        is_error: IsError | None,
    ) -> None:
        super().__init__(is_error)
        self.registry = registry
        self.kind = mapped(kind) if isinstance(kind, tuple) else kind
        self.durations = Durations(registry, catalog.STORAGE_DURATION, is_error, backend=backend, operation=operation)
        self.errors = {
            value: registry.counter(catalog.STORAGE_ERRORS, backend=backend, operation=operation, kind=value)
            for value in catalog.STORAGE_ERRORS.label("kind").values
        }

    def failed(self, error: BaseException | None) -> None:
        """Count an error under its kind."""
        name = "other"
        if error is not None:
            try:
                name = self.kind(error)
            except Exception:
                self.registry.drop(catalog.STORAGE_ERRORS, "callback", 1)
        (self.errors.get(name) or self.errors["other"]).inc()


class StorageOperation(Probe):
    """A storage operation; a failed one is also counted by the class of its error."""

    __slots__ = ()
    sink: _StorageOperations

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self.sink.durations.record(seconds, outcome)
        if outcome == ERROR:
            self.sink.failed(error)


def recall(path: str, *, is_error: IsError | None = None, registry: Registry | None = None) -> Recall:
    """Record one recall: duration and outcome by `path` (`hierarchical`, `flat` or `blended`).

    In a block, `as op: op.results = len(found)` records how much it found, and counts it if that is nothing.
    """
    return Recall((registry or default_registry()).memo(_Recalls, path, is_error))


class _Recalls(Sink):
    """Series of the recalls by one path."""

    __slots__ = ("diversity", "durations", "empty", "results")

    def __init__(self, registry: Registry, path: str, is_error: IsError | None) -> None:
        super().__init__(is_error)
        self.durations = Durations(registry, catalog.RECALL_DURATION, is_error, path=path)
        self.results = registry.histogram(catalog.RECALL_RESULTS, path=path)
        self.empty = registry.counter(catalog.RECALL_EMPTY, path=path)
        self.diversity = registry.histogram(catalog.RECALL_DIVERSITY)


class Recall(Probe):
    """A recall; set `results` to the number of memories it found, and `diversity` to their score, 0 to 1."""

    __slots__ = ("diversity", "results")
    sink: _Recalls

    def begin(self) -> None:
        self.results: int | None = None
        self.diversity: float | None = None
        super().begin()

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        sink = self.sink
        sink.durations.record(seconds, outcome)
        if self.results is not None:
            sink.results.observe(self.results)
            if self.results == 0:
                sink.empty.inc()
        if self.diversity is not None:
            sink.diversity.observe(self.diversity)


def consolidation(*, is_error: IsError | None = None, registry: Registry | None = None) -> Consolidation:
    """Record one consolidation run: duration, outcome, episodes worked through and concepts formed."""
    return Consolidation((registry or default_registry()).memo(_Consolidations, is_error))


class _Consolidations(Sink):
    """Series of the consolidation runs."""

    __slots__ = ("concepts", "durations", "episodes")

    def __init__(self, registry: Registry, is_error: IsError | None) -> None:
        super().__init__(is_error)
        self.durations = Durations(registry, catalog.CONSOLIDATION_DURATION, is_error)
        self.episodes = registry.counter(catalog.CONSOLIDATED_EPISODES)
        self.concepts = registry.counter(catalog.CONCEPTS_FORMED)


class Consolidation(Probe):
    """A consolidation run; set `episodes` it worked through and `concepts` it formed, or add to them as it goes."""

    __slots__ = ("concepts", "episodes")
    sink: _Consolidations

    def begin(self) -> None:
        self.episodes = 0
        self.concepts = 0
        super().begin()

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self.sink.durations.record(seconds, outcome)
        self.sink.episodes.inc(self.episodes)
        self.sink.concepts.inc(self.concepts)
