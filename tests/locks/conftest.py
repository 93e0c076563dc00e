"""Fixtures that several tests of locks need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import mnemoscope as scope
from mnemoscope.instrumentation.locks.watch import order


@pytest.fixture
def tracked() -> Iterator[None]:
    """Track the order of locks from an empty graph, and restore the setting afterwards."""
    before = scope.debug_locks()["order"]
    order.forget()
    scope.configure_locks(order="on")
    yield
    scope.configure_locks(order=before)
    order.forget()
