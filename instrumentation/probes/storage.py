"""The probe of storage operations, with their errors by class."""

from __future__ import annotations

from collections.abc import Mapping

from .. import catalog
from ..default import default_registry
from ..recording.registry import Bundle, Registry
from ..recording.series import Counter
from ..recording.values import text
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


_STORAGE = Bundle(
    "storage",
    catalog.STORAGE_OPERATION_DURATION,
    tuple(catalog.STORAGE_OPERATION_DURATION.label(name) for name in ("backend", "operation")),
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
