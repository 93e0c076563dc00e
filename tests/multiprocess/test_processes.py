"""Processes of `multiprocessing`, forks, and processes that end in every way."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from mp_helpers import end, until, value

import mnemoscope as scope
from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint

pytestmark = pytest.mark.slow

Member = Callable[..., Registry]


def record(directory: Path, amount: int) -> None:
    """Do the work of a child process, which ends before its thread has published anything."""
    registry = Registry()
    assert scope.share_directory(directory, registry=registry)
    registry.counter(catalog.CACHE_STALE_READS, cache="a").inc(amount)


_inherited: list[Registry] = []


def record_in_inherited(amount: int) -> None:
    _inherited[0].counter(catalog.CACHE_STALE_READS, cache="a").inc(amount)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_that_end_normally_lose_nothing(method: str, member: Member, directory: Path) -> None:
    reader = member()
    context = multiprocessing.get_context(method)
    children = [context.Process(target=record, args=(directory, 2**i)) for i in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0

    assert value(reader, catalog.CACHE_STALE_READS, "a") == 7


def test_a_forked_child_writes_a_file_of_its_own_and_begins_at_zero(member: Member) -> None:
    parent = member()
    parent.counter(catalog.CACHE_STALE_READS, cache="a").inc(100)
    _inherited[:] = [parent]
    children = [multiprocessing.get_context("fork").Process(target=record_in_inherited, args=(2**i,)) for i in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()

    assert value(parent, catalog.CACHE_STALE_READS, "a") == 107


def run(directory: Path, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Start a process that runs `script` in multi-process mode."""
    head = "import os, signal, sys, time\nimport mnemoscope as scope\nfrom mnemoscope import catalog\n"
    return subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(script)],
        env={**os.environ, "MNEMOSCOPE_MULTIPROC_DIR": str(directory)},
        capture_output=True,
        text=True,
        check=check,
        timeout=60,
    )


