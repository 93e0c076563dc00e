"""Kill a process at every call that changes the disk, in compaction and in publishing: nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from mp_helpers import end, mode, value

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import NumberPoint

pytestmark = pytest.mark.slow

Member = Callable[..., Registry]

KILLER = """
import os, pathlib, signal, sys

steps = int(sys.argv[1])

def kill_at(step_of):
    def call(*args, **kwargs):
        global steps
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step_of(*args, **kwargs)
    return call

def half_a_write(fd, data, at):
    global steps
    steps -= 1
    if steps == 0:
        pwrite(fd, bytes(data)[: len(data) // 2], at)
        os.kill(os.getpid(), signal.SIGKILL)
    return pwrite(fd, data, at)

def half_a_store(file, place, data):
    global steps
    steps -= 1
    if steps == 0:
        size = place.stop - place.start
        if size > 8:  # no store of eight bytes is ever half done
            half = slice(place.start, place.start + size // 2)
            file.mapping[half] = data[half]
        os.kill(os.getpid(), signal.SIGKILL)
    store(file, place, data)

from mnemoscope.instrumentation.multiprocess import own_file
own_file._STEP = 512  # the file grows often
pwrite, store = os.pwrite, own_file.OwnFile._store
def arm():
    pathlib.Path.rename = kill_at(pathlib.Path.rename)
    pathlib.Path.unlink = kill_at(pathlib.Path.unlink)
    os.open = kill_at(os.open)
    os.close = kill_at(os.close)
    os.pwrite = half_a_write
    own_file.OwnFile._store = half_a_store
"""
SHARE = """
import mnemoscope as scope
from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.multiprocess import mode
mode.PUBLISH_SECONDS = mode.EVALUATE_SECONDS = 3600  # its threads stay out of the count of steps
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import NumberPoint
registry = Registry()
scope.share_directory(sys.argv[2], registry=registry)
"""
COMPACT = (
    KILLER
    + SHARE
    + """
import time
while not registry.multiprocess._publisher._file.name:  # the first passes of its threads
    time.sleep(0.001)
time.sleep(0.05)
arm()
registry.snapshot()
"""
)
PUBLISH = (
    KILLER
    + SHARE
    + textwrap.dedent("""
import time
while not registry.multiprocess._publisher._file.name:
    time.sleep(0.001)
time.sleep(0.05)
arm()
for i in range(3):
    for cache in ("a", f"new-{i}"):
        registry.counter(catalog.CACHE_STALE_READS, cache=cache).inc()
    registry.multiprocess._publish()
    print(i, flush=True)
""")
)
MOST_STEPS = 200


def run(script: str, steps: int, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, str(steps), str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={k: v for k, v in os.environ.items() if k != "MNEMOSCOPE_MULTIPROC_DIR"},
    )


def test_a_compaction_killed_at_any_step_neither_loses_nor_doubles(member: Member, directory: Path) -> None:
    total = 0
    reader = member()
    for step in range(1, MOST_STEPS):
        for amount in (1, 10):
            worker = member()
            worker.counter(catalog.CACHE_STALE_READS, cache="a").inc(amount)
            worker.histogram(catalog.LOCK_WAIT_DURATION, lock="x", mode="read").observe(amount)
            end(worker)
            total += amount

        done = run(COMPACT, step, directory)

        merged = mode(reader)._directory.read(mode(reader)._publisher.memory_file())
        (shown,) = [p for f in merged.families() for p in f.points if f.metric is catalog.CACHE_STALE_READS]
        assert shown == NumberPoint(("a",), total), f"read without compacting, after step {step}"
        assert value(reader, catalog.CACHE_STALE_READS, "a") == total, f"after step {step}"
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.returncode == 0, "the last run was not killed"
    assert step > 12, "there are that many steps to be killed at"
    assert not list(directory.glob("*.new"))


def test_a_publication_killed_at_any_step_leaves_a_value_that_was_recorded(member: Member, directory: Path) -> None:
    reader = member()
    before = 0.0
    for step in range(1, MOST_STEPS):
        done = run(PUBLISH, step, directory)
        published = len(done.stdout.split())

        now = value(reader, catalog.CACHE_STALE_READS, "a") or 0.0
        assert published <= now - before <= published + 1, f"killed at step {step}"
        before = now
        assert value(reader, catalog.INSTRUMENTATION_FILES_REJECTED, "corrupt") == 0
        assert value(reader, catalog.INSTRUMENTATION_FILES_REJECTED, "truncated") == 0
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.returncode == 0
    assert step > 12


@pytest.mark.parametrize("leftover", ["archive.new", "99-ab.new"])
def test_what_a_killed_process_left_half_made_is_cleared_away(member: Member, directory: Path, leftover: str) -> None:
    reader, worker = member(), member()
    (directory / leftover).write_bytes(b"half")
    worker.counter(catalog.CACHE_STALE_READS, cache="a").inc()
    end(worker)

    assert value(reader, catalog.CACHE_STALE_READS, "a") == 1
    assert not (directory / leftover).exists()
