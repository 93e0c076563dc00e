"""The probes of an agent-memory service, by the names a service author types.

Each is a decorator and a context manager, for functions, coroutines, generators, async generators and methods.
None raises into the service and none waits for another thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Never

from . import catalog
from .catalog import Metric
from .catalog.labels import Mode, RecallPath
from .default import default_registry
from .durations import Durations, durations, durations_of
from .errors import ErrorKind, error_kind, mapped
from .in_flight import InFlight
from .locks.hooks import waiters_of
from .middleware.answers import status_of_exception, status_of_response
from .middleware.bodies import at_end_of_body
from .middleware.recording import RequestRecording, current_request
from .operation import ERROR, OK, IsError, Operation, Probe, ProbeSeries
from .registry import Bundle, Registry
from .series import Counter, Histogram
from .values import text


def timed(
    metric: Metric, /, *, is_error: IsError | None = None, registry: Registry | None = None, **labels: object
) -> Probe[Operation[Durations]]:
    """Record how long something takes in any histogram of the catalog, or of your own, that counts seconds.

    A label `outcome` is filled in (`ok`, `error`, `cancelled`) unless it is given.

    Raises:
        ValueError: the metric is no histogram, or the labels are not the metric's.
    """
    series = (registry or default_registry()).bound(durations_of(metric, tuple(labels)), *labels.values())
    return Probe(Operation, series, is_error)


_LOCK_HOLD = durations("lock_hold", catalog.LOCK_HOLD)
_INDEX_WRITE = durations("index_write", catalog.INDEX_WRITE)
_VECTOR_SEARCH = durations("vector_search", catalog.VECTOR_SEARCH)


def lock_hold(lock: str, mode: Mode = "exclusive", *, registry: Registry | None = None) -> Probe[Operation[Durations]]:
    """Record how long the block, or the decorated call, holds `lock`."""
    return Probe(Operation, (registry or default_registry()).bound(_LOCK_HOLD, lock, mode), None)


def index_write(
    index: str, *, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[Operation[Durations]]:
    """Record duration and outcome of one write to `index`."""
    return Probe(Operation, (registry or default_registry()).bound(_INDEX_WRITE, index), is_error)


def vector_search(
    index: str, *, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[Operation[Durations]]:
    """Record duration and outcome of one search in `index`."""
    return Probe(Operation, (registry or default_registry()).bound(_VECTOR_SEARCH, index), is_error)


# Work under way -----------------------------------------------------------------------------------


class _UnderWay(ProbeSeries):
    """Series of which the operations under way are counted."""

    under_way: InFlight


class InFlightOperation(Operation[Any]):
    """A run that is counted as work under way until its end."""

    __slots__ = ()

    def begin(self) -> None:
        self._series.under_way.enter(self)
        super().begin()

    def end(self, error: BaseException | None) -> None:
        self._series.under_way.leave(self)
        super().end(error)

    def abandon(self) -> None:
        self._series.under_way.leave(self)
        super().abandon()


class _LockWaits:
    """Series of the waits for one lock."""

    __slots__ = ("_wait", "registry", "under_way")
    metric = catalog.LOCK_WAIT

    def __init__(self, registry: Registry, lock: str, mode: str) -> None:
        self.registry = registry
        self.under_way = waiters_of(registry, lock, mode)
        self._wait = registry.histogram(catalog.LOCK_WAIT, lock=lock, mode=mode)

    def record(self, seconds: float, outcome: str) -> None:
        self._wait.observe(seconds)


_LOCK_WAIT = Bundle("lock_wait", catalog.LOCK_WAIT, catalog.LOCK_WAIT.labels, _LockWaits)


def lock_wait(lock: str, mode: Mode = "exclusive", *, registry: Registry | None = None) -> Probe[InFlightOperation]:
    """Record the time from here to the end of the block as a wait for `lock`; put it around any acquire.

    Args:
        lock: name of the lock.
        mode: `exclusive`, `read` or `write`.
        registry: what to record in; the default registry if not given.
    """
    return Probe(InFlightOperation, (registry or default_registry()).bound(_LOCK_WAIT, lock, mode))


class _InFlight:
    """A gauge of work under way, and one of its peak."""

    __slots__ = ("metric", "registry", "under_way")

    def __init__(self, registry: Registry, metric: Metric, peak: Metric | None, labels: dict[str, Any]) -> None:
        self.registry = registry
        self.metric = metric
        self.under_way = registry.in_flight((metric, tuple(sorted((n, str(v)) for n, v in labels.items()))))
        registry.gauge(metric, **labels).set_function(self.under_way.now)
        if peak is not None:
            registry.gauge(peak, **labels).set_function(self.under_way.peak)

    def record(self, seconds: float, outcome: str) -> None:
        """Record nothing: the gauges are read at a scrape."""


def in_flight(
    metric: Metric, /, *, peak: Metric | None = None, registry: Registry | None = None, **labels: object
) -> Probe[InFlightOperation]:
    """Count how many runs are under way, in a gauge of the catalog or of your own.

    Args:
        metric: the gauge.
        peak: a gauge with the same labels for the most that were under way at once in the last 30 to 60 seconds.
        registry: what to record in; the default registry if not given.
        labels: the gauges' labels.

    Raises:
        ValueError: a metric is no gauge, or the labels are not the metric's.
    """
    return Probe(InFlightOperation, _InFlight(registry or default_registry(), metric, peak, labels))


class _Completions:
    """Series of the completions, and those under way."""

    __slots__ = ("_durations", "registry", "under_way")
    metric = catalog.COMPLETION_DURATION

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._durations = Durations(registry, catalog.COMPLETION_DURATION)
        self.under_way = registry.in_flight(catalog.COMPLETIONS_IN_FLIGHT)
        registry.gauge(catalog.COMPLETIONS_IN_FLIGHT).set_function(self.under_way.now)
        registry.gauge(catalog.COMPLETIONS_PEAK).set_function(self.under_way.peak)

    def record(self, seconds: float, outcome: str) -> None:
        self._durations.record(seconds, outcome)


_COMPLETION = Bundle("completion", catalog.COMPLETION_DURATION, (), _Completions)


def completion(
    *bare: Never, limit: int | None = None, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[InFlightOperation]:
    """Record a completion: how many run at once, now and at peak, how long each takes and how it ends.

    Args:
        bare: nothing; the parentheses in `@scope.completion()` are needed.
        limit: how many the service lets run at once, if it has a limit; exported beside the number.
        is_error: whether an exception is a failure; by default each is.
        registry: what to record in; the default registry if not given.
    """
    _refuse_bare("completion", bare)
    chosen = registry or default_registry()
    if limit is not None:
        chosen.gauge(catalog.COMPLETIONS_LIMIT).set(limit)
    return Probe(InFlightOperation, chosen.bound(_COMPLETION), is_error)


def _refuse_bare(probe: str, bare: tuple[object, ...]) -> None:
    if bare:
        raise TypeError(f"scope.{probe} takes keywords only; as a decorator, write @scope.{probe}()")


# Requests -----------------------------------------------------------------------------------------


def request(
    route: str, *, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[RequestOperation]:
    """Record one request: duration to the end of its body, outcome by status, and requests in flight.

    A 5xx answer is an error, returned or raised in a way that the framework knows; any other answer is `ok`, a 404 too.
    Inside `ASGIMiddleware` or `WSGIMiddleware`, which record the request already, it only names the route.

    Args:
        route: the template (`/episodes/{id}`), never the raw path.
        is_error: whether an exception is a failure; by default each that is not answered below 500.
        registry: what to record in; the default registry if not given.
    """
    return Probe(RequestOperation, (registry or default_registry()).bound(_REQUEST, route), is_error, route)


class _Requests:
    """Series of the requests of one route, and those under way."""

    __slots__ = ("_durations", "registry", "under_way")
    metric = catalog.REQUEST_DURATION

    def __init__(self, registry: Registry, route: str) -> None:
        self.registry = registry
        self._durations = Durations(registry, catalog.REQUEST_DURATION, route=route)
        self.under_way = registry.in_flight(catalog.REQUESTS_IN_FLIGHT)
        registry.gauge(catalog.REQUESTS_IN_FLIGHT).set_function(self.under_way.now)

    def record(self, seconds: float, outcome: str) -> None:
        self._durations.record(seconds, outcome)


_REQUEST = Bundle("request", catalog.REQUEST_DURATION, (catalog.REQUEST_DURATION.label("route"),), _Requests)


def _is_server_error(error: Exception) -> bool:
    status = status_of_exception(error)
    return status is None or status >= 500


class RequestOperation(InFlightOperation):
    """A request; set `outcome` to overrule what its status means."""

    __slots__ = ("_around", "_awaits_body", "_route")

    def __init__(self, series: _Requests, is_error: IsError | None, route: str) -> None:
        super().__init__(series, is_error or _is_server_error)
        self._route = route
        self._around: RequestRecording | None = None
        self._awaits_body = False

    def begin(self) -> None:
        around = current_request()
        if around is not None and around.registry is self._series.registry:
            self._around = around
            around.route = self._route
        else:
            super().begin()

    def returned(self, result: Any) -> Any:
        """Read the status of a response, and wait for the end of a body that is sent later."""
        if self._around is not None:
            return result
        status = status_of_response(result)
        if status is not None and status >= 500 and self.outcome is None:
            self.outcome = ERROR
        observed = at_end_of_body(result, self._body_ended)
        self._awaits_body = observed is not None
        return result if observed is None else observed

    def end(self, error: BaseException | None) -> None:
        if self._around is None and not self._awaits_body:
            super().end(error)

    def _body_ended(self, error: BaseException | None) -> None:
        self._awaits_body = False
        self.__exit__(None, error, None)


# Cache --------------------------------------------------------------------------------------------


def found(result: Any) -> bool:
    """Return whether a lookup's result is a hit, unless the service has another rule: it is not None."""
    return result is not None


