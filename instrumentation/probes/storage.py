"""The probe of storage operations, and of their errors by kind."""

from __future__ import annotations

from collections.abc import Mapping

from .. import catalog
from ..default import default_registry
from ..recording.registry import Registry
from ..recording.series import Counter
from ..recording.series_lookup import SeriesLookup
from ..recording.values import label_text
from .durations import Durations
from .error_kinds import ErrorKind, error_kind, mapped
from .operation import ERROR, IsError, Operation, Probe


def storage(
    backend: str,
    operation: str,
    *,
    kind: ErrorKind | Mapping[type[BaseException], str] = error_kind,
    is_error: IsError | None = None,
    registry: Registry | None = None,
) -> Probe[StorageOperation]:
    """Record one storage operation: duration, outcome, and each error by its kind.

    Args:
        backend: name of the store.
        operation: name of the operation, such as `store_episode`.
        kind: turns an exception into one of the error kinds of `storage.errors`; anything else counts as `other`.
            A mapping gives the kinds of exception types; the built-in rules apply to types that it does not name.
        is_error: returns whether an exception is a failure; by default each is.
        registry: where to record; the default registry if not given.
    """
    series = _STORAGE.find(registry or default_registry(), backend, operation)
    return Probe(StorageOperation, series, is_error, kind)


class _StorageOperations:
    """Series of one operation of one store."""

    __slots__ = ("durations", "errors", "registry")
    metric = catalog.STORAGE_OPERATION_DURATION

    def __init__(self, registry: Registry, backend: str, operation: str) -> None:
        self.registry = registry
        self.durations = Durations(registry, catalog.STORAGE_OPERATION_DURATION, backend=backend, operation=operation)
        self.errors: dict[str, Counter] = {
            value: registry.counter(catalog.STORAGE_ERRORS, backend=backend, operation=operation, kind=value)
            for value in catalog.STORAGE_ERRORS.label("kind").values
        }

    def record(self, seconds: float, outcome: str) -> None:
        self.durations.record(seconds, outcome)


_STORAGE = SeriesLookup("storage", catalog.STORAGE_OPERATION_DURATION, ("backend", "operation"), _StorageOperations)


class StorageOperation(Operation[_StorageOperations]):
    """A storage operation; a failed one is also counted by the kind of its error."""

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
            return label_text(mapped(kind, error) if isinstance(kind, Mapping) else kind(error))
        except Exception as failure:
            self.drop("callback", failure, catalog.STORAGE_ERRORS)
            return "other"
