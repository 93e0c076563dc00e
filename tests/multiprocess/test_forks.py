"""A fork: the files, threads, counts and settings of the child and the parent."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mp_helpers import until, value

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.recording.registry import Registry

pytestmark = pytest.mark.slow

Member = Callable[..., Registry]

HEAD = """
import os, subprocess, sys, threading, time
import mnemoscope as scope
from mnemoscope import catalog

def tasks():
    return len(os.listdir("/proc/self/task"))

def files():
    return len([name for name in os.listdir(os.environ["MNEMOSCOPE_MULTIPROC_DIR"]) if name.endswith(".cells")])

def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            sys.stdout.flush()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
"""


def command(script: str) -> list[str]:
    return [sys.executable, "-c", HEAD + textwrap.dedent(script)]


def run(directory: Path, script: str) -> list[str]:
    """Return the lines printed by a program whose processes share the directory."""
    done = subprocess.run(
        command(script),
        # Python 3.12 warns of any fork in a process with threads.
        env={**os.environ, "MNEMOSCOPE_MULTIPROC_DIR": str(directory), "PYTHONWARNINGS": "ignore::DeprecationWarning"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert not done.stderr
    return done.stdout.splitlines()


# What a child makes ---------------------------------------------------------------------------------


def test_a_child_that_records_nothing_makes_no_file_and_no_thread(directory: Path) -> None:
    lines = run(
        directory,
        """
        scope.counter(catalog.CACHE_STALE_READS, cache="a").inc()
        in_child(lambda: print(files(), tasks()))
        subprocess.run(["true"], preexec_fn=lambda: (time.sleep(0.2), print(files(), tasks(), flush=True)))
        in_child(sys.exit)
        subprocess.run([sys.executable, "-c", "pass"], preexec_fn=int)
        print(files())
        """,
    )
    assert lines == ["1 1", "1 1", "1"]


@pytest.mark.parametrize(
    "act",
    [
        'scope.counter(catalog.CACHE_STALE_READS, cache="a").inc()',
        'scope.counter(catalog.CACHE_STALE_READS, cache="new").inc(0.0)',
        'scope.declare(catalog.CACHE_STALE_READS, cache="declared")',
        'scope.gauge(catalog.LOCK_WAITERS, lock="x", mode="read").inc()',
        "scope.gauge(catalog.MEMORY_COHORT_SAMPLING).set(1)",
        "scope.snapshot()",
    ],
)
def test_a_child_begins_when_it_records_declares_or_is_scraped(act: str, directory: Path) -> None:
    lines = run(
        directory,
        f"""
        scope.counter(catalog.CACHE_STALE_READS, cache="a").inc()
        scope.gauge(catalog.LOCK_WAITERS, lock="x", mode="read").inc()
        scope.gauge(catalog.MEMORY_COHORT_SAMPLING).set(0)
        def work():
            {act}
            print(files(), tasks())
            {act}
            print(files(), tasks())
        in_child(work)
        """,
    )
    assert lines == ["2 3", "2 3"]


def test_a_child_of_a_child_that_recorded_nothing_counts_as_any_other(directory: Path, member: Member) -> None:
    lines = run(
        directory,
        """
        counter = scope.counter(catalog.CACHE_STALE_READS, cache="a")
        counter.inc(100)
        in_child(lambda: in_child(lambda: (counter.inc(), print(files()))))
        """,
    )
    assert lines == ["2"]
    assert value(member(), catalog.CACHE_STALE_READS, "a") == 101


def test_a_fork_in_a_thread_while_others_record_loses_and_doubles_nothing(directory: Path, member: Member) -> None:
    lines = run(
        directory,
        """
        sys.setswitchinterval(1e-5)
        counters = [scope.counter(catalog.CACHE_STALE_READS, cache=cache) for cache in "abc"]
        stopped = threading.Event()
        counts = [0, 0, 0]
        def work(number):
            while not stopped.is_set():
                counters[number].inc()
                counts[number] += 1
        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            in_child(lambda: [counters[2].inc() for _ in range(50)])
        stopped.set()
        for thread in threads:
            thread.join()
        print(*counts, flush=True)
        os._exit(0)
        """,
    )
    expected = [float(count) for count in lines[0].split()]
    reader = member()
    assert [value(reader, catalog.CACHE_STALE_READS, cache) for cache in "abc"] == [*expected[:2], 1000]


def test_what_a_full_log_could_not_take_during_a_fork_outlives_the_process(directory: Path, member: Member) -> None:
    run(
        directory,
        """
        from mnemoscope.instrumentation.multiprocess import mode as module
        module.PUBLISH_SECONDS = 3600  # no pass of the publishing thread comes to help
        counter = scope.counter(catalog.CACHE_STALE_READS, cache="a")
        counter.inc(0.0)
        time.sleep(0.2)  # its first pass is over
        mode = scope.default_registry().multiprocess
        before_fork = mode.before_fork
        def records_while_no_pass_is_allowed():
            before_fork()
            for _ in range(20_000):
                counter.inc()
        mode.before_fork = records_while_no_pass_is_allowed
        in_child(lambda: None)
        os._exit(0)
        """,
    )
    assert value(member(), catalog.CACHE_STALE_READS, "a") == 20_000


# What a parent shows --------------------------------------------------------------------------------

PARENT = """
limit = scope.gauge(catalog.COMPLETION_LIMIT)
backlog = scope.gauge(catalog.LOCK_WAITERS, lock="x", mode="read")
ready = scope.gauge(catalog.SERVICE_READY)
counter = scope.counter(catalog.CACHE_STALE_READS, cache="a")
limit.set(20)
ready.set(0)
children = []
def fork(work):
    child = os.fork()
    if child == 0:
        work()
        time.sleep(60)
        os._exit(0)
    children.append(child)