Hit = Callable[[Any], bool]


def cache_lookup(cache: str, *, hit: Hit = found, registry: Registry | None = None) -> Probe[CacheLookup]:
    """Record one lookup in `cache`: its duration, and whether it hit. The ratio is computed from the counts.

    In a block: `with cache_lookup("redb") as lookup: lookup.hit = (value := cache.get(key)) is not None`.

    Args:
        cache: name of the cache or its backend.
        hit: for a decorated lookup, whether a result is a hit; by default, whether it is not None.
        registry: what to record in; the default registry if not given.
    """
    return Probe(CacheLookup, (registry or default_registry()).bound(_CACHE_LOOKUP, cache), hit)


class _CacheLookups:
    """Series of the lookups in one cache."""

    __slots__ = ("by_result", "duration", "registry")
    metric = catalog.CACHE_LOOKUPS

    def __init__(self, registry: Registry, cache: str) -> None:
        self.registry = registry
        self.by_result = {
            result: registry.counter(catalog.CACHE_LOOKUPS, cache=cache, result=result)
            for result in catalog.CACHE_LOOKUPS.label("result").values
        }
        self.duration = registry.histogram(catalog.CACHE_LOOKUP_DURATION, cache=cache)

    def record(self, seconds: float, outcome: str) -> None:
        self.duration.observe(seconds)


