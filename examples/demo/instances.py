"""The instances of the reference service, one for each release track, and the agents that use them."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

import httpx

from mnemoscope.errors import MnemoscopeError
from mnemoscope.examples.episodic_memory import workload

from . import processes
from .proofs import Proof

TRACKS: Mapping[str, Mapping[str, str]] = {
    "stable": {"version": "1.0.0", "stage": "100"},
    "canary": {"version": "1.1.0", "stage": "25"},
}
"""The settings of each instance by release track; the canary is last."""

START_SECONDS = 40.0
"""How long an instance may take until it is ready."""

_ANSWER_SECONDS = 10.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Instance:
    """One running instance of the service."""

    track: str
    port: int
    child: processes.Child

    @classmethod
    def start(cls, track: str, folder: Path) -> Instance:
        """Start an instance on a free port of 127.0.0.1, with its data and log in `folder`."""
        port = processes.free_port()
        command = [sys.executable, "-m", "mnemoscope.examples.episodic_memory"]
        settings = {"port": str(port), "track": track, "data": str(folder / track), **TRACKS[track]}
        command += [f"--{name}={value}" for name, value in settings.items()]
        return cls(track, port, processes.start(f"the {track} service", command, folder / f"{track}.log"))

    @property
    def address(self) -> str:
        """Host and port, as a scrape target."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://{self.address}"

    def wait_until_ready(self) -> None:
        """Wait until `/ready` answers 200.

        Raises:
            MnemoscopeError: the instance ended first, or took too long.
        """
        self.child.wait_until(self._ready, START_SECONDS)

    def set_faults(self, switches: Mapping[str, object]) -> None:
        """Switch on the faults in `switches`, and all others off.

        Raises:
            MnemoscopeError: the service does not answer, or has no such fault.
        """
        try:
            answer = httpx.put(f"{self.url}/faults", json=dict(switches), timeout=_ANSWER_SECONDS, trust_env=False)
        except httpx.TransportError as error:
            raise MnemoscopeError(f"the {self.track} service does not answer: {error}", exit_code=1) from None
        if not answer.is_success:
            raise MnemoscopeError(f"the {self.track} service refused {dict(switches)}: {answer.text}", exit_code=1)

    def stop(self) -> None:
        """Stop the instance."""
        self.child.stop(_STOP_SECONDS)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", timeout=_ANSWER_SECONDS, trust_env=False).is_success
        except httpx.TransportError:
            return False


class Workload:
    """Agents that complete and recall episodes on every instance, in a thread that runs while the context is open."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = tuple(urls)
        self._progress = workload.Progress()
        self._error = ""
        self._stops: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._drive, name="workload", daemon=True)

    @property
    def note(self) -> str:
        """The counts so far, in one line."""
        done = self._progress
        return f"{done.completed} completed, {done.recalled} recalled, {done.failed + done.refused} failed"

    def proof(self) -> Proof:
        """Prove that the agents completed and recalled episodes and that every request succeeded."""
        done = self._progress
        failures = [self._error] if self._error else []
        if not (done.completed and done.recalled):
            failures.append("nothing was completed, or nothing recalled")
        if done.failed or done.refused:
            failures.append(f"{done.failed} requests failed and {done.refused} were refused")
        return Proof("agents complete and recall episodes", self.note, tuple(failures))

    def __enter__(self) -> Workload:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(queue.Empty, RuntimeError):  # the loop is closed: the driver has ended by itself
            self._stops.get(timeout=_STOP_SECONDS)()
        self._thread.join(_STOP_SECONDS)

    def _drive(self) -> None:
        # The loop is made in this thread: in the main thread, a signal handler could raise in the middle of that.
        try:
            asyncio.run(self._work())
        except Exception as error:  # any error goes into the proof instead of a traceback of this thread
            self._error = f"the driver ended: {type(error).__name__}: {error}"

    async def _work(self) -> None:
        stop = asyncio.Event()
        self._stops.put(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
        await workload.drive(self.urls, stop, self._note)

    def _note(self, progress: workload.Progress) -> None:
        self._progress = progress
