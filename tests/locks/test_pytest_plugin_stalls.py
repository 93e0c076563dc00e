"""`--lock-order` fails the test in which a wait for a lock is too long, and ends that wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nested_pytest import Run
from nested_pytest import run as run  # the fixture

pytestmark = pytest.mark.slow

pytest_plugins = ("pytester",)

Check = Callable[..., pytest.RunResult]

# The last test: it finds no wait left. Any wait would last longer than its limit.
TEST_AFTER = """
def test_after():
    with c:
        watchdog.set_limit(1e-9)
        watchdog.look()
"""


@pytest.fixture
def check(run: Run) -> Check:
    """Run tests with the checks, where a wait for a lock may last 0.3 s."""

    def checked(tests: str, *options: str, after: str = TEST_AFTER) -> pytest.RunResult:
        return run(tests + after, "--lock-order", "--lock-stall=0.3", *options)

    return checked


# Deadlocks with the thread of the test ----------------------------------------------------------------


def test_a_deadlock_with_the_thread_of_the_test_fails_the_test_and_ends_it(check: Check) -> None:
    result = check(
        """
def test_deadlock():
    ready = threading.Barrier(2)
    in_thread(take_two, a, b, ready)
    take_two(b, a, ready)
""",
        "-W",
        "error",  # if the other thread raised, too
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["E *the wait for 'a' (exclusive), held by thread other, took too long and was ended"])
    result.stdout.fnmatch_lines(["*test_deadlock*", "*deadlock*", "FAILED *::test_deadlock*"])
    result.stdout.fnmatch_lines_random(["*thread other*'b'*", "*thread MainThread*'a'*"])


def test_a_lock_that_is_taken_twice_by_one_thread_is_such_a_deadlock(check: Check) -> None:
    result = check("""
async def test_at_once(concurrently):
    await concurrently.tasks(asyncio.sleep, 2)

def test_twice():
    with a, a:
        pass
""")
    result.assert_outcomes(failed=1, passed=2)


def test_a_deadlock_that_a_test_leaves_behind_fails_that_test_alone(check: Check) -> None:
    result = check("""
def test_leaves_two():
    crosswise(in_thread)
    until(lambda: len(waits.under_way()) == 2)
""")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["FAILED *::test_leaves_two*"])


# Stalls -----------------------------------------------------------------------------------------------


def test_a_wait_that_is_only_long_fails_as_a_stall(check: Check) -> None:
    result = check("""
def test_long():
    with held_elsewhere(a):
        take(a)
""")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "E *stall: waiting for too long",
            "E *thread MainThread has waited * s for 'a' (exclusive), at",
            "E *in test_long",
            "E *which thread other holds, now at",
            "E *in held_elsewhere.<locals>.hold",
        ]
    )
    assert "deadlock" not in result.stdout.str()
    assert not [line for line in result.outlines if line.startswith("E ") and "_pytest" in line]


def test_a_long_wait_of_a_thread_in_the_background_fails_the_test_that_it_is_in(check: Check) -> None:
    result = check("""
def test_background():
    with a:
        thread = in_thread(take, a)
        until(lambda: watchdog.incidents)
    thread.join()
""")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*stall*", "FAILED *::test_background*"])


def test_a_wait_that_outlasts_its_test_fails_no_later_test(check: Check) -> None:
    result = check(
        """
@pytest.fixture(scope="module")
def busy():
    with held_elsewhere(a) as release:
        thread = in_thread(take, a)
        until(waits.under_way)
        yield
        release()
        thread.join()

@pytest.fixture
def fails_at_its_end(busy):
    yield
    raise ValueError

def test_first(fails_at_its_end):
    pass
""",
        "--lock-stall=600",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["ERROR *::test_first - ValueError"])


FIRST_ARGUMENT = {"Semaphore": "1, ", "observe_lock": "threading.Lock(), "}


@pytest.mark.parametrize("kind", ["Lock", "RLock", "RWLock.read", "RWLock.write", "Semaphore", "observe_lock"])
def test_a_wait_for_a_lock_of_any_kind_is_ended_and_leaves_the_lock_as_it_was(check: Check, kind: str) -> None:
    name, _, side = kind.partition(".")
    result = check(
        f"""
lock = {name}({FIRST_ARGUMENT.get(name, "")}name="it")
taken = lock{".write()" * (name == "RWLock")}
asked = lock{f".{side}()" * (side != "")}

@pytest.fixture(scope="module", autouse=True)
def release():
    with held_elsewhere(taken) as release:
        yield release

def test_long():
    take(asked)

def test_long_again():
    take(asked)

def test_free_afterwards(release):
    assert not waits.under_way()
    release()
    take(taken)
""",
        after="",
    )
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["E *the wait for 'it' (*), held by *, took too long and was ended"])


# Tasks ------------------------------------------------------------------------------------------------


def test_tasks_that_deadlock_fail_the_test_and_end_it(check: Check) -> None:
    result = check("""
async def test_tasks():
    x, y = AsyncLock("x"), AsyncLock("y")
    await asyncio.gather(take_two_as_a_task(x, y), take_two_as_a_task(y, x))

async def test_loop():
    await asyncio.sleep(0)
""")
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(["*deadlock*", "FAILED *::test_tasks*"])


def test_a_blocked_event_loop_fails_the_test_and_is_unblocked(check: Check) -> None:
    result = check("""
async def test_blocked():
    async def keep():
        with a:
            await asyncio.sleep(0.01)
    async def block():
        take(a)
    await asyncio.gather(keep(), block())