_CACHE_LOOKUP = Bundle("cache_lookup", catalog.CACHE_LOOKUPS, (catalog.CACHE_LOOKUPS.label("cache"),), _CacheLookups)


class CacheLookup(Operation[_CacheLookups]):
    """A cache lookup; set `hit` before its end. Unset counts as a miss, an exception as an error."""

    __slots__ = ("_is_hit", "hit")

    def __init__(self, series: _CacheLookups, is_hit: Hit) -> None:
        super().__init__(series)
        self._is_hit = is_hit
        self.hit = False

    def returned(self, result: Any) -> Any:
        """Ask whether the result is a hit."""
        try:
            self.hit = self._is_hit(result)
        except Exception as error:
            self.refuse("callback", error)
        return result

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._series.record(seconds, outcome)
        if outcome != OK:
            self._series.by_result["error"].inc()
            return
        try:
            hit = bool(self.hit)
        except Exception:  # an array, say
            self.refuse("wrong_type", self.hit)
            return
        self._series.by_result["hit" if hit else "miss"].inc()


# Storage ------------------------------------------------------------------------------------------


def storage(
    backend: str,
    operation: str,
    *,
    kind: ErrorKind | Mapping[type[BaseException], str] = error_kind,
    is_error: IsError | None = None,
    registry: Registry | None = None,
) -> Probe[StorageOperation]:
    """Record one storage operation: duration, outcome, and each error by its class.

    Args:
        backend: name of the store.
        operation: what is asked of it, such as `store_episode`.
        kind: turns an exception into one of the error kinds of `storage.errors`; anything else counts as `other`.
            A mapping from exception types is asked first, the built-in rules for what it does not name.
        is_error: whether an exception is a failure; by default each is.
        registry: what to record in; the default registry if not given.
    """
    series = (registry or default_registry()).bound(_STORAGE, backend, operation)
    return Probe(StorageOperation, series, is_error, kind)


