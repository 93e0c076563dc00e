"""The pytest plugin: the fixture `metrics`.

Every pytest run loads it. So it imports the rest only when a test uses the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .metrics_fixture import Metrics


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """Yield `metrics.value` and `metrics.moved`, which are those of `mnemoscope.testing`.

    The default registry is cleared before and after the test. It is strict during the test: a recording that a service
    would refuse and count raises a RecordingError.
    """
    from .metrics_fixture import recording

    with recording() as found:
        yield found
