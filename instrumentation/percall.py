"""Labels out of a call's arguments: the same probe, chosen anew for each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from . import catalog
from .decorate import wrap
from .operation import Probe
from .registry import OTHER, Registry, default_registry

F = TypeVar("F", bound=Callable[..., Any])
LabelSource = str | Callable[..., str]


class PerCall:
    """A decorator that makes its probe from each call's arguments."""

    __slots__ = ("_factory", "_labels", "_registry")

    def __init__(self, factory: Callable[..., Probe], registry: Registry, labels: Mapping[str, LabelSource]) -> None:
        self._factory = factory
        self._registry = registry
        self._labels = labels

    def __call__(self, target: F) -> F:
        """`target`, with an operation around each run whose labels come from that run's arguments."""
        return wrap(target, self)

    def for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Probe:
        """The probe of one call."""
        labels = {name: self._label(source, args, kwargs) for name, source in self._labels.items()}
        return self._factory(registry=self._registry, **labels)

    def _label(self, source: LabelSource, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        if isinstance(source, str):
            return source
        try:
            return str(source(*args, **kwargs))
        except Exception:
            self._registry.counter(catalog.SELF_DROPPED, metric=self._factory.__name__, reason="callback").inc()
            return OTHER


def per_call(factory: Callable[..., Probe], /, *, registry: Registry | None = None, **labels: LabelSource) -> PerCall:
    """Decorate with a probe whose labels come from the call's arguments.

        @scope.per_call(scope.storage, backend="turso", operation=lambda self, operation, *rest: operation)
        def execute(self, operation, *rest): ...

    Args:
        factory: the probe's function: `storage`, `index_write`, `recall` ...
        labels: its arguments by name; a function is called with the arguments of the decorated call. Where it
            raises, the label is `other` and the failure counted; the host does not notice.
        registry: what to record in; the default registry if not given.
    """
    return PerCall(factory, registry or default_registry(), labels)
