"""The life of the service: load, serve, run the background jobs, and shut down without losing a request."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, BinaryIO

import uvicorn

import mnemoscope as scope
from mnemoscope import catalog as m

from .config import Config
from .errors import StartError
from .http import Api
from .traffic import Traffic

if TYPE_CHECKING:
    from .service import EpisodicMemory

_MEASURE_EVERY = 1.0
_EXPIRE_EVERY = 10.0
_log = logging.getLogger(__name__)


def listen(config: Config) -> socket.socket:
    """Return a socket bound to the configured address.

    Raises:
        StartError: the address is in use, or does not exist.
    """
    try:
        return socket.create_server((config.host, config.port), backlog=2048)
    except OSError as error:
        where = f"{config.host}:{config.port}"
        reason = error.strerror or error
        raise StartError(f"port: cannot listen on {where}: {reason}; choose another, or 0 for a free one") from None


def claim(data: Path) -> BinaryIO:
    """Lock the data folder while the returned file is open; the system releases the lock when the process ends.

    Raises:
        StartError: another instance uses the folder.
    """
    lock = (data / "service.lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StartError(f"data: {data} is in use by another instance; give each its own folder") from None
    return lock


class _Stopped(Exception):
    """The service was stopped while it was loading."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the Lifecycle, which lets requests finish before it stops the server."""
        yield


class Lifecycle:
    """One run of the service on a bound socket."""

    def __init__(self, config: Config, listener: socket.socket, memory: EpisodicMemory) -> None:
        self._config = config
        self._listener = listener
        self._memory = memory
        self._stop = asyncio.Event()
        self._traffic = Traffic()

    async def run(self, announce: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT; call `announce` with the address when requests are admitted."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        scope.set_not_ready("loading", 0.0)
        app = Api(self._memory, self._traffic).app()
        server = _Server(
            uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1)
        )
        serving = asyncio.create_task(server.serve([self._listener]))
        work = asyncio.create_task(self._work(announce))
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        self._stop.set()
        await self._drain(work)
        server.should_exit = True
        await serving
        try:
            await work
        finally:
            await asyncio.to_thread(self._memory.close)

    async def _work(self, announce: Callable[[str], None]) -> None:
        """Load the stores, admit requests, then run the jobs until the stop."""
        try:
            await asyncio.to_thread(self._memory.load, self._loaded)
        except _Stopped:
            return
        except sqlite3.Error as error:
            raise StartError(f"{self._config.data} cannot be loaded: {error}; restore a backup") from None
        if self._stop.is_set():
            return
        self._traffic.closed = ""
        scope.set_ready()
        host, port = self._listener.getsockname()[:2]
        announce(f"http://{host}:{port}")
        jobs: tuple[tuple[float, Callable[[], object]], ...] = (
            (self._config.consolidate_every, self._memory.consolidate),
            (self._config.reconcile_every, self._memory.reconcile),
            (self._config.backup_every, self._memory.backup),
            (_EXPIRE_EVERY, self._memory.expire),
            (_MEASURE_EVERY, self._memory.measure),
        )
        await asyncio.gather(*(self._every(seconds, job) for seconds, job in jobs if seconds))

    def _loaded(self, share: float) -> None:
        if self._stop.is_set():
            raise _Stopped
        scope.set_not_ready("loading", share)

    async def _every(self, seconds: float, job: Callable[[], object]) -> None:
        while not self._stop.is_set():
            try:
                await asyncio.to_thread(job)
            except Exception as error:
                # The job is tried again at the next interval; its metrics have counted this failure.
                _log.warning("%s failed: %s", job.__name__, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)

    async def _drain(self, work: asyncio.Task[None]) -> None:
        """Refuse new requests, and wait for those in flight and for the jobs."""
        started, ended = monotonic(), 0.0
        self._traffic.closed = "the service is shutting down"
        scope.set_not_ready("shutting down")
        scope.gauge(m.SERVICE_SHUTDOWN_DURATION).set_function(lambda: (ended or monotonic()) - started)
        scope.gauge(m.SERVICE_SHUTDOWN_IN_FLIGHT, phase="start").set(self._traffic.in_flight)
        try:
            async with asyncio.timeout(self._config.shutdown_timeout):
                await self._traffic.drained()
                await asyncio.wait({work})
        except TimeoutError:
            limit = self._config.shutdown_timeout
            _log.error("requests or jobs did not end within %g s; %d requests cut off", limit, self._traffic.in_flight)
            # Threads cannot be stopped. The write-ahead log has what was committed, and is replayed at the next start.
            os._exit(1)
        scope.gauge(m.SERVICE_SHUTDOWN_IN_FLIGHT, phase="end").set(self._traffic.in_flight)
        ended = monotonic()
        await asyncio.sleep(self._config.shutdown_linger)