async def test_loop():
    await asyncio.sleep(0)
""")
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(["*deadlock*", "FAILED *::test_blocked*"])


# Tests that wait for other threads --------------------------------------------------------------------


def test_a_test_that_waits_for_threads_in_a_deadlock_comes_back(check: Check) -> None:
    result = check(
        """
def test_join():
    for thread in crosswise(in_thread):
        thread.join()

def test_result():
    with ThreadPoolExecutor(2) as pool:
        for future in crosswise(pool.submit):
            future.result()

def test_queue():
    ended = queue.Queue()
    def work(*of):
        try:
            take_two(*of)
        finally:
            ended.put(None)
    crosswise(lambda _, *of: in_thread(work, *of))
    ended.get()
    ended.get()

async def test_to_thread():
    await asyncio.gather(*crosswise(asyncio.to_thread))

def test_locks_are_free():
    assert not a.locked() and not b.locked()
""",
        "--show-capture=no",
        "-rN",
    )
    result.assert_outcomes(failed=4, passed=2)
    assert result.stdout.str().count("deadlock: none of these can go on") == 4


def test_a_test_that_joins_a_thread_which_waits_for_the_test_comes_back(check: Check) -> None:
    result = check("""
def test_join():
    with a:
        in_thread(take, a).join()

def test_result():
    with a, ThreadPoolExecutor(1) as pool:
        pool.submit(take, a).result()

async def test_to_thread():
    with a:
        await asyncio.to_thread(take, a)
""")
    result.assert_outcomes(failed=3, passed=1)


def test_a_test_that_waits_for_tasks_in_the_event_loop_of_another_thread_comes_back(check: Check) -> None:
    result = check("""
@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    thread = in_thread(loop.run_forever)
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

def test_tasks(loop):
    x, y = AsyncLock("x"), AsyncLock("y")
    tasks = [take_two_as_a_task(*of) for of in ((x, y), (y, x))]
    for future in [asyncio.run_coroutine_threadsafe(task, loop) for task in tasks]:
        future.result()

def test_blocked(loop):
    async def block():
        take(a)
    with a:
        asyncio.run_coroutine_threadsafe(block(), loop).result()
""")
    result.assert_outcomes(failed=2, passed=1)


def test_a_deadlock_with_a_test_that_cannot_be_ended_itself_is_ended_in_the_other_thread(check: Check) -> None:
    result = check(
        """
import multiprocessing

def with_the_main_thread(lock, ready):
    with lock:
        ready.set()
        take(a)

def test_observed():
    lock, ready = observe_lock(multiprocessing.Lock(), "observed"), threading.Event()
    with a:
        in_thread(with_the_main_thread, lock, ready)
        ready.wait(60)
        take(lock)

def test_condition():
    condition, ready = Condition(name="condition"), threading.Event()
    with a, condition:
        in_thread(with_the_main_thread, condition, ready)
        condition.wait_for(ready.is_set, timeout=0.01)
""",
        "--show-capture=no",
        "-rN",
    )
    result.assert_outcomes(failed=2, passed=1)
    assert result.stdout.str().count("deadlock: none of these can go on") == 2


# Waits of earlier tests, and tests without checks -----------------------------------------------------


def test_what_an_earlier_test_left_is_ended_before_it_blocks_a_later_one(check: Check) -> None:
    result = check(
        """
@pytest.fixture(scope="module")
def worker():
    thread = threading.Thread(target=take, args=(a,))
    yield thread
    thread.join()  # it waits for a lock that is lost

def test_loses(worker):
    a.acquire()
    worker.start()
    until(waits.under_way)

@pytest.mark.lock_order(check=False)  # it stalls and leaves its wait
def test_stalls():
    b.acquire()
    in_thread(b.acquire)
    until(lambda: [wait for wait in waits.under_way() if wait.lock is b and wait.reported])

def test_itself():
    b.acquire()

def test_passes(worker):
    pass
""",
        after="",
    )
    result.assert_outcomes(failed=2, passed=2)
    result.stdout.fnmatch_lines(["FAILED *::test_loses*", "FAILED *::test_itself*"])


def test_a_thread_that_idles_at_a_semaphore_is_not_ended_by_later_tests(check: Check) -> None:
    result = check(
        """
@pytest.fixture(scope="module")
def jobs():
    jobs, done = Semaphore(0, "jobs"), []
    thread = in_thread(lambda: jobs.acquire() and done.append(True))
    until(waits.under_way)
    yield jobs
    jobs.release()
    thread.join()
    assert done

def test_begins_it(jobs):
    pass

def test_takes_long(jobs):
    wait, = waits.under_way()
    looks = []
    watchdog.after_look.append(lambda: looks.append(time.perf_counter() - wait.since > 0.3))
    until(lambda: sum(looks) > 3)
    watchdog.after_look.pop()
""",
        after="",
    )
    result.assert_outcomes(passed=2)


def test_a_marked_test_may_stall(check: Check) -> None:
    result = check(
        """
pytestmark = pytest.mark.lock_order(check=False)

def test_background():
    with a:
        thread = in_thread(take, a)
        until(lambda: watchdog.incidents)
    thread.join()

def test_itself():
    watchdog.incidents.clear()
    taken = threading.Event()
    def hold():
        with a:
            taken.set()
            until(lambda: watchdog.incidents)
    in_thread(hold)
    taken.wait(60)
    take(a)
""",
        after="",
    )
    result.assert_outcomes(passed=2)
