"""Start programs so that none outlives the run that started it, however that run ends.

A child gets a process group of its own, so that stopping it stops what it started, and a Ctrl-C in the
terminal reaches the run alone, which then stops its children in order. Where the kernel offers it (Linux),
the child is also killed when its parent dies without a chance to clean up.
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

# Runs in the child before the program: asks the kernel to kill it with its parent (PR_SET_PDEATHSIG is 1),
# sees that the parent did not die in between, and becomes the program. A program of its own, because code
# between fork and exec in a process with threads may deadlock.
_GUARD = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""
_POLL_SECONDS = 0.05
# How Prometheus and its kin log; the first error names the cause, later ones what came of it.
_LOGGED_ERROR = re.compile(r'level=error\b.*?\berr="((?:[^"\\]|\\.)*)"')
STOP_SECONDS = 10.0
"""How long a child may take to stop by itself before it is killed."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running program: its name for messages, its process, and the file that holds what it prints."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """Why it ended, in its own words: the first error that it logged as `err=`, or else its last line."""
        text = self.log.read_text(encoding="utf-8", errors="replace").strip()
        if logged := _LOGGED_ERROR.search(text):
            return logged[1].replace('\\"', '"')
        return text.splitlines()[-1].strip() if text else "it printed nothing"

    def require_running(self) -> None:
        """Refuse to go on without it.

        Raises:
            MnemoscopeError: it has ended.
        """
        if not self.running:
            raise MnemoscopeError(f"{self.name} ended: {self.last_words()}", exit_code=1)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready` says yes.

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
        """End it and what it started: politely first, by force after `seconds`. Harmless the second time."""
        if self.running:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        self._signal(signal.SIGKILL)  # whoever is left of its group
        self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def start(name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Child:
    """Start `command`; it prints into the file `log`, and `environment` is added to this process's own.

    Call it from the main thread: the kernel ties the child's life to the thread that started it.
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
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, who: str) -> None:
    """Refuse a port that somebody listens on.

    Raises:
        MnemoscopeError: it is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise MnemoscopeError(
                f"port {port} for {who} cannot be used: {error.strerror}; stop what listens there or choose another"
            ) from None