class _StorageOperations:
    """Series of one operation of one store."""

    __slots__ = ("durations", "errors", "registry")
    metric = catalog.STORAGE_DURATION

    def __init__(self, registry: Registry, backend: str, operation: str) -> None:
        self.registry = registry
        self.durations = Durations(registry, catalog.STORAGE_DURATION, backend=backend, operation=operation)
        self.errors: dict[str, Counter] = {
            value: registry.counter(catalog.STORAGE_ERRORS, backend=backend, operation=operation, kind=value)
            for value in catalog.STORAGE_ERRORS.label("kind").values
        }

    def record(self, seconds: float, outcome: str) -> None:
        self.durations.record(seconds, outcome)


_STORAGE = Bundle(
    "storage",
    catalog.STORAGE_DURATION,
    tuple(catalog.STORAGE_DURATION.label(name) for name in ("backend", "operation")),
    _StorageOperations,
)


class StorageOperation(Operation[_StorageOperations]):
    """A storage operation; a failed one is also counted by the class of its error."""

    __slots__ = ("_error_kind",)

    def __init__(
        self,
        series: _StorageOperations,
        is_error: IsError | None,
        kind: ErrorKind | Mapping[type[BaseException], str],
    ) -> None:
        super().__init__(series, is_error)
        self._error_kind = kind

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._series.record(seconds, outcome)
        if outcome == ERROR:
            errors = self._series.errors
            (errors.get(self._kind_of(error)) or errors["other"]).inc()

    def _kind_of(self, error: BaseException | None) -> str:
        if error is None:
            return "other"
        kind = self._error_kind
        try:
            return text(mapped(kind, error) if isinstance(kind, Mapping) else kind(error))
        except Exception as failure:
            self.refuse("callback", failure, catalog.STORAGE_ERRORS)
            return "other"


# Recall and consolidation -------------------------------------------------------------------------


def recall(
    path: RecallPath,
    *,
    results: Callable[[Any], float] | None = None,
    is_error: IsError | None = None,
    registry: Registry | None = None,
) -> Probe[Recall]:
    """Record one recall: duration and outcome by `path`, how much it found, and whether that was nothing.

    In a block: `with recall("flat") as op: op.results = len(found)`; decorated: `@recall("flat", results=len)`.

    Args:
        path: `hierarchical`, `flat` or `blended`.
        results: for a decorated recall, how many memories are in its result.
        is_error: whether an exception is a failure; by default each is.
        registry: what to record in; the default registry if not given.
    """
    return Probe(Recall, (registry or default_registry()).bound(_RECALL, path), is_error, results)


