"""What the fixture `metrics` gives a test, and the state of the default registry around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..default import configure, default_registry
from .moved import moved
from .value import value


class Metrics:
    """`value` and `moved`, on a default registry that holds nothing but what the test records."""

    def __init__(self) -> None:
        self.value = value
        self.moved = moved


@contextmanager
def recording() -> Iterator[Metrics]:
    """Clear the default registry, before and after, and refuse with an exception what a service would only count."""
    registry = default_registry()
    before = registry.strict
    registry.clear()
    configure(strict=True)
    try:
        yield Metrics()
    finally:
        configure(strict=before)
        registry.clear()
