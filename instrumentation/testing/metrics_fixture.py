"""The value of the fixture `metrics`, and the state of the default registry during a test that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..default import configure, default_registry
from .moved import moved
from .value import value


class Metrics:
    """`value` and `moved`, on a default registry that contains only what the test records."""

    def __init__(self) -> None:
        self.value = value
        self.moved = moved


@contextmanager
def recording() -> Iterator[Metrics]:
    """Yield the fixture's value. Clear the default registry before and after, and make it strict in between."""
    registry = default_registry()
    before = registry.strict
    registry.clear()
    configure(strict=True)
    try:
        yield Metrics()
    finally:
        configure(strict=before)
        registry.clear()
