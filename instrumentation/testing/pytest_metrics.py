"""The pytest plugin: the fixture `metrics`.

Every pytest run loads it, so it imports what it needs when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .metrics_fixture import Metrics


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """Asserts what the test records: `metrics.value(...)`, `with metrics.moved(...)`, as in `mnemoscope.testing`.

    The default registry is cleared before and after the test, and strict during it: what a service would refuse and
    count raises a RecordingError.
    """
    from .metrics_fixture import recording

    with recording() as found:
        yield found