def test_a_parent_counts_as_dead_though_a_child_that_it_forked_lives(member: Member, directory: Path) -> None:
    # A lock belongs to the open file, which a child shares: the child has to let go of it.
    reader = member()
    done = run(
        directory,
        """
        scope.gauge(catalog.LOCK_WAITERS, lock="x", mode="read").set(3)
        scope.counter(catalog.CACHE_STALE_READS, cache="a").inc(5)
        scope.snapshot()
        child = os.fork()
        if child == 0:
            os.close(1), os.close(2)
            scope.counter(catalog.CACHE_STALE_READS, cache="b").inc()
            time.sleep(60)
        scope.gauge(catalog.LOCK_WAITERS, lock="x", mode="read").set(4)
        print(child, flush=True)
        scope.snapshot()
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        check=False,
    )
    child = int(done.stdout)
    try:
        os.kill(child, 0)
        # What was set before the fork is the child's setting too; what the parent set after it is gone with it.
        until(lambda: value(reader, catalog.LOCK_WAITERS, "x", "read") == 3, "the child shows its own gauge")
        assert value(reader, catalog.CACHE_STALE_READS, "a") == 5
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_killed_process_keeps_what_was_published(member: Member, directory: Path) -> None:
    reader = member()
    for _ in range(3):
        done = run(
            directory,
            """
            scope.counter(catalog.CACHE_STALE_READS, cache="a").inc(5)
            scope.gauge(catalog.LOCK_WAITERS, lock="x", mode="read").inc()
            scope.snapshot()
            os.kill(os.getpid(), signal.SIGKILL)
            """,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
    assert value(reader, catalog.CACHE_STALE_READS, "a") == 15
    assert value(reader, catalog.LOCK_WAITERS, "x", "read") is None


def test_a_program_that_is_started_does_not_keep_its_starter_alive(member: Member, directory: Path) -> None:
    reader = member()
    done = run(
        directory,
        """
        import subprocess
        scope.gauge(catalog.LOCK_WAITERS, lock="x", mode="read").set(3)
        scope.snapshot()
        child = subprocess.Popen(["sleep", "60"], close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        print(child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        check=False,
    )
    try:
        assert value(reader, catalog.LOCK_WAITERS, "x", "read") is None
    finally:
        os.kill(int(done.stdout), signal.SIGKILL)


MASTER = """
import os, sys, time
import mnemoscope as scope
from mnemoscope import catalog
scope.gauge(catalog.MEMORY_COHORT_SAMPLING).set(0.1)
scope.snapshot()
print("set", flush=True)
sys.stdin.readline()
child = os.fork()
if child == 0:
    scope.snapshot()
    print(os.getpid(), flush=True)
    time.sleep(60)
sys.stdin.readline()
os.kill(child, 9)
"""


def test_a_worker_forked_later_does_not_undo_a_newer_setting(member: Member, directory: Path) -> None:
    worker = member()
    with subprocess.Popen(
        [sys.executable, "-c", MASTER],
        env={**os.environ, "MNEMOSCOPE_MULTIPROC_DIR": str(directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as master:
        assert master.stdout is not None
        assert master.stdin is not None
        assert master.stdout.readline() == "set\n"
        worker.gauge(catalog.MEMORY_COHORT_SAMPLING).set(0.5)
        assert value(worker, catalog.MEMORY_COHORT_SAMPLING) == 0.5
        master.stdin.write("fork\n")
        child = int(master.stdout.readline())
        assert list(directory.glob(f"{child}-*.cells")), "the child has published what it inherited"

        assert value(worker, catalog.MEMORY_COHORT_SAMPLING) == 0.5
        master.stdin.write("end\n")


@pytest.mark.parametrize("obstacle", ["file", "read-only"])
def test_a_directory_that_cannot_be_used_costs_one_line_and_nothing_else(obstacle: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    if obstacle == "file":
        place.write_text("not a directory")
    else:
        place = Path("/proc/no-such-directory")
    done = run(
        place / "cells",
        """
        scope.counter(catalog.CACHE_STALE_READS, cache="a").inc(5)
        print([p.value for f in scope.snapshot().families for p in f.points if f.metric is catalog.CACHE_STALE_READS])
        """,
    )

    assert done.stdout.strip() == "[5.0]"
    (line,) = done.stderr.strip().splitlines()
    assert "multi-process mode is off" in line


def test_a_directory_that_vanishes_is_made_again(member: Member, directory: Path) -> None:
    import shutil

    first, second = member(), member()
    first.counter(catalog.CACHE_STALE_READS, cache="a").inc(2)
    second.counter(catalog.CACHE_STALE_READS, cache="a").inc(3)
    assert first.snapshot()
    shutil.rmtree(directory)

    assert until(lambda: value(second, catalog.CACHE_STALE_READS, "a") == 5, "both have come back")


def test_the_environment_and_configure_say_the_same(directory: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    done = run(
        directory,
        f"""
        scope.configure(multiprocess_dir={str(other)!r})  # too late: the registry shares a directory already
        scope.snapshot()
        print(os.path.exists({str(other)!r}))
        """,
    )
    assert done.stdout.strip() == "False"
    assert list(directory.glob("*.cells"))
    script = f"import mnemoscope as s; s.configure(multiprocess_dir={str(other)!r}); s.snapshot()"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    assert list(other.glob("*.cells"))


WRITER = """
import os, sys
import mnemoscope as scope
from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.recording.registry import Registry
registry = Registry()
scope.share_directory(sys.argv[1], registry=registry)
series = [registry.histogram(catalog.LOCK_WAIT_DURATION, lock=f"l{i}", mode="read") for i in range(60)]
registry.multiprocess._publish()
print("published", flush=True)
while True:
    for one in series:
        one.observe(0.25)
    registry.multiprocess._publish()
"""


def test_a_reader_never_sees_half_of_a_value_that_a_writer_changes_without_pause(
    member: Member, directory: Path
) -> None:
    reader = member()
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(directory)], stdout=subprocess.PIPE) for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()
        last: dict[tuple[str, ...], int] = {}
        changes = 0
        for _ in range(300):
            (family,) = [f for f in reader.snapshot().families if f.metric is catalog.LOCK_WAIT_DURATION]
            for point in family.points:
                assert isinstance(point, HistogramPoint)
                count = point.observations
                assert point.sum == 0.25 * count
                assert count >= last.get(point.labels, 0)
                changes += count > last.get(point.labels, 0)
                last[point.labels] = count
        assert changes > 1000, "the writers wrote meanwhile"
        assert value(reader, catalog.INSTRUMENTATION_FILES_REJECTED, "corrupt") == 0
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()


def test_a_shortage_of_open_files_fails_a_scrape_and_sets_nothing_aside(
    member: Member, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, reader = member(), member()
    worker.counter(catalog.CACHE_STALE_READS, cache="a").inc()
    worker.snapshot()
    assert value(reader, catalog.CACHE_STALE_READS, "a") == 1

    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", none_left)
        with pytest.raises(OSError, match="Too many open files"):
            reader.snapshot()
    assert value(reader, catalog.CACHE_STALE_READS, "a") == 1
    assert not list(directory.glob("*.bad"))


def test_a_push_carries_what_its_own_process_recorded(member: Member) -> None:
    first, second = member(), member()
    first.counter(catalog.CACHE_STALE_READS, cache="a").inc(2)
    second.counter(catalog.CACHE_STALE_READS, cache="a").inc(3)
    first.snapshot()

    assert value(second.own_snapshot(), catalog.CACHE_STALE_READS, "a") == 3
    assert value(second.snapshot(), catalog.CACHE_STALE_READS, "a") == 5


HOLDER = """
import ctypes, os, sys, time
import mnemoscope as scope
directory = scope.default_registry().multiprocess._directory
with directory._locked(2, 1.0):  # exclusively, as when it compacts
    child = {fork}
    if child == 0:
        time.sleep(60)
    print(child, flush=True)
    {then}
sys.stdin.readline()
"""


@pytest.mark.parametrize(
    ("fork", "then"),
    [
        ("os.fork()", "os.kill(os.getpid(), 9)"),  # the child outlives a parent that was killed while it read
        ("ctypes.CDLL(None).fork()", "pass"),  # a fork that Python knows nothing of; the parent goes on
    ],
)
def test_no_child_keeps_the_directory_locked(fork: str, then: str, member: Member, directory: Path) -> None:
    reader = member()
    with subprocess.Popen(
        [
            *(sys.executable, "-c"),
            HOLDER.format(fork=fork, then=then),
        ],
        env={**os.environ, "MNEMOSCOPE_MULTIPROC_DIR": str(directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            assert reader.snapshot().families
        finally:
            os.kill(child, signal.SIGKILL)


SCRAPER = """
import sys
import mnemoscope as scope
from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.recording.registry import Registry
registry = Registry()
scope.share_directory(sys.argv[1], registry=registry)
print("ready", flush=True)
last = 0.0
while last < float(sys.argv[2]):
    found = [p.value for f in registry.snapshot().families for p in f.points if f.metric is catalog.CACHE_STALE_READS]
    now = found[0] if found else 0.0
    assert now >= last, (last, now)
    last = now
print(last)
"""


def test_several_readers_that_compact_at_once_neither_lose_nor_double(member: Member, directory: Path) -> None:
    scrapers = [
        subprocess.Popen(
            [sys.executable, "-c", SCRAPER, str(directory), "150"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    try:
        for scraper in scrapers:
            assert scraper.stdout is not None
            scraper.stdout.readline()
        for _ in range(150):
            worker = member()
            worker.counter(catalog.CACHE_STALE_READS, cache="a").inc()
            end(worker)
        for scraper in scrapers:
            out, complaints = scraper.communicate(timeout=60)
            assert (out, scraper.returncode) == ("150.0\n", 0), complaints
    finally:
        for scraper in scrapers:
            scraper.kill()
            scraper.wait()
    assert value(member(), catalog.CACHE_STALE_READS, "a") == 150
