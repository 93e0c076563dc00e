"""Runs test modules in their own pytest, with the plugin, and with helpers that hold and take locks."""

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
from contextlib import ExitStack, contextmanager

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

def take(lock):
    with lock:
        pass

def take_two(first, second, ready):
    with first:
        ready.wait(60)
        with second:
            pass

async def take_two_as_a_task(first, second):
    async with first:
        await asyncio.sleep(0)
        async with second:
            pass

def crosswise(start):
    ready = threading.Barrier(2)
    return [start(take_two, first, second, ready) for first, second in ((a, b), (b, a))]

def in_thread(target, *args):
    thread = threading.Thread(target=target, args=args, name="other", daemon=True)
    thread.start()
    return thread

@contextmanager
def held_elsewhere(lock):
    taken, over = threading.Event(), threading.Event()
    def hold():
        with lock:
            taken.set()
            over.wait(60)
    thread = in_thread(hold)
    taken.wait(60)
    def release():
        over.set()
        thread.join()
    try:
        yield release
    finally:
        release()
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "300")  # or pytest cuts its lines off
    return Run(pytester)


class Run:
    """Runs the text of a test module in its own pytest process, because the order of locks is tracked per process."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")

    def __call__(self, tests: str, *options: str) -> pytest.RunResult:
        self._pytester.makepyfile(test_it=LOCKS + tests)
        return self._pytester.runpytest_subprocess(*OTHERS_OFF, *options, timeout=PATIENCE)
