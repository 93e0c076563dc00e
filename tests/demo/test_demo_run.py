"""Early ends of the demo: a signal, or a Prometheus that fails. `make demo` runs all its proofs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.prometheus, pytest.mark.slow]

SECONDS = 180
COMMAND = [str(Path(sys.executable).with_name("mnemoscope")), "demo"]


def children_of(parent: int) -> set[int]:
    """Return the processes that `parent` started, as the kernel lists them."""
    found = set()
    for task in Path(f"/proc/{parent}/task").iterdir():
        found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def demo(folder: Path, prometheus: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a demo in `folder`, and kill it at the end of the block."""
    environment = {**os.environ, "MNEMOSCOPE_PROMETHEUS": str(prometheus)}
    process = subprocess.Popen(
        COMMAND, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"it ended before it said {text!r}:\n{said}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demo_that_is_stopped_by_a_signal_leaves_no_process_no_port_and_no_file(
    tmp_path: Path, prometheus_binary: Path, number: signal.Signals, code: int
) -> None:
    with demo(tmp_path, prometheus_binary) as process:
        said = read_until(process, "Prometheus ")
        pids = children_of(process.pid)
        assert len(pids) == 3, "two instances and Prometheus"

        process.send_signal(number)
        rest, _ = process.communicate(timeout=SECONDS)

    assert process.returncode == code, rest
    assert "Traceback" not in rest
    assert all(ended(pid) for pid in pids)
    for port in map(int, re.findall(r"127\.0\.0\.1:(\d+)", said)):
        with socket.create_server(("127.0.0.1", port)):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_demo_whose_prometheus_dies_fails_in_one_line_and_stops_the_rest(
    tmp_path: Path, prometheus_binary: Path
) -> None:
    with demo(tmp_path, prometheus_binary) as process:
        read_until(process, "Prometheus ")
        pids = children_of(process.pid)
        (prometheus,) = (pid for pid in pids if "--config.file" in Path(f"/proc/{pid}/cmdline").read_text())

        os.kill(prometheus, signal.SIGKILL)
        rest, _ = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert "Prometheus" in rest.splitlines()[-1]
    assert "Traceback" not in rest
    assert all(ended(pid) for pid in pids)


def test_a_prometheus_that_does_not_start_is_reported_in_one_line(
    tmp_path: Path, fake_program: Callable[[str, str], Path]
) -> None:
    script = 'case "$1" in --version) echo "prometheus, version 9.9.9";; *) echo "no such flag" >&2; exit 2;; esac'
    with demo(tmp_path, fake_program("prometheus", script)) as process:
        said, _ = process.communicate(timeout=SECONDS)

    assert process.returncode == 2
    assert said.splitlines()[-1] == "mnemoscope: error: Prometheus ended while it started: no such flag"


def test_a_missing_prometheus_is_reported_in_one_line(tmp_path: Path) -> None:
    with demo(tmp_path, Path("/nowhere/prometheus")) as process:
        said, _ = process.communicate(timeout=SECONDS)

    assert process.returncode == 2
    (line,) = said.splitlines()
    assert line.startswith("mnemoscope: error: MNEMOSCOPE_PROMETHEUS: /nowhere/prometheus is not a program")
