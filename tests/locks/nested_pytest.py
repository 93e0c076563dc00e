"""Runs test modules in a pytest of their own, with the plugin."""

from __future__ import annotations

import pytest
from thread_samples import PATIENCE

# Plugins that take longer to load than these tests to run.
OTHERS_OFF = tuple(f"-pno:{name}" for name in ("cacheprovider", "hypothesispytest", "anyio", "pytest_cov"))
LOCKS = """
import asyncio
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from mnemoscope import AsyncLock, Condition, Lock, RLock, RWLock, Semaphore, observe_lock
from mnemoscope.instrumentation.locks.watch import waits
from mnemoscope.instrumentation.locks.watch.watchdog import watchdog

a, b, c = Lock("a"), Lock("b"), Lock("c")

def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "300")  # or pytest cuts its lines off
    return Run(pytester)


class Run:
    """Runs the text of a test module in a pytest of its own, for the order of locks is one for a whole process."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")

    def __call__(self, tests: str, *options: str) -> pytest.RunResult:
        self._pytester.makepyfile(test_it=LOCKS + tests)
        return self._pytester.runpytest_subprocess(*OTHERS_OFF, *options, timeout=PATIENCE)
