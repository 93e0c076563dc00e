"""Child processes that never outlive the run that started them, however that run ends.

A child gets its own process group. So stopping it also stops the processes that it started, and Ctrl-C in the terminal
reaches only the run, which then stops its children in order. On Linux the kernel also kills the child when its parent
dies without a chance to clean up.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mnemoscope.errors import MnemoscopeError

# Runs in the child before the program: requests a kill when the parent dies (PR_SET_PDEATHSIG is 1), checks that the
# parent has not died already, and executes the program. It is a separate program, because code between fork and exec
# in a process with threads may deadlock.
_GUARD = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""
_POLL_SECONDS = 0.05
# The log format of Prometheus and Alertmanager. The first error is the cause; later ones are its consequences.
_LOGGED_ERROR = re.compile(r'level=error\b.*?\berr="((?:[^"\\]|\\.)*)"')
STOP_SECONDS = 10.0
"""How long a child may take to stop by itself before it is killed."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running program: its name for messages, its process, and the file with its output."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """Return the reason why it ended: the first error that it logged as `err=`, or its last line of output."""
        text = self.log.read_text(encoding="utf-8", errors="replace").strip()
        if logged := _LOGGED_ERROR.search(text):
            return logged[1].replace('\\"', '"')
        return text.splitlines()[-1].strip() if text else "it printed nothing"

    def require_running(self) -> None:
        """Check that the program runs.

        Raises:
            MnemoscopeError: it has ended.
        """
        if not self.running:
            raise MnemoscopeError(f"{self.name} ended: {self.last_words()}", exit_code=1)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready` returns True.

        Raises:
            MnemoscopeError: the program ended first, or `seconds` passed.
        """
        end = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise MnemoscopeError(f"{self.name} ended while it started: {self.last_words()}")
            if time.monotonic() > end:
                raise MnemoscopeError(f"{self.name} was not ready within {seconds:g} s: {self.last_words()}")
            time.sleep(_POLL_SECONDS)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Stop the program and its children: with SIGTERM, then after `seconds` with SIGKILL. May be called twice."""
        if self.running:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        self._signal(signal.SIGKILL)  # every process that is left in its group
        self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def start(name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Child:
    """Start `command` with its output in the file `log` and `environment` added to this process's environment.

    Call it from the main thread: the kernel kills the child when the thread that started it ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _GUARD, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    return Child(name, process, log)


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, program: str) -> None:
    """Check that a port of 127.0.0.1 is free.

    Raises:
        MnemoscopeError: it is in use.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise MnemoscopeError(
                f"port {port} for {program} cannot be used: {error.strerror}; stop what listens there or choose another"
            ) from None
