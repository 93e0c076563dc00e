"""The fixture `metrics` gives each test an empty default registry, and costs the other tests nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest_plugins = ("pytester",)

OTHERS_OFF = tuple(f"-pno:{name}" for name in ("cacheprovider", "hypothesispytest", "anyio", "asyncio", "pytest_cov"))

Run = Callable[[str], pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a test module in its own pytest."""
    monkeypatch.setenv("COLUMNS", "300")  # or pytest cuts its lines off

    def call(tests: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=tests)
        return pytester.runpytest_subprocess(*OTHERS_OFF)

    return call


def test_it_clears_the_registry_around_a_test_and_is_strict_within(run: Run) -> None:
    result = run("""
import mnemoscope as scope
import pytest
from mnemoscope import catalog as m
from mnemoscope.testing import value

stale = scope.counter(m.CACHE_STALE_READS, cache="redb")
stale.inc()

def test_it(metrics):
    assert metrics.value(m.CACHE_STALE_READS) == 0
    with metrics.moved(m.CACHE_STALE_READS, cache="redb", by=1):
        stale.inc()
    assert metrics.value(m.CACHE_STALE_READS) == 1
    with pytest.raises(scope.RecordingError):
        scope.counter(m.CACHE_LOOKUPS, cache="redb", result="neither")

def test_afterwards():
    assert value(m.CACHE_STALE_READS) == 0
    assert not scope.default_registry().strict
    scope.configure(strict=True)

def test_a_registry_that_was_strict(metrics):
    pass

def test_stays_so():
    assert scope.default_registry().strict
""")
    result.assert_outcomes(passed=4)


def test_the_registry_is_as_before_after_a_test_that_fails(run: Run) -> None:
    result = run("""
import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.testing import value

def test_fails(metrics):
    scope.counter(m.CACHE_STALE_READS, cache="redb").inc()
    assert False

def test_afterwards():
    assert value(m.CACHE_STALE_READS) == 0
    assert not scope.default_registry().strict
""")
    result.assert_outcomes(passed=1, failed=1)


def test_a_run_that_does_not_use_it_loads_the_plugin_alone_and_makes_no_registry(run: Run) -> None:
    result = run("""
import sys

def test_modules():
    prefix = "mnemoscope.instrumentation.testing"
    loaded = {name.removeprefix(prefix) for name in sys.modules if name.startswith(prefix)}
    assert loaded == {"", ".pytest_locks", ".pytest_metrics"}
    assert "mnemoscope.testing" not in sys.modules
    assert sys.modules["mnemoscope.instrumentation.default"]._made == {}
""")
    result.assert_outcomes(passed=1)


def test_it_works_beside_the_plugin_of_the_locks(run: Run) -> None:
    result = run("""
import mnemoscope as scope
from mnemoscope import catalog as m

def test_both(metrics, concurrently):
    with metrics.moved(m.CACHE_STALE_READS, by=20):
        concurrently.threads(lambda number: scope.counter(m.CACHE_STALE_READS, cache="redb").inc(), times=20)
""")
    result.assert_outcomes(passed=1)


def test_a_projects_own_fixture_of_that_name_wins(run: Run) -> None:
    result = run("""
import pytest

@pytest.fixture
def metrics():
    return "mine"

def test_it(metrics):
    assert metrics == "mine"
""")
    result.assert_outcomes(passed=1)


def test_a_failure_shows_the_line_of_the_test_and_none_of_ours(run: Run) -> None:
    result = run("""
from mnemoscope import catalog as m

def test_value(metrics):
    metrics.value(m.MEMORY_WEIGHT, memory="episodic")

def test_moved(metrics):
    with metrics.moved(m.CACHE_STALE_READS, cache="redb", by=1):
        pass
""")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            '>   *metrics.value(m.MEMORY_WEIGHT, memory="episodic")',
            'E   *AssertionError: memory.weight{memory="episodic"}: there is no such series; nothing was recorded in *',
            '>   *with metrics.moved(m.CACHE_STALE_READS, cache="redb", by=1):',
            'E   *AssertionError: cache.stale_reads{cache="redb"}: expected a change by 1, got 0',
        ]
    )
    result.stdout.no_fnmatch_line("*instrumentation/testing*")
