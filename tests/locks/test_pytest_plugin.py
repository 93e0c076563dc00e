"""`--lock-order` fails the test that causes an inversion, a lost release or a stall, and no other."""

from __future__ import annotations

import pytest
from nested_pytest import Run
from nested_pytest import run as run  # the fixture

pytestmark = pytest.mark.slow

pytest_plugins = ("pytester",)

# Off ------------------------------------------------------------------------------------------------

INVERSION = """
def test_one_way():
    with a, b:
        pass

def test_unrelated():
    with c:
        pass

def test_the_other_way():
    with b, a:
        pass

def test_the_other_way_again():
    with b, a:
        pass
"""


def test_without_the_option_nothing_is_tracked_and_nothing_fails(run: Run) -> None:
    result = run(
        INVERSION
        + """
def test_tracking():
    from mnemoscope.instrumentation.locks.watch.holders import tracker
    assert tracker.local is None

def test_lost():
    a.acquire()
"""
    )
    result.assert_outcomes(passed=6)


def test_the_plugin_imports_nothing_that_only_the_option_needs(run: Run) -> None:
    result = run("""
def test_modules():
    import sys
    loaded = {name for name in sys.modules if name.startswith("mnemoscope.instrumentation.")}
    assert "mnemoscope.instrumentation.testing.pytest_locks" in loaded
    assert not {name for name in loaded if name.endswith(("lock_checks", "concurrently"))}
""")
    result.assert_outcomes(passed=1)


# Inversions -----------------------------------------------------------------------------------------


def test_the_test_that_closes_the_cycle_is_blamed_with_both_stacks(run: Run) -> None:
    result = run(INVERSION, "--lock-order")

    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*test_the_other_way*",
            "lock order inversion: b -> a -> b",
            "'a' taken by *MainThread* while 'b' was held since *test_the_other_way:",
            "*in test_the_other_way",
            "'b' taken by *MainThread* while 'a' was held since *test_one_way:",
            "*in test_one_way",
        ]
    )
    result.stdout.fnmatch_lines(["FAILED *::test_the_other_way - *inversion*"])


def test_an_inversion_of_threads_that_never_deadlocked_is_found(run: Run) -> None:
    result = run(
        """
def test_threads():
    def other():
        with b, a:
            pass
    with a, b:
        pass
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
""",
        "--lock-order",
    )
    result.assert_outcomes(failed=1)


def test_an_inversion_among_tasks_is_found(run: Run) -> None:
    result = run(
        """
async def test_tasks():
    x, y = AsyncLock("x"), AsyncLock("y")
    async def take(first, second):
        async with first, second:
            await asyncio.sleep(0)
    await take(x, y)
    await take(y, x)

async def test_tasks_in_order():
    x, y = AsyncLock("x2"), AsyncLock("y2")
    async with x, y:
        pass
""",
        "--lock-order",
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["lock order inversion: y -> x -> y"])


def test_a_failing_test_keeps_its_own_error_and_gets_the_inversion_as_a_note(run: Run) -> None:
    result = run(
        """
def test_fails():
    with a, b:
        pass
    with b, a:
        assert 1 == 2
""",
        "--lock-order",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2", "*lock order inversion: b -> a -> b"])


def test_an_inversion_in_a_fixture_fails_the_phase_that_it_is_in(run: Run) -> None:
    result = run(
        """
@pytest.fixture
def backwards():
    with a, b:
        pass
    with b, a:
        pass

def test_with_it(backwards):
    pass
""",
        "--lock-order",
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ERROR *::test_with_it - *lock order inversion*"])


def test_a_marked_test_is_left_alone(run: Run) -> None:
    result = run(
        """
@pytest.mark.lock_order(check=False)  # it is about inversions
def test_inverts():
    with a, b:
        pass
    with b, a:
        pass

@pytest.mark.lock_order(check=False)  # it is about lost releases
def test_loses():
    c.acquire()

def test_another():
    with a:
        pass
""",
        "--lock-order",
        "--strict-markers",
    )
    result.assert_outcomes(passed=3)


# Lost releases --------------------------------------------------------------------------------------


def test_the_test_that_loses_a_lock_is_blamed_and_those_after_it_are_not(run: Run) -> None:
    result = run(
        """
def test_before():
    with a:
        pass

def test_loses():
    a.acquire()

def test_after():
    with b, c:
        pass

def test_c_before_b_is_no_matter_for_a():
    a.release()
    with b, a:
        pass
""",
        "--lock-order",
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["lost release: 'a' is still held by thread MainThread, taken at *in test_loses"])
    result.stdout.fnmatch_lines(["FAILED *::test_loses - *lost release*"])


def test_a_lock_that_a_finished_thread_or_task_kept_is_lost(run: Run) -> None:
    result = run(
        """
def test_thread():
    thread = threading.Thread(target=a.acquire)
    thread.start()
    thread.join()

async def test_task():
    await asyncio.create_task(AsyncLock("tasks").acquire())
""",
        "--lock-order",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["lost release: 'a' is still held by *", "lost release: 'tasks' is still held by *"])


def test_what_a_fixture_takes_it_may_keep_until_its_own_end(run: Run) -> None:
    result = run(
        """
@pytest.fixture(scope="module")
def kept_for_all():
    with a:
        yield

@pytest.fixture
def kept():
    with b:
        yield

@pytest.fixture
def forgotten():
    c.acquire()

def test_fixtures(kept_for_all, kept):
    pass

def test_forgotten(kept_for_all, forgotten):
    pass
""",
        "--lock-order",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["ERROR *::test_forgotten - *lost release: 'c'*"])


def test_a_thread_in_the_background_that_is_about_to_release_loses_nothing(run: Run) -> None:
    result = run(
        """
taken, over, go = (threading.Event() for _ in range(3))

def work():
    go.wait(60)
    while not over.is_set():
        with a:
            taken.set()
            time.sleep(0.05)

@pytest.fixture(scope="module")
def worker():
    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()

@pytest.mark.parametrize("n", range(5))
def test_beside_it(worker, n):
    go.set()
    taken.clear()
    assert taken.wait(60)
""",
        "--lock-order",
    )
    result.assert_outcomes(passed=5)
