"""`--lock-order` fails the test in which a wait for a lock is too long, and ends that wait."""

from __future__ import annotations

import pytest
from nested_pytest import Run
from nested_pytest import run as run  # the fixture

pytest_plugins = ("pytester",)

OPTIONS = ("--lock-order", "--lock-stall=0.3")

# Two locks, each held by a thread that waits for the other; and a test that finds no wait left.
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
        "-W",
        "error",  # if the other thread raised, too
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["E *the wait for 'a' (exclusive), held by thread other, took too long and was ended"])
    result.stdout.fnmatch_lines(["*test_deadlock*", "*deadlock*", "FAILED *::test_deadlock*"])
    result.stdout.fnmatch_lines_random(["*thread other*'b'*", "*thread MainThread*'a'*"])


def test_a_lock_that_is_taken_twice_by_one_thread_is_such_a_deadlock(run: Run) -> None:
    result = run(
        """
async def test_at_once(concurrently):
    await concurrently.tasks(asyncio.sleep, 2)

def test_twice():
    with a, a:
        pass
"""
        + DEADLOCK,
        *OPTIONS,
    )
    result.assert_outcomes(failed=1, passed=2)


def test_a_deadlock_that_a_test_leaves_behind_is_its_own_and_no_later_one_s(run: Run) -> None:
    result = run(
        """
def test_leaves_two():
    ready = threading.Barrier(2)
    for first, second in ((a, b), (b, a)):
        threading.Thread(target=crosswise, args=(first, second, ready), daemon=True).start()
    until(lambda: len(waits.under_way()) == 2)
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
    until(waits.under_way)
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


FIRST_ARGUMENT = {"Semaphore": "1, ", "observe_lock": "threading.Lock(), "}


@pytest.mark.parametrize("kind", ["Lock", "RLock", "RWLock.read", "RWLock.write", "Semaphore", "observe_lock"])
def test_a_wait_for_a_lock_of_any_kind_is_ended_and_leaves_the_lock_as_it_was(run: Run, kind: str) -> None:
    name, _, side = kind.partition(".")
    result = run(
        f"""
lock = {name}({FIRST_ARGUMENT.get(name, "")}name="it")
taken = lock{".write()" * (name == "RWLock")}
asked = lock{f".{side}()" * (side != "")}
over = threading.Event()

def hold():
    with taken:
        over.wait(60)

@pytest.fixture(scope="module", autouse=True)
def holder():
    thread = threading.Thread(target=hold)
    thread.start()
    until(lambda: not taken.acquire(False) or taken.release())
    yield thread
    over.set()

def test_long():
    with asked:
        pass

def test_long_again():
    with asked:
        pass

def test_after(holder):
    assert not waits.under_way()
    over.set()
    holder.join()
    with taken:
        pass
""",
        *OPTIONS,
    )
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(["E *the wait for 'it' (*), held by *, took too long and was ended"])


def test_a_test_that_waits_for_threads_in_a_deadlock_comes_back(run: Run) -> None:
    result = run(
        """
def both(start):
    ready = threading.Barrier(2)
    return [start(first, second, ready) for first, second in ((a, b), (b, a))]

def test_join():
    threads = both(lambda *of: threading.Thread(target=crosswise, args=of))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

def test_result():
    with ThreadPoolExecutor(2) as pool:
        for future in both(lambda *of: pool.submit(crosswise, *of)):
            future.result()

def test_queue():
    ended = queue.Queue()
    def work(*of):
        try:
            crosswise(*of)
        finally:
            ended.put(None)
    both(lambda *of: threading.Thread(target=work, args=of).start())
    ended.get()
    ended.get()

async def test_to_thread():
    await asyncio.gather(*both(lambda *of: asyncio.to_thread(crosswise, *of)))

def test_locks_are_free():
    assert not a.locked() and not b.locked()
"""
        + DEADLOCK,
        *OPTIONS,
        "--show-capture=no",
        "-rN",
    )
    result.assert_outcomes(failed=4, passed=2)
    assert result.stdout.str().count("deadlock: none of these can go on") == 4


def test_a_test_that_joins_a_thread_which_waits_for_the_test_comes_back(run: Run) -> None:
    result = run(
        """
def take():
    with a:
        pass

def test_join():
    with a:
        thread = threading.Thread(target=take)
        thread.start()
        thread.join()

def test_result():
    with a, ThreadPoolExecutor(1) as pool:
        pool.submit(take).result()

async def test_to_thread():
    with a:
        await asyncio.to_thread(take)
"""
        + DEADLOCK,
        *OPTIONS,
    )
    result.assert_outcomes(failed=3, passed=1)


def test_a_test_that_waits_for_tasks_in_the_event_loop_of_another_thread_comes_back(run: Run) -> None:
    result = run(
        """
@pytest.fixture
def loop():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()

def test_tasks(loop):
    x, y = AsyncLock("x"), AsyncLock("y")
    async def take(first, second):
        async with first:
            await asyncio.sleep(0)
            async with second:
                pass
    futures = [asyncio.run_coroutine_threadsafe(take(*of), loop) for of in ((x, y), (y, x))]
    for future in futures:
        future.result()

def test_blocked(loop):
    async def take():
        with a:
            pass
    with a:
        asyncio.run_coroutine_threadsafe(take(), loop).result()
"""
        + DEADLOCK,
        *OPTIONS,
    )
    result.assert_outcomes(failed=2, passed=1)


def test_a_deadlock_with_a_test_that_cannot_be_ended_itself_is_ended_in_the_other_thread(run: Run) -> None:
    result = run(
        """
import multiprocessing

def with_the_main_thread(lock, ready):
    with lock:
        ready.set()
        with a:
            pass

def test_observed():
    lock, ready = observe_lock(multiprocessing.Lock(), "observed"), threading.Event()
    with a:
        threading.Thread(target=with_the_main_thread, args=(lock, ready), daemon=True).start()
        ready.wait(60)
        with lock:
            pass

def test_condition():
    condition, ready = Condition(name="condition"), threading.Event()
    with a, condition:
        threading.Thread(target=with_the_main_thread, args=(condition, ready), daemon=True).start()
        condition.wait_for(ready.is_set, timeout=0.01)
"""
        + DEADLOCK,
        *OPTIONS,
        "--show-capture=no",
        "-rN",
    )
    result.assert_outcomes(failed=2, passed=1)
    assert result.stdout.str().count("deadlock: none of these can go on") == 2


def test_what_an_earlier_test_left_is_ended_before_it_blocks_a_later_one(run: Run) -> None:
    result = run(
        """
def take():
    with a:
        pass

@pytest.fixture(scope="module")
def worker():
    thread = threading.Thread(target=take)
    yield thread
    thread.join()  # it waits for a lock that is lost

def test_loses(worker):
    a.acquire()
    worker.start()
    until(waits.under_way)

@pytest.mark.lock_order(check=False)  # it stalls and leaves its wait
def test_stalls():
    b.acquire()
    threading.Thread(target=b.acquire, daemon=True).start()
    until(lambda: [wait for wait in waits.under_way() if wait.lock is b and wait.reported])

def test_itself():
    b.acquire()

def test_passes(worker):
    pass
""",
        *OPTIONS,
    )
    result.assert_outcomes(failed=2, passed=2)
    result.stdout.fnmatch_lines(["FAILED *::test_loses*", "FAILED *::test_itself*"])


def test_a_thread_that_idles_at_a_semaphore_is_not_ended_by_later_tests(run: Run) -> None:
    result = run(
        """
@pytest.fixture(scope="module")
def jobs():
    jobs, done = Semaphore(0, "jobs"), []
    thread = threading.Thread(target=lambda: jobs.acquire() and done.append(True))
    thread.start()
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
        *OPTIONS,
    )
    result.assert_outcomes(passed=2)


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


