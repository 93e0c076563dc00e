"""The locks of `threading` can be replaced by ours for a whole process: `threading.Lock = scope.Lock`, and so on.

Each use has its own process, because the replacement is permanent.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

REPLACE = """
import threading
import mnemoscope as scope

for name in ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore"):
    setattr(threading, name, getattr(scope, name))
scope.configure_locks(order="on")
"""
USES = {
    "Lock": "with threading.Lock(): pass",
    "RLock": "with threading.RLock(): pass",
    "Condition": "with (condition := threading.Condition()): condition.notify_all()",
    "Condition of a lock": "with (condition := threading.Condition(threading.Lock())): condition.wait(0)",
    "Semaphore": "with threading.Semaphore(2): pass",
    "BoundedSemaphore": "with threading.BoundedSemaphore(2): pass",
    "Event": "threading.Event().set()",
    "Barrier": "threading.Barrier(1).wait()",
    "Thread": "thread = threading.Thread(target=print); thread.start(); thread.join()",
    "Timer": "timer = threading.Timer(0, print); timer.start(); timer.join()",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_it_is_made_and_used_where_all_locks_are_ours(use: str) -> None:
    ran = subprocess.run([sys.executable, "-c", REPLACE + use], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, "\n".join(ran.stderr.splitlines()[-3:])
    assert ran.stderr == ""
