"""Multi-process mode of one registry: when it publishes, reads, forks and ends.

A thread publishes about every 50 ms while the service records. After one second without a change, the process is idle:
the thread looks only once a second, and leaves no slot of the write-ahead log free. So the next recording finds no
slot, and wakes the thread. If a pass takes long, the pause after it grows. Another thread calls the functions of gauges
every second; these functions may block.

A forked child has neither a file nor threads until it records, makes a series, or is scraped.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
import weakref
from collections.abc import Callable
from functools import partial
from multiprocessing import util as multiprocessing_util
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from .. import catalog
from ..catalog import Across, Kind, Metric
from ..recording.metric_series import AnySeries
from ..recording.snapshot import Snapshot
from .directory import Directory, MemoryFile
from .merge import MergedValues
from .periodic_thread import PeriodicThread
from .publisher import Publisher
from .write_ahead_log import notify_on_append

if TYPE_CHECKING:
    from ..recording.registry import Registry

PUBLISH_SECONDS = 0.05
IDLE_SECONDS = 1.0
IDLE_PASSES = 20
"""A process is idle after so many passes without a change."""
EVALUATE_SECONDS = 1.0
_SCRAPE_SECONDS = 10.0
_RECORDER_SECONDS = 0.1
"""How long a recording thread waits for a pass under way. After a timeout, none waits until one succeeds."""

_log = logging.getLogger("mnemoscope")


class MultiprocessMode:
    """Multi-process mode of one registry.

    Args:
        registry: the registry whose series are published.
        directory: the shared directory, which exists and is writable.
    """

    def __init__(self, registry: Registry, directory: Path) -> None:
        self._registry = registry
        self._path = directory
        self._publisher = Publisher(registry, directory, self._make_room)
        self._shared: dict[str, Metric] = {}
        self._reset()
        # A child of multiprocessing ends without atexit, and drops inherited finalizers.
        atexit.register(_close, weakref.ref(self))
        multiprocessing_util.register_after_fork(self, MultiprocessMode._finalize_in_multiprocessing)
        self._finalize_in_multiprocessing()

    def _reset(self) -> None:
        self._reading = Lock()
        self._directory = Directory(self._path, self._resolve, self._rejected)
        self._logged: dict[str, object] = {}
        self._not_started = [True]
        self._threads: list[PeriodicThread] = []
        self._work = (("mnemoscope-publish", self._publish_periodically), ("mnemoscope-gauges", self._evaluate_gauges))
        self._idle_passes = 0
        self._publish_timed_out = False

    def _finalize_in_multiprocessing(self) -> None:
        multiprocessing_util.Finalize(None, _close, (weakref.ref(self),), exitpriority=0)

    def start(self) -> bool:
        """Make the file and start the threads, unless that is done; return whether it was to be done."""
        try:
            self._not_started.pop()  # of several threads, one starts
        except IndexError:
            return False
        try:
            self._for_recorder(self._publisher.make_room)
            for name, work in self._work[len(self._threads) :]:
                self._threads.append(PeriodicThread(name, work))
        except RuntimeError as error:  # too many threads, or the interpreter is ending
            self._log_once("other processes see the recordings of this process only after it is scraped", error)
        except BaseException:  # from a signal handler
            self._not_started.append(True)
            raise
        return True

    # While the service records --------------------------------------------------------------------

    def add_series(self, series: AnySeries) -> None:
        """Publish a new series from now on; no thread has recorded to it yet."""
        self._watch(series)
        self.start()

    def _watch(self, series: AnySeries) -> None:
        outlives_process = series.metric.kind is not Kind.GAUGE or series.metric.across is Across.LATEST
        notify = partial(self._publish_now, series) if outlives_process else self._publish_soon
        notify_on_append(series.journal, notify)

    def _publish_now(self, series: AnySeries) -> None:
        """Publish a series without a place in the file, or a gauge that outlives the process."""
        if not self.start():
            self._for_recorder(partial(self._publisher.publish_one, series))

    def _make_room(self, helps: bool) -> None:
        """Publish to free slots of the log if that helps, and wake the publishing thread."""
        if helps:
            self._for_recorder(self._publisher.make_room)
        self._publish_soon()

    def _publish_soon(self) -> None:
        """Start the threads, or wake the publishing thread if it is idle."""
        if not self.start() and self._idle_passes >= IDLE_PASSES:
            for thread in self._threads[:1]:
                thread.wake()

    def _for_recorder(self, publish: Callable[[float], bool]) -> None:
        """Publish in the thread that records, without waiting for long."""
        if self._publisher.error is not None:
            return  # for example a full disk; only the publishing thread tries again
        self._publish_timed_out = not publish(0.0 if self._publish_timed_out else _RECORDER_SECONDS)

    # In the periodic threads ----------------------------------------------------------------------

    def _publish_periodically(self, woken: bool) -> float:
        """Publish, and return the seconds until the next pass."""
        idle = self._idle_passes > IDLE_PASSES
        self._publish(release_slots=self._idle_passes < IDLE_PASSES)
        self._idle_passes = 0 if woken or self._publisher.changed else self._idle_passes + 1
        if self._idle_passes == IDLE_PASSES:
            self._publisher.occupy_free_slots()
        # One more pass sees what was recorded while the slots were being occupied.
        return IDLE_SECONDS if idle and self._idle_passes else PUBLISH_SECONDS

    def _evaluate_gauges(self, _woken: bool) -> float:
        self._publisher.evaluate_gauges()
        return EVALUATE_SECONDS

    def _publish(self, *, wait_for_folds: bool = False, release_slots: bool = True) -> None:
        self._publisher.publish(wait_for_folds=wait_for_folds, release_slots=release_slots)
        self._log_once("other processes see no new recordings of this process", self._publisher.error)
        self._log_once("a killed process can lose recordings of the last 50 ms", self._publisher.mapping_error)

    def _log_once(self, consequence: str, error: Exception | None) -> None:
        """Log an error and its consequence when it begins, and not again before it has ended."""
        if error is None:
            self._logged.pop(consequence, None)
            return
        mine = object()
        if self._logged.setdefault(consequence, mine) is mine:  # of several threads, one logs it
            _log.warning("multi-process mode: %s: %s", consequence, error)

    # Reading --------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return what all processes have recorded, this process up to now.

        A process that is not permitted to read the directory shows itself alone.

        Raises:
            TimeoutError: other threads or processes keep the directory busy for seconds.
            OSError: the directory cannot be read. A partial result would look like a restart of counters.
        """
        self.start()
        self._publisher.evaluate_gauges()
        self._publish(wait_for_folds=True)
        if not self._reading.acquire(timeout=_SCRAPE_SECONDS):
            raise TimeoutError(f"{self._path}: another scrape of this process takes too long")
        try:
            merged = self._merged(self._publisher.memory_file())
        except PermissionError as error:
            self._log_once("this process shows only its own recordings", error)
            return self._registry.own_snapshot()
        finally:
            self._reading.release()
        return Snapshot(self._registry.prefix, merged.started, time.time(), merged.families())

    def _merged(self, own: MemoryFile) -> MergedValues:
        try:
            self._directory.compact(own, self._label_limiter())
        except OSError as error:
            self._log_once("the files of ended processes are not archived", error)
        return self._directory.read(own)

    def _resolve(self, metric: Metric) -> Metric | None:
        """Return the object that stands for all metrics of this name, always the same; None if `metric` differs."""
        known = self._shared.get(metric.name) or self._registry.metric(metric.name) or metric
        self._shared[metric.name] = known
        same = (known.kind, known.label_names, known.buckets) == (metric.kind, metric.label_names, metric.buckets)
        return known if same else None

    def _rejected(self, reason: str) -> None:
        _log.warning("multi-process mode: a file in %s is left out: %s", self._path, reason)
        self._registry.counter(catalog.INSTRUMENTATION_FILES_REJECTED, reason=reason).inc()

    def _label_limiter(self) -> Callable[[Metric, tuple[str, ...]], tuple[str, ...]]:
        """Return a function that applies the registry's cap on label sets to the archive's series."""
        label_sets: dict[Metric, set[tuple[str, ...]]] = {}

        def limit_labels(metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
            known = label_sets.setdefault(metric, set())
            if labels not in known and len(known) >= self._registry.max_label_sets:
                labels = self._registry.overflow(metric.labels, labels)
            known.add(labels)
            return labels

        return limit_labels

    # Around a fork, and at the end ----------------------------------------------------------------

    def before_fork(self) -> None:
        """Wait until no thread makes a pass, and allow none until the fork is over."""
        if not self._not_started:
            self._publisher.pause()

    def after_fork_in_parent(self) -> None:
        """Allow passes again."""
        self._publisher.resume()
        if self._publish_timed_out:
            self._publish()  # recordings that found no free slot during the fork are in their journals only

    def after_fork_in_child(self) -> None:
        """Start again without the parent's file and threads."""
        self._directory.abandon()
        self._publisher = self._publisher.forked()
        self._reset()
        for series in self._registry.series():
            self._watch(series)

    def restart(self) -> None:
        """Show other processes that the registry was cleared."""
        self._publisher.restart()
        if not self._not_started:
            self._publish()

    def close(self) -> None:
        """Publish for the last time. Other processes then take this process for ended."""
        for thread in self._threads:
            thread.stop()
        if not self._not_started:
            self._publisher.close()
        self._not_started.clear()


def _close(reference: weakref.ref[MultiprocessMode]) -> None:
    mode = reference()
    if mode is not None:
        mode.close()


def share(registry: Registry, directory: str | os.PathLike[str]) -> bool:
    """Start multi-process mode in `directory`, which is made if it is missing; log a failure and return False."""
    with registry.multiprocess_lock:
        if registry.multiprocess is None:
            registry.declare(catalog.INSTRUMENTATION_FILES_REJECTED)
            path = Path(directory).absolute()
            try:
                Directory(path, lambda metric: metric, lambda reason: None).check()
            except OSError as error:
                _log.warning("multi-process mode is off, each process shows only its own recordings: %s", error)
                return False
            mode = registry.multiprocess = MultiprocessMode(registry, path)
            mode.start()
    return True