# Tests that pytest-timeout ends: its signal handler raises in the test, wherever that is ----------------


@pytest.mark.parametrize("option", ["--lock-order", "--lock-stall=1"])  # with the option, and with one that is nothing
def test_a_test_that_pytest_timeout_ends_while_it_takes_locks_leaves_none_held(run: Run, option: str) -> None:
    result = run(
        """
import sys

left = []

def on_entry_of_the_release(traceback):
    # What is left to a handler's exception: the release has been called, and none of it has run.
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
over = threading.Event()
pytestmark = pytest.mark.parametrize("kind", kinds)

@pytest.fixture(scope="module", autouse=True)
def holders():
    taken = threading.Barrier(6)  # five, and the test
    def hold(lock):
        with lock:
            taken.wait(60)
            over.wait(60)
    threads = [threading.Thread(target=hold, args=(lock,)) for lock in (a, r, rw.write(), s, o)]
    for thread in threads:
        thread.start()
    taken.wait(60)
    yield threads
    over.set()

@pytest.mark.timeout(0.2, method="signal", func_only=True)
def test_waits(kind):
    with kinds[kind][1]:
        pass

def test_takes_it_afterwards(kind, holders):
    over.set()
    for thread in holders:
        thread.join()
    assert not waits.under_way()
    for lock in kinds[kind]:
        assert lock.acquire(False)
        lock.release()
""",
        "--tb=no",
    )
    result.assert_outcomes(failed=6, passed=6)