class _Recalls:
    """Series of the recalls by one path."""

    __slots__ = ("diversity", "durations", "empty", "registry", "results")
    metric = catalog.RECALL_DURATION

    def __init__(self, registry: Registry, path: str) -> None:
        self.registry = registry
        self.durations = Durations(registry, catalog.RECALL_DURATION, path=path)
        self.results = registry.histogram(catalog.RECALL_RESULTS, path=path)
        self.empty = registry.counter(catalog.RECALL_EMPTY, path=path)
        self.diversity: Histogram = registry.histogram(catalog.RECALL_DIVERSITY)

    def record(self, seconds: float, outcome: str) -> None:
        self.durations.record(seconds, outcome)


_RECALL = Bundle("recall", catalog.RECALL_DURATION, (catalog.RECALL_DURATION.label("path"),), _Recalls)


class Recall(Operation[_Recalls]):
    """A recall; set `results` to the number of memories it found, and `diversity` to their score, 0 to 1."""

    __slots__ = ("_count", "diversity", "results")

    def __init__(self, series: _Recalls, is_error: IsError | None, count: Callable[[Any], float] | None) -> None:
        super().__init__(series, is_error)
        self._count = count
        self.results: float | None = None
        self.diversity: float | None = None

    def returned(self, result: Any) -> Any:
        """Count the memories of the result."""
        if self._count is not None:
            try:
                self.results = self._count(result)
            except Exception as error:
                self.refuse("callback", error, catalog.RECALL_RESULTS)
        return result

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._series.record(seconds, outcome)
        if self.results is not None:
            results = self.counted(catalog.RECALL_RESULTS, self.results)
            if results is not None:
                self._series.results.observe(results)
                if results == 0:
                    self._series.empty.inc()
        if self.diversity is not None:
            self._series.diversity.observe(self.diversity)


def consolidation(
    *bare: Never, is_error: IsError | None = None, registry: Registry | None = None
) -> Probe[Consolidation]:
    """Record one consolidation run: duration, outcome, episodes worked through and concepts formed.

    Args:
        bare: nothing; the parentheses in `@scope.consolidation()` are needed.
        is_error: whether an exception is a failure; by default each is.
        registry: what to record in; the default registry if not given.
    """
    _refuse_bare("consolidation", bare)
    return Probe(Consolidation, (registry or default_registry()).bound(_CONSOLIDATION), is_error)


class _Consolidations:
    """Series of the consolidation runs."""

    __slots__ = ("concepts", "durations", "episodes", "registry")
    metric = catalog.CONSOLIDATION_DURATION

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.durations = Durations(registry, catalog.CONSOLIDATION_DURATION)
        self.episodes = registry.counter(catalog.CONSOLIDATED_EPISODES)
        self.concepts = registry.counter(catalog.CONCEPTS_FORMED)

    def record(self, seconds: float, outcome: str) -> None:
        self.durations.record(seconds, outcome)


_CONSOLIDATION = Bundle("consolidation", catalog.CONSOLIDATION_DURATION, (), _Consolidations)


class Consolidation(Operation[_Consolidations]):
    """A consolidation run; set `episodes` it worked through and `concepts` it formed, or add to them as it goes."""

    __slots__ = ("concepts", "episodes")

    def __init__(self, series: _Consolidations, is_error: IsError | None) -> None:
        super().__init__(series, is_error)
        self.episodes: float = 0
        self.concepts: float = 0

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self._series.record(seconds, outcome)
        self._series.episodes.inc(self.episodes)
        self._series.concepts.inc(self.concepts)
