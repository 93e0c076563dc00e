"""Labels that come from a call's arguments: the probe is made for each call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from ..catalog.labels import OTHER
from ..default import default_registry
from ..recording.registry import Registry
from ..recording.series import NOT_RECORDED
from .decorate import wrap
from .operation import Operation, Probe, Unobserved

F = TypeVar("F", bound=Callable[..., Any])
LabelSource = object
"""A label's value, or a function that returns it from the call's arguments."""


class PerCall:
    """A decorator that makes its probe from each call's arguments."""

    __slots__ = ("_factory", "_labels", "_options")

    def __init__(
        self, factory: Callable[..., Probe[Any]], labels: Mapping[str, LabelSource], options: Mapping[str, Any]
    ) -> None:
        self._factory = factory
        self._labels = labels
        self._options = options

    def __call__(self, target: F) -> F:
        """Return `target` with an operation around each run; its labels come from the arguments of that run.

        Raises:
            TypeError: `target` is no function or method.
        """
        return wrap(target, self)

    def for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation[Any]:
        """Return the operation of one call."""
        try:
            labels: dict[str, object] = {}
            failure: Exception | None = None
            for name, source in self._labels.items():
                try:
                    labels[name] = source(*args, **kwargs) if callable(source) else source
                except Exception as error:
                    labels[name], failure = OTHER, error
            operation = self._factory(**labels, **self._options).operation()
            if failure is not None:
                operation.drop("callback", failure)
        except NOT_RECORDED:
            return cast("Operation[Any]", Unobserved())
        return cast("Operation[Any]", operation)


def per_call(
    factory: Callable[..., Probe[Any]], /, *, registry: Registry | None = None, **arguments: LabelSource
) -> PerCall:
    """Return a decorator whose probe takes its labels from each call's arguments.

        @scope.per_call(scope.storage, backend="turso", operation=lambda self, operation, *rest: operation)
        def execute(self, operation, *rest): ...

    Args:
        factory: the probe's function (`storage`, `index_write`, `recall` ...), or `functools.partial(timed, METRIC)`.
        registry: where to record; the default registry if not given.
        arguments: the factory's. A label's value may be a function, which is called with the arguments of the decorated
            call. If it raises, the label is `other`, and the failure is counted as dropped. Options such as `is_error`
            are passed on as they are.

    Raises:
        TypeError: the factory does not take these arguments.
    """
    signature = inspect.signature(factory)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        name = getattr(factory, "__name__", "timed")
        raise TypeError(f"per_call(scope.{name}): {error}; it takes {signature}") from None
    options = {
        name: value
        for name, value in arguments.items()
        if name in signature.parameters and signature.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    }
    labels = {name: value for name, value in arguments.items() if name not in options}
    return PerCall(factory, labels, {**options, "registry": registry or default_registry()})
