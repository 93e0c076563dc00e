"""A registry that shares a directory with those of other processes: when it publishes, reads, forks and ends.

What is recorded is stored in the process' file at once, and so outlives the process. Other processes see it within
about 50 ms: so often a thread publishes while something is recorded. After a second without, it looks only once a
second, and leaves no slot of the log free, so that the next recording comes to ask for one, and wakes it. Where there
is so much to publish that a pass takes longer, the pause between two grows with it. Another thread asks the functions
of gauges every second; they may block as they like.

A forked child has neither file nor threads until it records something, makes a series, or is scraped.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
import weakref
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import util as multiprocessing_util
from pathlib import Path
from threading import Lock, current_thread
from typing import TYPE_CHECKING

from .. import catalog
from ..catalog import Across, Kind, Metric
from ..recording.metric_series import AnySeries
from ..recording.snapshot import Snapshot
from .directory import Directory, MemoryFile
from .merge import MergedValues
from .publisher import Publisher
from .write_ahead_log import notify_on_append

if TYPE_CHECKING:
    from ..recording.registry import Registry

PUBLISH_SECONDS = 0.05
IDLE_SECONDS = 1.0
IDLE_PASSES = 20
"""After so many passes that found nothing new, a process is idle."""
EVALUATE_SECONDS = 1.0
_IDLE_SHARE = 10
"""A pass is followed by a pause of at least so many times the processor time that it took."""
_SCRAPE_SECONDS = 10.0
_RECORDER_SECONDS = 0.1
"""How long a thread that records waits for a pass under way; after one did so in vain, none does until one gets it."""

_log = logging.getLogger("mnemoscope")


class PeriodicThread:
    """Calls `work`, which says how long to wait then, from a thread of its own until it is stopped.

    Not a `threading.Thread`: to start one waits for locks, and the thread that records first may have interrupted, as a
    signal handler or a finaliser, the one that holds them.
    """

    def __init__(self, name: str, work: Callable[[bool], float]) -> None:
        self._name = name
        self._work = work
        self._wake = allocate_lock()
        self._stopped = False
        self._wake.acquire()
        start_new_thread(self._run, ())

    def _run(self) -> None:
        current_thread().name = self._name
        pause = 0.0
        while True:
            woken = self._wake.acquire(timeout=pause)
            if self._stopped:
                return
            started = time.thread_time()
            try:
                pause = self._work(woken)
            except Exception:
                _log.exception("multi-process mode: a pass failed")
                pause = IDLE_SECONDS
            pause = max(pause, _IDLE_SHARE * (time.thread_time() - started))

    def wake(self) -> None:
        """Call `work` now."""
        with suppress(RuntimeError):  # somebody else was faster
            self._wake.release()

    def stop(self) -> None:
        """End after the call under way."""
        self._stopped = True
        self.wake()


class MultiprocessMode:
    """One registry's part in a shared directory.

    Args:
        registry: whose series are published, and on whose behalf the directory is read.
        directory: the directory; it exists and can be written to.
    """

    def __init__(self, registry: Registry, directory: Path) -> None:
        self._registry = registry
        self._path = directory
        self._publisher = Publisher(registry, directory, self._make_room)
        self._shared: dict[str, Metric] = {}
        self._reset()
        # A forked child of multiprocessing ends without atexit, and forgets finalizers it has inherited.
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
        """Make the file, and start the threads; whether that was to be done."""
        try:
            self._not_started.pop()  # of several threads, one does it
        except IndexError:
            return False
        try:
            self._for_recorder(self._publisher.make_room)
            for name, work in self._work[len(self._threads) :]:
                self._threads.append(PeriodicThread(name, work))
        except RuntimeError as error:  # too many threads, or the interpreter is about to end
            self._log_once("other processes see what this one records only when it is scraped", error)
        except BaseException:  # out of a signal handler
            self._not_started.append(True)
            raise
        return True

    # While the service records --------------------------------------------------------------------

    def add_series(self, series: AnySeries) -> None:
        """Take note of a new series, to which no thread has recorded yet."""
        self._watch(series)
        self.start()

    def _watch(self, series: AnySeries) -> None:
        at_once = series.metric.kind is not Kind.GAUGE or series.metric.across is Across.LATEST
        notify_on_append(series.journal, partial(self._publish_first, series) if at_once else self._publish_soon)

    def _publish_first(self, series: AnySeries) -> None:
        """Publish a series that has no place in the file yet, or a setting that outlives the process."""
        if not self.start():
            self._for_recorder(partial(self._publisher.publish_one, series))

    def _make_room(self, helps: bool) -> None:
        """Publish so that slots of the log become free, and go on publishing."""
        if helps:
            self._for_recorder(self._publisher.make_room)
        self._publish_soon()

    def _publish_soon(self) -> None:
        """Have what was just recorded published soon."""
        if not self.start() and self._idle_passes >= IDLE_PASSES:
            for thread in self._threads[:1]:
                thread.wake()

    def _for_recorder(self, publish: Callable[[float], bool]) -> None:
        """Publish in the thread that records, which is the service's, and so must not wait for long."""
        if self._publisher.error is not None:
            return  # the disk is full, say: that is left to our own thread
        self._publish_timed_out = not publish(0.0 if self._publish_timed_out else _RECORDER_SECONDS)

    # In threads of its own ------------------------------------------------------------------------

    def _publish_periodically(self, woken: bool) -> float:
        idle = self._idle_passes > IDLE_PASSES
        self._publish(keep_occupied=self._idle_passes >= IDLE_PASSES)
        self._idle_passes = 0 if woken or self._publisher.changed else self._idle_passes + 1
        if self._idle_passes == IDLE_PASSES:
            self._publisher.occupy_free_slots()
        # What was recorded while the log was being shut is seen by one more pass.
        return IDLE_SECONDS if idle and self._idle_passes else PUBLISH_SECONDS

    def _evaluate_gauges(self, _woken: bool) -> float:
        self._publisher.evaluate_gauges()
        return EVALUATE_SECONDS

    def _publish(self, *, settle: bool = False, keep_occupied: bool = False) -> None:
        self._publisher.publish(settle=settle, keep_occupied=keep_occupied)
        self._log_once("other processes see nothing new of this one", self._publisher.error)
        self._log_once("what is recorded can be lost with the process for 50 ms", self._publisher.mapping_error)

    def _log_once(self, what: str, error: Exception | None) -> None:
        """Log an error when it begins, and not again before it has ended."""
        if error is None:
            self._logged.pop(what, None)
            return
        mine = object()
        if self._logged.setdefault(what, mine) is mine:  # of several threads, one logs it
            _log.warning("multi-process mode: %s: %s", what, error)

    # Reading --------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """What all processes have recorded so far, this one up to now.

        Where this process is not permitted to read the directory, it shows itself alone.

        Raises:
            TimeoutError: other readers or another process keep the directory to themselves for seconds.
            OSError: the directory cannot be read. A part would look as if counters had begun again.
        """
        self.start()
        self._publisher.evaluate_gauges()
        self._publish(settle=True)
        if not self._reading.acquire(timeout=_SCRAPE_SECONDS):
            raise TimeoutError(f"{self._path}: another scrape of this process takes very long")
        try:
            merged = self._merged(self._publisher.memory_file())
        except PermissionError as error:
            self._log_once("this process shows itself alone", error)
            return self._registry.own_snapshot()
        finally:
            self._reading.release()
        return Snapshot(self._registry.prefix, merged.started, time.time(), merged.families())

    def _merged(self, own: MemoryFile) -> MergedValues:
        try:
            self._directory.compact(own, self._label_limiter())
        except OSError as error:
            self._log_once("processes that have ended are not compacted", error)
        return self._directory.read(own)

    def _resolve(self, metric: Metric) -> Metric | None:
        """The one object that stands for all metrics of this name; it never changes, since readers keep it."""
        known = self._shared.get(metric.name) or self._registry.metric(metric.name) or metric
        self._shared[metric.name] = known
        same = (known.kind, known.label_names, known.buckets) == (metric.kind, metric.label_names, metric.buckets)
        return known if same else None

    def _rejected(self, reason: str) -> None:
        _log.warning("multi-process mode: a file in %s is left out: %s", self._path, reason)
        self._registry.counter(catalog.INSTRUMENTATION_FILES_REJECTED, reason=reason).inc()

    def _label_limiter(self) -> Callable[[Metric, tuple[str, ...]], tuple[str, ...]]:
        """Hold the archive to the registry's cap on label sets; what is above it is counted as `other`."""
        admitted: dict[Metric, set[tuple[str, ...]]] = {}

        def limit_labels(metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
            known = admitted.setdefault(metric, set())
            if labels not in known and len(known) >= self._registry.max_label_sets:
                labels = self._registry.overflow(metric.labels, labels)
            known.add(labels)
            return labels

        return limit_labels

    # Around a fork, and at the end ----------------------------------------------------------------

    def before_fork(self) -> None:
        """Let no other thread be in the middle of a pass."""
        if not self._not_started:
            self._publisher.pause()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._publisher.resume()

    def after_fork_in_child(self) -> None:
        """Begin anew; the file comes later."""
        self._directory.abandon()
        self._publisher = self._publisher.forked()
        self._reset()
        for series in self._registry.series():
            self._watch(series)

    def restart(self) -> None:
        """Have other processes see that the registry has begun again at zero."""
        self._publisher.restart()
        if not self._not_started:
            self._publish()

    def close(self) -> None:
        """Publish for the last time; from then on this process is one of those that have ended."""
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
    """Share `directory`, which is made if it is missing; return False, after a line in the log, where that fails."""
    with registry.multiprocess_lock:
        if registry.multiprocess is None:
            registry.declare(catalog.INSTRUMENTATION_FILES_REJECTED)
            path = Path(directory).absolute()
            try:
                Directory(path, lambda metric: metric, lambda reason: None).check()
            except OSError as error:
                _log.warning("multi-process mode is off, each process shows itself alone: %s", error)
                return False
            mode = registry.multiprocess = MultiprocessMode(registry, path)
            mode.start()
    return True
