"""Assertions on recorded metrics, for a service's tests.

    from mnemoscope import catalog as m
    from mnemoscope.testing import moved, value

    def test_a_timeout_is_counted(store):
        with moved(m.STORAGE_ERRORS, backend="s3", operation="put", kind="timeout", by=1):
            store.put_while_the_network_is_down()
        assert value(m.CACHE_LOOKUPS, cache="redb", result="hit") == 0

The pytest fixture `metrics` has both, and clears the default registry around the test.
"""

from mnemoscope.instrumentation.testing.changes import Change, moved
from mnemoscope.instrumentation.testing.fixture import Metrics
from mnemoscope.instrumentation.testing.reading import value

__all__ = ["Change", "Metrics", "moved", "value"]
