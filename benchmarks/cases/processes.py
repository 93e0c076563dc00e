"""Several processes that share files: scrapes of eight that record into 700 histograms each, or of 800 that have ended.

Also the cost of eight idle processes.

The recording processes are forked from the worker, whose environment names the directory, as a server forks its
workers after it has loaded the application.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..percall import LOAD, Sampler, scaled
from .load import BOUNDS, HISTOGRAMS, children, our_metric, recorded, require_files

LIVE_WORKERS = 8
DEAD_WORKERS = scaled(800)
IDLE_SECONDS = 5.0 * LOAD
MILLISECONDS = 1e3
_FORK = multiprocessing.get_context("fork")

Record = Callable[[], None]
Render = Callable[[], bytes]


class Workers:
    """Forked processes that record once and stay, or record once and end."""

    def __init__(self, library: Library) -> None:
        importlib.import_module(library.module)  # once, not in each of 800 processes
        self._library = library
        self._recorded = 0
        # A process that stays waits for the end of this pipe, which comes even if this process is killed.
        self._wait, self._hold = os.pipe()

    def stay(self, record: Record) -> int:
        """Fork a process that has recorded when this returns, and lives as long as this one; return its id."""
        self._recorded += 1
        heard, tell = os.pipe()
        process = os.fork()
        if process == 0:
            try:
                os.close(self._hold)
                record()
                self._library.page()  # as a scraped worker does: its recordings are in its file now
                os.write(tell, b"1")
                os.read(self._wait, 1)
            finally:
                os._exit(0)
        os.close(tell)
        with os.fdopen(heard, "rb") as answer:
            if answer.read(1) != b"1":
                raise RuntimeError("a recording process failed")
        require_files(self._library.variable)
        return process

    def end(self, record: Record) -> None:
        """Fork a process that has recorded and ended when this returns; no server hook is called."""
        self._recorded += 1
        child = _FORK.Process(target=record)
        child.start()
        child.join()
        if child.exitcode:
            raise RuntimeError("a recording process failed")

    def scrape(self, word: str, each: int) -> Sampler:
        """Return milliseconds of CPU time for one page over all processes.

        The page must show the `each` observations of every process in the histograms with `word` in their names, so
        that a scrape cannot be fast because it loses some.
        """

        def sample() -> float:
            started = time.process_time()
            page = self._library.page()
            took = time.process_time() - started
            if (seen := recorded(page, word)) != self._recorded * each:
                raise RuntimeError(f"the scrape shows {seen:g} observations of {self._recorded * each}")
            return took * MILLISECONDS

        return sample


@dataclass(frozen=True, slots=True)
class Library:
    """The functions of one library in a recording process, and in the process that answers scrapes."""

    variable: str
    module: str
    shards: Record
    work: Record
    page: Render


def our_eight() -> Sampler:
    return _eight(OURS)


def prometheus_eight() -> Sampler:
    return _eight(PROMETHEUS)


def our_none_dead() -> Sampler:
    return _after(0, OURS)


def our_dead() -> Sampler:
    return _after(DEAD_WORKERS, OURS)


def our_first_after_dead() -> Sampler:
    """Time the first scrape after 800 more workers have ended; it may clean up after them."""
    workers = Workers(OURS)
    workers.stay(OURS.work)
    scrape = workers.scrape("index_write", 1)

    def sample() -> float:
        for _ in range(DEAD_WORKERS):
            workers.end(OURS.work)
        return scrape()

    return sample


def prometheus_none_dead() -> Sampler:
    return _after(0, PROMETHEUS)


def prometheus_dead() -> Sampler:
    return _after(DEAD_WORKERS, PROMETHEUS)


def our_idle() -> Sampler:
    return _idle(OURS)


def prometheus_idle() -> Sampler:
    return _idle(PROMETHEUS)


def _idle(library: Library) -> Sampler:
    """Return CPU seconds a minute of eight processes together, each of which has recorded once."""
    workers = Workers(library)
    processes = [workers.stay(library.work) for _ in range(LIVE_WORKERS)]

    def sample() -> float:
        before = sum(map(cpu_seconds, processes))
        time.sleep(IDLE_SECONDS)
        return (sum(map(cpu_seconds, processes)) - before) / IDLE_SECONDS * 60.0

    return sample


def cpu_seconds(process: int) -> float:
    """Return the CPU time that another process has used so far, by the clock of clock_getcpuclockid(3) on Linux."""
    return time.clock_gettime(~process << 3 | 2)


def _eight(library: Library) -> Sampler:
    workers = Workers(library)
    for _ in range(LIVE_WORKERS):
        workers.stay(library.shards)
    return workers.scrape("shard", HISTOGRAMS)


def _after(dead: int, library: Library) -> Sampler:
    workers = Workers(library)
    workers.stay(library.work)
    for _ in range(dead):
        workers.end(library.work)
    return workers.scrape("index_write", 1)


def _our_shards() -> None:
    import mnemoscope as scope

    metric = our_metric("shard.duration", BOUNDS)
    for name in children():
        scope.histogram(metric, shard=name).observe(0.02)


def _our_work() -> None:
    import mnemoscope as scope

    with scope.completion(), scope.index_write("spatiotemporal"):
        pass


def _our_page() -> bytes:
    import mnemoscope as scope
    from mnemoscope.instrumentation.exporters.formats.text import render_text

    return b"".join(render_text(scope.snapshot()))


def _prometheus_shards() -> None:
    from prometheus_client import Histogram

    histogram = Histogram("shard_duration_seconds", "Shards", ["shard"], buckets=BOUNDS)
    for name in children():
        histogram.labels(name).observe(0.02)


def _prometheus_work() -> None:
    from prometheus_client import Gauge, Histogram

    histogram = Histogram("index_write_seconds", "Index writes", ["index", "outcome"])
    with Gauge("completions", "Completions under way").track_inprogress():
        histogram.labels("spatiotemporal", "ok").observe(0.02)


def _prometheus_page() -> bytes:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)


OURS = Library("MNEMOSCOPE_MULTIPROC_DIR", "mnemoscope", _our_shards, _our_work, _our_page)
PROMETHEUS = Library(
    "PROMETHEUS_MULTIPROC_DIR", "prometheus_client", _prometheus_shards, _prometheus_work, _prometheus_page
)
