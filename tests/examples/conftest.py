"""A running service for each test module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from episodic_service import QUIET, Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a stable instance without background jobs, with some episodes and concepts."""
    with Service(tmp_path_factory.mktemp("data"), *QUIET) as running:
        yield running


@pytest.fixture
def healthy(service: Service) -> Iterator[Service]:
    """Return the service, without faults before and after the test."""
    service.faults()
    yield service
    service.faults()
