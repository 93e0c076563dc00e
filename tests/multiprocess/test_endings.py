"""Processes that end in every way directly after their work: nothing that they recorded is lost."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mp_helpers import histogram, point, until, value

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint

pytestmark = pytest.mark.slow

Member = Callable[..., Registry]
Run = Callable[[str], "subprocess.CompletedProcess[str]"]

HEAD = """
import concurrent.futures, ctypes, multiprocessing, os, signal, sys, time
import mnemoscope as scope
from mnemoscope import catalog
from mp_tasks import task
"""
METHODS = ("fork", "spawn", "forkserver")


@pytest.fixture
def run(directory: Path) -> Run:
    """Runs a script whose processes share the directory."""

    def program(script: str) -> subprocess.CompletedProcess[str]:
        here = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
        return subprocess.run(
            [sys.executable, "-c", HEAD + textwrap.dedent(script)],
            env={**os.environ, "MNEMOSCOPE_MULTIPROC_DIR": str(directory), "PYTHONPATH": here},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return program


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_that_is_terminated_after_short_tasks_loses_none(method: str, run: Run, member: Member) -> None:
    done = run(f"""
    scope.counter(catalog.CACHE_STALE_READS, cache="parent").inc()
    for _ in range(5):
        with multiprocessing.get_context({method!r}).Pool(3) as pool:
            assert sorted(pool.imap_unordered(task, range(100))) == list(range(100))
    """)
    assert not done.stderr

    reader = member()
    assert value(reader, catalog.CACHE_STALE_READS, "a") == 500
    found = histogram(reader, catalog.LOCK_WAIT_DURATION, "x", "read")
    assert (found.observations, found.sum) == (500, 5 * sum(range(100)))


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_that_replaces_its_workers_after_each_task_loses_none(method: str, run: Run, member: Member) -> None:
    done = run(f"""
    with multiprocessing.get_context({method!r}).Pool(3, maxtasksperchild=1) as pool:
        assert pool.map(task, range(15), chunksize=1) == list(range(15))
    """)
    assert not done.stderr

    assert value(member(), catalog.CACHE_STALE_READS, "a") == 15


@pytest.mark.parametrize("method", METHODS)
def test_an_executor_of_processes_loses_nothing(method: str, run: Run, member: Member) -> None:
    done = run(f"""
    context = multiprocessing.get_context({method!r})
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(task, range(20))) == list(range(20))
    """)
    assert not done.stderr

    assert value(member(), catalog.CACHE_STALE_READS, "a") == 20


@pytest.mark.parametrize(
    "ending",
    [
        "os._exit(0)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.abort()",
        "ctypes.string_at(0)",
        "os.execv('/bin/true', ['true'])",
        "sys.exit()",
        "raise ValueError",
    ],
)
@pytest.mark.parametrize("forked", [True, False])
def test_a_process_may_end_in_any_way_directly_after_its_work(
    ending: str, forked: bool, run: Run, member: Member
) -> None:
    run(f"""
    scope.counter(catalog.CACHE_STALE_READS, cache="a")
    if {forked} and os.fork():
        os.wait()
        os._exit(0)
    for number in range(2500):
        task(number)
    scope.counter(catalog.CACHE_STALE_READS, cache="b").inc(7)
    {ending}
    """)

    reader = member()
    assert value(reader, catalog.CACHE_STALE_READS, "a") == 2500
    assert value(reader, catalog.CACHE_STALE_READS, "b") == 7
    found = histogram(reader, catalog.LOCK_WAIT_DURATION, "x", "read")
    assert (found.observations, found.sum) == (2500, sum(range(2500)))
    assert value(reader, catalog.CACHE_STALE_READS, "a") == 2500, "also out of the archive"


def test_a_setting_that_outlives_its_process_is_there_at_once(run: Run, member: Member) -> None:
    run("""
    task(1)
    for rate in (0.5, 0.25):
        scope.gauge(catalog.MEMORY_COHORT_SAMPLING).set(rate)
    os._exit(0)
    """)

    assert value(member(), catalog.MEMORY_COHORT_SAMPLING) == 0.25


def test_work_that_comes_after_a_pause_is_there_at_once(run: Run, member: Member) -> None:
    done = run("""
    from mnemoscope.instrumentation.multiprocess import mode
    task(1)
    shared = scope.default_registry().multiprocess
    while shared._publisher._log.free:  # until it is idle
        time.sleep(0.01)
    task(2)
    os._exit(0)
    """)
    assert not done.stderr

    assert value(member(), catalog.CACHE_STALE_READS, "a") == 2


WORKERS = """
import mmap, struct, threading
sys.setswitchinterval(1e-5)
done = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 32)
counter = scope.counter(catalog.CACHE_STALE_READS, cache="a")
times = scope.histogram(catalog.EPISODE_STEP_FLUSH_DURATION, outcome="ok")
def work(number):
    count = 0
    while True:
        sum(range(5000))  # as many recordings as a busy service makes, not as many as are possible
        counter.inc()
        times.observe(0.25)
        scope.counter(catalog.CACHE_STALE_READS, cache=f"{number}-{count % 50}").inc()
        count += 1
        struct.pack_into("<Q", done, 8 * number, count)
for number in range(4):
    threading.Thread(target=work, args=(number,)).start()
"""


def test_threads_in_the_midst_of_recording_lose_only_what_is_under_way(
    directory: Path, member: Member, tmp_path: Path
) -> None:
    reader = member()
    progress = tmp_path / "progress"
    finished, chance = 0, random.Random(5)
    for kill in range(12):
        progress.write_bytes(bytes(32))
        with subprocess.Popen(
            [sys.executable, "-c", HEAD + WORKERS, str(progress)],
            env={**os.environ, "MNEMOSCOPE_MULTIPROC_DIR": str(directory), "PYTHONPATH": str(Path(__file__).parent)},
        ) as process:
            until(lambda: all(struct.unpack("<4Q", progress.read_bytes())), "every thread is at work")
            time.sleep(chance.random() / 5)
            process.kill()
        finished += sum(struct.unpack("<4Q", progress.read_bytes()))

        shown = reader.snapshot()
        counted, times = (
            value(shown, catalog.CACHE_STALE_READS, "a"),
            point(shown, catalog.EPISODE_STEP_FLUSH_DURATION, "ok"),
        )
        assert counted is not None
        assert isinstance(times, HistogramPoint)
        assert finished <= counted <= finished + 4 * (kill + 1)
        assert finished <= times.observations <= finished + 4 * (kill + 1)
        assert times.sum == 0.25 * times.observations
        (family,) = [family for family in shown.families if family.metric is catalog.CACHE_STALE_READS]
        others = sum(found.value for found in family.points if "-" in found.labels[0])
        assert finished <= others <= finished + 4 * (kill + 1)
