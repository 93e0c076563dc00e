"""Run the tests of another project with our locks in place of the standard ones, and report the outcomes.

    python with_locks_replaced.py ours|theirs REPORT PYTEST_ARGUMENT...

It runs as a separate process, because the locks must be replaced before anything that makes a lock is imported.
`theirs` runs the same tests with the standard locks. Both must have the same outcomes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.locks.watch import order
from mnemoscope.instrumentation.locks.watch.watchdog import watchdog
from mnemoscope.instrumentation.recording.snapshot import HistogramPoint

THREADS = ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore")
PATIENCE = 10.0  # seconds that threads which the tests left behind get to let go of their locks
SWITCH_INTERVAL = 1e-6  # seconds; threads that take turns this often find locks taken


def replace_locks() -> None:
    """Put our locks in place of those of `threading` and of `asyncio`, and check their order."""
    plain = SimpleNamespace(**vars(threading))
    for name, module in list(sys.modules.items()):
        if name.startswith("mnemoscope.") and getattr(module, "threading", None) is threading:
            vars(module)["threading"] = plain  # or making a series would make a lock, which makes a series ...
    for name in THREADS:
        setattr(threading, name, getattr(scope, name))
        if name != "RLock":  # asyncio has none
            setattr(asyncio, name, getattr(scope, f"Async{name}"))
    scope.configure_locks(order="on")


class Outcomes:
    """A plugin of pytest that keeps the outcome of each test, by file and name."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            file, _, name = report.location
            self.of[f"{file}::{name}"] = report.outcome


def counts() -> dict[str, dict[str, float]]:
    """Return what was recorded for each class of locks: values, and numbers of observations."""
    found: dict[str, dict[str, float]] = {}
    metrics = (
        catalog.LOCK_WAIT_DURATION,
        catalog.LOCK_HOLD_DURATION,
        catalog.LOCK_CONTENDED,
        catalog.LOCK_DEADLOCKS,
        catalog.LOCK_STALLS,
    )
    for family in scope.default_registry().snapshot().families:
        if family.metric in metrics:
            for point in family.points:
                value = point.observations if isinstance(point, HistogramPoint) else point.value
                key = point.labels[0] if point.labels else ""
                found.setdefault(key, {})[family.metric.name] = value
    return found


def let_go(classes: dict[str, dict[str, float]]) -> bool:
    """Return whether every lock that was taken has been released."""
    return all(
        c.get(catalog.LOCK_WAIT_DURATION.name) == c.get(catalog.LOCK_HOLD_DURATION.name) for c in classes.values()
    )


def main() -> None:
    which, report, *arguments = sys.argv[1:]
    if which == "ours":
        replace_locks()
    sys.setswitchinterval(SWITCH_INTERVAL)
    outcomes = Outcomes()
    pytest.main(arguments, plugins=[outcomes])
    deadline = time.monotonic() + PATIENCE
    while not let_go(classes := counts()) and time.monotonic() < deadline:
        time.sleep(0.1)
    found = {
        "outcomes": outcomes.of,
        "classes": classes,
        "inversions": {"/".join(inversion.classes): str(inversion) for inversion in order.inversions},
        "incidents": [str(incident) for incident in watchdog.incidents],
    }
    Path(report).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