def kill():
    child = children.pop()
    os.kill(child, 9)
    os.waitpid(child, 0)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""
Tell = Callable[[str], None]


@pytest.fixture
def parent(directory: Path) -> Iterator[Tell]:
    """A process that sets gauges, and then runs commands."""
    with subprocess.Popen(
        command(PARENT),
        env={**os.environ, "MNEMOSCOPE_MULTIPROC_DIR": str(directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:

        def tell(line: str) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(line + "\n")
            assert process.stdout.readline() == "done\n"

        yield tell
        tell("while children: kill()")


def test_a_parent_goes_on_showing_its_gauges_after_a_fork(parent: Tell, member: Member) -> None:
    reader = member()
    parent("counter.inc()")
    for work in ("int", "counter.inc"):
        parent(f"fork({work})")
        until(lambda: value(reader, catalog.COMPLETION_LIMIT), "they are there")
        parent("subprocess.run(['true'], preexec_fn=int)")
        shown = 20 if work == "int" else 40
        until(lambda shown=shown: value(reader, catalog.COMPLETION_LIMIT) == shown, "its own, and the child's")
    parent("kill()")
    until(lambda: value(reader, catalog.COMPLETION_LIMIT) == 20, "its own")


def test_the_settings_of_a_parent_that_only_supervises_count_with_its_children_alone(
    parent: Tell, member: Member
) -> None:
    reader = member()
    until(lambda: value(reader, catalog.COMPLETION_LIMIT) == 20, "no other process shows it")
    parent("fork(int)")
    parent("time.sleep(0.1)")
    assert value(reader, catalog.COMPLETION_LIMIT) == 20, "this child shows nothing"
    for count in (1, 2):
        parent("fork(counter.inc)")
        until(lambda count=count: value(reader, catalog.COMPLETION_LIMIT) == 20 * count, "one for each worker")
    parent("fork(lambda: (ready.set(1), counter.inc()))")
    until(lambda: value(reader, catalog.COMPLETION_LIMIT) == 60, "a third worker")
    parent("kill()")
    parent("kill()")
    parent("kill()")
    until(lambda: value(reader, catalog.COMPLETION_LIMIT) == 20, "it is the last that shows it")
    parent("fork(lambda: (ready.set(1), counter.inc()))")
    until(lambda: value(reader, catalog.SERVICE_READY) == 1, "the value from before the fork is not the latest")


def test_what_a_parent_sets_after_the_fork_is_its_own(parent: Tell, member: Member) -> None:
    reader = member()
    parent("fork(counter.inc)")
    until(lambda: value(reader, catalog.COMPLETION_LIMIT) == 20, "the child shows it")
    parent("backlog.set(7)")
    until(lambda: value(reader, catalog.LOCK_WAITERS, "x", "read") == 7, "no child has inherited that")
    parent("counter.inc()")
    until(lambda: value(reader, catalog.COMPLETION_LIMIT) == 40, "it works as its child does")


# Several threads -------------------------------------------------------------------------------------

THREADS = """
sys.setswitchinterval(1e-6)
barrier = threading.Barrier(4)
def work(number):
    barrier.wait()
    for _ in range(5):
        scope.counter(catalog.CACHE_STALE_READS, cache="a").inc()
        scope.histogram(catalog.LOCK_WAIT_DURATION, lock=f"{number}", mode="read").observe(0.1)
"""
START = """
threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len([name for name in os.listdir(os.environ["MNEMOSCOPE_MULTIPROC_DIR"]) if name.startswith(f"{os.getpid()}-")]))
for _ in range(300):
    if tasks() != 3:  # one that was joined may take a moment to be gone
        time.sleep(0.01)
print(tasks(), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("fork", ["", "if os.fork():\n    os.wait()\n    os._exit(0)\n"])
def test_threads_that_record_first_at_once_make_one_file_and_one_pair_of_threads(
    fork: str, directory: Path, member: Member
) -> None:
    first = 'scope.counter(catalog.CACHE_STALE_READS, cache="parent").inc()\n' if fork else ""
    starts = 12
    for _ in range(starts):
        assert run(directory, THREADS + first + fork + START) == ["1", "3"]

    assert value(member(), catalog.CACHE_STALE_READS, "a") == starts * 4 * 5


def test_a_fork_waits_for_a_thread_that_is_just_sharing_the_directory(directory: Path, member: Member) -> None:
    lines = run(
        directory,
        """
        from mnemoscope.instrumentation.multiprocess.directory import Directory
        begun = threading.Event()
        check = Directory.check
        def slowly(directory):
            begun.set()
            time.sleep(0.2)
            check(directory)
        Directory.check = slowly
        thread = threading.Thread(target=scope.default_registry)
        thread.start()
        begun.wait()
        in_child(lambda: (scope.counter(catalog.CACHE_STALE_READS, cache="a").inc(), print(files())))
        """,
    )
    assert lines == ["2"]
    assert value(member(), catalog.CACHE_STALE_READS, "a") == 1
