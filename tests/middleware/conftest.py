"""Fixtures of the middlewares' tests."""

from __future__ import annotations

import pytest
from request_helpers import Clock, Requests

from mnemoscope.instrumentation.middleware import request_recording
from mnemoscope.instrumentation.recording.registry import Registry


@pytest.fixture
def registry() -> Registry:
    """Return a strict registry: a dropped recording fails the test."""
    return Registry(strict=True)


@pytest.fixture
def requests(registry: Registry) -> Requests:
    return Requests(registry)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(request_recording, "perf_counter", clock)
    return clock
