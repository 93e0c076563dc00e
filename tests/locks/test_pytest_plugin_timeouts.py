"""pytest-timeout ends a test that uses locks: its signal handler raises in the test, at any point."""

from __future__ import annotations

import pytest
from nested_pytest import Run
from nested_pytest import run as run  # the fixture

pytestmark = pytest.mark.slow

pytest_plugins = ("pytester",)


@pytest.mark.parametrize("option", ["--lock-order", "--lock-stall=1"])  # with the checks, and without
def test_a_test_that_pytest_timeout_ends_while_it_takes_locks_leaves_none_held(run: Run, option: str) -> None:
    result = run(
        """
import sys

left = []

def on_entry_of_the_release(traceback):
    # Only here a handler's exception leaves the lock held: the release has been called, and none of it has run.
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_name in ("__exit__", "release") and traceback.tb_lineno == code.co_firstlineno:
            return True
        traceback = traceback.tb_next
    return False

@pytest.mark.timeout(0.02, method="signal", func_only=True)
@pytest.mark.parametrize("n", range(80))
def test_busy(n):
    try:
        while True:
            with a:
                pass
    except pytest.fail.Exception:
        if a.locked():
            a.release()
            if not on_entry_of_the_release(sys.exc_info()[2]):
                left.append(n)
        raise

def test_none_is_left():
    assert left == []
    assert not a.locked()
""",
        option,
        "--tb=no",
    )
    result.assert_outcomes(failed=80, passed=1)


def test_a_test_that_pytest_timeout_ends_while_it_waits_for_a_lock_leaves_it_as_it_was(run: Run) -> None:
    result = run(
        """
kinds = {
    "lock": (a, a),
    "rlock": (r := RLock("r"), r),
    "read": ((rw := RWLock("rw")).write(), rw.read()),
    "write": (rw.write(), rw.write()),
    "semaphore": (s := Semaphore(1, "s"), s),
    "observed": (o := observe_lock(threading.Lock(), "o"), o),
}
pytestmark = pytest.mark.parametrize("kind", kinds)

@pytest.fixture(scope="module", autouse=True)
def releases():
    with ExitStack() as stack:
        yield [stack.enter_context(held_elsewhere(lock)) for lock in (a, r, rw.write(), s, o)]

@pytest.mark.timeout(0.2, method="signal", func_only=True)
def test_waits(kind):
    take(kinds[kind][1])

def test_takes_it_afterwards(kind, releases):
    for release in releases:
        release()
    assert not waits.under_way()
    for lock in kinds[kind]:
        assert lock.acquire(False)
        lock.release()
""",
        "--tb=no",
    )
    result.assert_outcomes(failed=6, passed=6)
