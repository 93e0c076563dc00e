"""Other projects' own tests have the same outcomes when every lock in them is replaced by ours.

Nothing in those tests was written with our locks in mind. Each suite runs twice, in two processes that differ
in one thing: the locks of `threading` and `asyncio` are the standard library's, or ours with their order checked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from mnemoscope import catalog
from mnemoscope.tools import tools_dir

pytestmark = pytest.mark.slow

RUNNER = Path(__file__).with_name("with_locks_replaced.py")
LONGEST = 600.0  # seconds after which a run has hung, however busy the machine
OPTIONS = ("-q", "--tb=short", "-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider")
CONFIGURATION = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
SIGNALS = {"queue.py", "thread.py"}
"""Files of the standard library whose semaphores are signals: released by one thread, acquired and kept by another."""


@dataclass(frozen=True)
class Suite:
    """The tests of another project.

    Attributes:
        project: its name as a package; none for the tests that come with the interpreter.
        arguments: pytest's, from the folder of the project's source archive.
        passed: how many tests pass at least.
        acquisitions: how often our locks are taken at least.
        contended: how many of these have to wait at least.
        inversions: the files, one for each lock class of the cycle, of the inversions that the tests really have.
    """

    project: str
    arguments: tuple[str, ...]
    passed: int
    acquisitions: int
    contended: int
    inversions: tuple[str, ...] = ()


SUITES = (
    Suite("janus", ("tests/test_sync.py", "tests/test_async.py", "tests/test_mixed.py"), 99, 3_000, 10),
    Suite("cachetools", ("tests",), 465, 1_000, 0),
    Suite(
        "fasteners",
        (
            "tests/test_lock.py",
            "tests/test_decorators.py",
            # These last five seconds each, and the one of the four that is left does as they do.
            "--deselect=tests/test_lock.py::test_no_double_writers[False]",
            "--deselect=tests/test_lock.py::test_no_concurrent_readers_writers",
        ),
        28,
        2_000,
        50,
        # A decorator takes a list of locks that one line made: two of one class at once.
        inversions=("tests/test_decorators.py",),
    ),
    Suite(
        "",
        ("--pyargs", "test.test_queue", "test.test_threading_local", "test.test_sched"),
        80,
        10_000,
        500,
    ),
)


def sources(project: str) -> Path:
    """Return the unpacked source archive of the installed version, which contains the tests."""
    name = f"{project}-{version(project)}"
    kept = tools_dir() / "sources"
    if not (kept / name).exists():
        kept.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept) as folder:
            download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
            download += ["--no-deps", "--no-binary", ":all:", "--dest", folder, f"{project}=={version(project)}"]
            subprocess.run(download, check=True, timeout=LONGEST)
            (archive,) = Path(folder).glob("*.tar.gz")
            with tarfile.open(archive) as opened:
                opened.extractall(folder, filter="data")
            (Path(folder) / name).rename(kept / name)
    return kept / name


def run(suite: Suite, locks: str, scratch: Path) -> dict[str, Any]:
    """Run a suite with `ours` or with `theirs`, and return the report of the runner."""
    folder = sources(suite.project) if suite.project else scratch
    report, configuration = scratch / f"{locks}.json", scratch / "pytest.ini"
    configuration.write_text(CONFIGURATION, encoding="utf-8")
    command = [sys.executable, str(RUNNER), locks, str(report), "-c", str(configuration), "--rootdir", str(folder)]
    ran = subprocess.run(
        [*command, *OPTIONS, *suite.arguments],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    print(f"with {locks}:", ran.stdout, ran.stderr, sep="\n")  # pytest shows it where the test fails
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def total(found: dict[str, Any], metric: catalog.Metric) -> float:
    return sum(of_class.get(metric.name, 0) for of_class in found["classes"].values())


def file_of(lock_class: str) -> str:
    """Return the file of a class that is named after the place where its locks are made."""
    return lock_class.rpartition(":")[0]


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES, ids=[suite.project or "cpython" for suite in SUITES])
def test_every_test_has_the_outcome_that_it_has_with_the_locks_of_the_standard_library(
    suite: Suite, tmp_path: Path
) -> None:
    theirs, ours = run(suite, "theirs", tmp_path), run(suite, "ours", tmp_path)

    assert ours["outcomes"] == theirs["outcomes"]
    assert Counter(ours["outcomes"].values())["passed"] >= suite.passed
    assert total(theirs, catalog.LOCK_WAIT_DURATION) == 0
    assert total(ours, catalog.LOCK_WAIT_DURATION) >= suite.acquisitions
    assert total(ours, catalog.LOCK_CONTENDED) >= suite.contended
    wait, hold = catalog.LOCK_WAIT_DURATION.name, catalog.LOCK_HOLD_DURATION.name
    kept = {name for name, of_class in ours["classes"].items() if of_class.get(wait) != of_class.get(hold)}
    assert {Path(file_of(name)).name for name in kept} <= SIGNALS
    assert total(ours, catalog.LOCK_DEADLOCKS) == total(ours, catalog.LOCK_STALLS) == 0, ours["incidents"]
    assert tuple(map(file_of, ours["inversions"])) == suite.inversions, "\n".join(ours["inversions"].values())
