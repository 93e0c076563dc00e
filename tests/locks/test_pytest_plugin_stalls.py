"""`--lock-order` fails the test in which somebody waits too long for a lock, and ends it if it would wait for ever."""

from __future__ import annotations

from nested_pytest import Run
from nested_pytest import run as run  # the fixture

pytest_plugins = ("pytester",)

OPTIONS = ("--lock-order", "--lock-stall=0.3")

# Two locks, each held by somebody who waits for the other's.
DEADLOCK = """
def crosswise(first, second, ready):
    with first:
        ready.wait(60)
        with second:
            pass

def test_after():
    with c:
        watchdog.set_limit(1e-9)  # whatever wait there still is lasts longer than that
        watchdog.look()
"""


def test_a_deadlock_with_the_thread_of_the_test_fails_the_test_and_ends_it(run: Run) -> None:
    result = run(
        """
def test_deadlock():
    ready = threading.Barrier(2)
    threading.Thread(target=crosswise, args=(a, b, ready), name="other", daemon=True).start()
    crosswise(b, a, ready)
"""
        + DEADLOCK,
        *OPTIONS,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*test_deadlock*", "*deadlock*", "FAILED *::test_deadlock*"])
    result.stdout.fnmatch_lines_random(["*thread other*'b'*", "*thread MainThread*'a'*"])


def test_a_lock_that_is_taken_twice_by_one_thread_is_such_a_deadlock(run: Run) -> None:
    result = run(
        """
def test_twice():
    with a, a:
        pass
"""
        + DEADLOCK,
        *OPTIONS,
    )
    result.assert_outcomes(failed=1, passed=1)


def test_a_deadlock_that_a_test_leaves_behind_is_its_own_and_no_later_one_s(run: Run) -> None:
    result = run(
        """
def test_leaves_two():
    ready = threading.Barrier(2)
    for first, second in ((a, b), (b, a)):
        threading.Thread(target=crosswise, args=(first, second, ready), daemon=True).start()
    until(lambda: len(hooks.waits) == 2)
"""
        + DEADLOCK,
        *OPTIONS,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["FAILED *::test_leaves_two*"])


def test_a_wait_that_is_only_long_fails_as_a_stall(run: Run) -> None:
    result = run(
        """
def test_long():
    taken, over = threading.Event(), threading.Event()
    def hold():
        with a:
            taken.set()
            over.wait(60)
    thread = threading.Thread(target=hold, name="holder")
    thread.start()
    taken.wait(60)
    try:
        with a:
            pass
    finally:
        over.set()
        thread.join()

def test_short():
    with a:
        pass
""",
        *OPTIONS,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "E *stall: waiting for too long",
            "E *thread MainThread has waited * s for 'a' (exclusive), at",
            "E *in test_long",
            "E *which thread holder holds, now at",
            "E *in test_long.<locals>.hold",
        ]
    )
    assert "deadlock" not in result.stdout.str()
    assert not [line for line in result.outlines if line.startswith("E ") and "_pytest" in line]


def test_a_long_wait_of_a_thread_in_the_background_fails_the_test_that_it_is_in(run: Run) -> None:
    result = run(
        """
def test_background():
    with a:
        thread = threading.Thread(target=lambda: a.acquire() and a.release(), name="background")
        thread.start()
        until(lambda: watchdog.incidents)
    thread.join()

def test_other():
    pass
""",
        *OPTIONS,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*stall*", "FAILED *::test_background*"])


def test_a_wait_that_outlasts_the_test_it_began_in_is_no_later_test_s(run: Run) -> None:
    result = run(
        """
@pytest.fixture(scope="module")
def busy():
    over = threading.Event()
    def hold():
        with a:
            over.wait(60)
    threads = [threading.Thread(target=hold), threading.Thread(target=lambda: a.acquire() and a.release())]
    threads[0].start()
    until(a.locked)
    threads[1].start()
    until(lambda: hooks.waits)
    yield
    over.set()
    for thread in threads:
        thread.join()

@pytest.fixture
def fails_at_its_end(busy):
    yield
    raise ValueError

def test_first(fails_at_its_end):
    pass
"""
        + DEADLOCK,
        "--lock-order",
        "--lock-stall=600",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["ERROR *::test_first - ValueError"])


def test_tasks_that_deadlock_fail_the_test_and_end_it(run: Run) -> None:
    result = run(
        """
async def test_tasks():
    x, y = AsyncLock("x"), AsyncLock("y")
    async def take(first, second):
        async with first:
            await asyncio.sleep(0)
            async with second:
                pass
    await asyncio.gather(take(x, y), take(y, x))

async def test_after():
    await asyncio.sleep(0)
""",
        *OPTIONS,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*deadlock*", "FAILED *::test_tasks*"])


def test_a_blocked_event_loop_fails_the_test_and_is_unblocked(run: Run) -> None:
    result = run(
        """
async def test_blocked():
    async def keep():
        with a:
            await asyncio.sleep(0.01)
    async def block():
        with a:
            pass
    await asyncio.gather(keep(), block())

async def test_after():
    await asyncio.sleep(0)
""",
        *OPTIONS,
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*deadlock*", "FAILED *::test_blocked*"])


def test_a_marked_test_may_stall(run: Run) -> None:
    result = run(
        """
@pytest.mark.lock_order(check=False)
def test_background():
    with a:
        thread = threading.Thread(target=lambda: a.acquire() and a.release())
        thread.start()
        until(lambda: watchdog.incidents)
    thread.join()

@pytest.mark.lock_order(check=False)
def test_itself():
    watchdog.incidents.clear()
    taken = threading.Event()
    def hold():
        with a:
            taken.set()
            until(lambda: watchdog.incidents)
    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(60)
    with a:
        thread.join()
""",
        *OPTIONS,
    )
    result.assert_outcomes(passed=2)
