"""No program outlives the run that started it; a program that fails is reported in one line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mnemoscope.errors import MnemoscopeError
from mnemoscope.examples.demo import processes

SECONDS = 60.0
FOREVER = [sys.executable, "-c", "import signal; signal.pause()"]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Return whether the process has ended; a zombie has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., processes.Child]]:
    children = []

    def run(*command: str) -> processes.Child:
        child = processes.start("the program", command, tmp_path / f"{len(children)}.log")
        children.append(child)
        return child

    yield run
    for child in children:
        child.stop()


def test_a_stopped_child_is_gone_and_stopping_it_again_does_no_harm(start: Callable[..., processes.Child]) -> None:
    child = start(*FOREVER)
    assert child.running

    child.stop()
    child.stop()

    assert not child.running
    assert gone(child.process.pid)


def test_stopping_a_child_stops_what_it_started(start: Callable[..., processes.Child]) -> None:
    child = start("sh", "-c", "sleep 1000 & echo $!; wait")
    child.wait_until(lambda: bool(child.log.read_text().strip()), SECONDS)
    grandchild = int(child.log.read_text())
    assert not gone(grandchild)

    child.stop()

    wait_until(lambda: gone(grandchild), "the grandchild lives on")


def test_a_child_that_ignores_the_polite_request_is_killed(start: Callable[..., processes.Child]) -> None:
    child = start("sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done")
    child.wait_until(lambda: "deaf" in child.log.read_text(), SECONDS)

    child.stop(seconds=0.2)

    assert child.process.returncode == -signal.SIGKILL


def test_a_child_dies_with_a_parent_that_had_no_chance_to_clean_up(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from mnemoscope.examples.demo import processes
child = processes.start("orphan", {FOREVER!r}, Path({str(tmp_path / "orphan.log")!r}))
print(child.process.pid, flush=True)
sys.stdin.read()
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        child = int(parent.stdout.readline())
        assert not gone(child)

        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(SECONDS)

    wait_until(lambda: gone(child), "the child lives on")


def test_a_child_that_ends_while_it_starts_is_reported_with_its_last_line(
    start: Callable[..., processes.Child],
) -> None:
    child = start("sh", "-c", "echo loading; echo 'bad flag' >&2; exit 3")

    with pytest.raises(MnemoscopeError, match="the program ended while it started: bad flag"):
        child.wait_until(lambda: False, SECONDS)


def test_a_child_that_never_gets_ready_is_given_up(start: Callable[..., processes.Child]) -> None:
    child = start(*FOREVER)

    with pytest.raises(MnemoscopeError, match=r"the program was not ready within 0.1 s: it printed nothing"):
        child.wait_until(lambda: False, 0.1)


def test_a_program_that_does_not_exist_is_reported(start: Callable[..., processes.Child]) -> None:
    child = start("/nowhere/program")

    with pytest.raises(MnemoscopeError, match=r"ended while it started: .*No such file"):
        child.wait_until(lambda: False, SECONDS)


def test_a_taken_port_is_refused_with_its_number_and_a_free_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(MnemoscopeError, match=rf"port {port} for Grafana cannot be used: Address already in use"):
            processes.require_free(port, "Grafana")

    processes.require_free(processes.free_port(), "Grafana")
