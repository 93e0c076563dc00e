"""A registry that shares a directory with those of other processes: when it publishes, reads, forks and ends.

Every 50 ms a daemon thread publishes what was recorded; every second another asks the functions of gauges, which
may block as they like without keeping counts from being published. So a scrape in another process lags by at most
that, and a process that is killed loses at most that. Where there is so much to publish, or the interpreter so
busy, that a pass takes longer, the pause between two grows with it.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
import weakref
from collections.abc import Callable
from multiprocessing import util as multiprocessing_util
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from .. import catalog
from ..catalog import Metric
from ..snapshot import Snapshot
from .directory import Directory, Own
from .merge import Merged
from .publisher import Publisher

if TYPE_CHECKING:
    from ..registry import Registry

PUBLISH_SECONDS = 0.05
EVALUATE_SECONDS = 1.0
_IDLE_SHARE = 10
"""A pass is followed by a pause of at least so many times its own length."""
_SCRAPE_SECONDS = 10.0

_log = logging.getLogger("mnemoscope")


class _Ticker:
    """Calls `work` at an interval from a daemon thread until it is stopped."""

    def __init__(self, name: str, interval: float, work: Callable[[], None]) -> None:
        self._interval = interval
        self._work = work
        self._stopped = Event()
        Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            started = time.perf_counter()
            try:
                self._work()
            except Exception:
                _log.exception("multi-process mode: a pass failed")
            pause = max(self._interval, _IDLE_SHARE * (time.perf_counter() - started))

    def stop(self) -> None:
        """End after the call under way."""
        self._stopped.set()


class Sharing:
    """One registry's part in a shared directory.

    Args:
        registry: whose series are published, and on whose behalf the directory is read.
        directory: the directory; it exists and can be written to.
    """

    def __init__(self, registry: Registry, directory: Path) -> None:
        self._registry = registry
        self._path = directory
        self._publisher = Publisher(registry, directory)
        self._shared: dict[str, Metric] = {}
        self._paused = False
        self._begin()
        # A forked child of multiprocessing ends without atexit, and forgets finalizers it has inherited.
        atexit.register(_close, weakref.ref(self))
        multiprocessing_util.register_after_fork(self, Sharing._finalize_in_multiprocessing)
        self._finalize_in_multiprocessing()

    def _begin(self) -> None:
        self._reading = Lock()
        self._directory = Directory(self._path, self._resolve, self._rejected)
        self._complaints: set[str] = set()
        self._tickers = (
            _Ticker("mnemoscope-publish", PUBLISH_SECONDS, self._publish),
            _Ticker("mnemoscope-gauges", EVALUATE_SECONDS, self._publisher.evaluate),
        )

    def _finalize_in_multiprocessing(self) -> None:
        multiprocessing_util.Finalize(None, _close, (weakref.ref(self),), exitpriority=0)

    def _publish(self, *, settle: bool = False) -> None:
        error = self._publisher.publish(settle=settle)
        self._complain("other processes see nothing new of this one", error)

    def _complain(self, what: str, error: Exception | None) -> None:
        """Log an error when it begins, and not again before it has ended."""
        if error is not None and what not in self._complaints:
            _log.warning("multi-process mode: %s: %s", what, error)
            self._complaints.add(what)
        elif error is None:
            self._complaints.discard(what)

    def snapshot(self) -> Snapshot:
        """What all processes have recorded so far, this one up to now.

        Where this process is not permitted to read the directory, it shows itself alone.

        Raises:
            TimeoutError: other readers or another process keep the directory to themselves for seconds.
            OSError: the directory cannot be read. A part would look as if counters had begun again.
        """
        self._publisher.evaluate()
        self._publish(settle=True)
        if not self._reading.acquire(timeout=_SCRAPE_SECONDS):
            raise TimeoutError(f"{self._path}: another scrape of this process takes very long")
        try:
            merged = self._merged(self._publisher.own())
        except PermissionError as error:
            self._complain("this process shows itself alone", error)
            return self._registry.own_snapshot()
        finally:
            self._reading.release()
        return Snapshot(self._registry.prefix, merged.started, time.time(), merged.families())

    def _merged(self, own: Own) -> Merged:
        try:
            self._directory.compact(own, self._admit())
        except OSError as error:
            self._complain("processes that have ended are not compacted", error)
        return self._directory.read(own)

    def _resolve(self, metric: Metric) -> Metric | None:
        """The one object that stands for all metrics of this name; it never changes, since readers keep it."""
        known = self._shared.get(metric.name) or self._registry.metric(metric.name) or metric
        self._shared[metric.name] = known
        same = (known.kind, known.label_names, known.buckets) == (metric.kind, metric.label_names, metric.buckets)
        return known if same else None

    def _rejected(self, reason: str) -> None:
        _log.warning("multi-process mode: a file in %s is left out: %s", self._path, reason)
        self._registry.counter(catalog.SELF_FILES_REJECTED, reason=reason).inc()

    def _admit(self) -> Callable[[Metric, tuple[str, ...]], tuple[str, ...]]:
        """Hold the archive to the registry's cap on label sets; what is above it is counted as `other`."""
        admitted: dict[Metric, set[tuple[str, ...]]] = {}

        def admit(metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
            known = admitted.setdefault(metric, set())
            if labels not in known and len(known) >= self._registry.max_label_sets:
                labels = self._registry.overflow(metric.labels, labels)
            known.add(labels)
            return labels

        return admit

    def before_fork(self) -> None:
        """Let no other thread be in the middle of making the file: the child could not close what it half has."""
        self._paused = self._publisher.pause()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._paused:
            self._publisher.resume()
        self._publisher.supervise()

    def after_fork_in_child(self) -> None:
        """Begin anew, with a file of the child's own."""
        self._publisher.abandon()
        self._directory.abandon()
        self._publisher = Publisher(self._registry, self._path, inherited=self._publisher)
        self._begin()

    def close(self) -> None:
        """Publish for the last time; from then on this process is one of those that have ended."""
        for ticker in self._tickers:
            ticker.stop()
        self._publisher.close()


def _close(reference: weakref.ref[Sharing]) -> None:
    sharing = reference()
    if sharing is not None:
        sharing.close()


def join(registry: Registry, directory: str | os.PathLike[str]) -> Sharing | None:
    """Share `directory`, which is made if it is missing; None, after one line in the log, where that is impossible."""
    path = Path(directory).absolute()
    try:
        Directory(path, lambda metric: metric, lambda reason: None).check()
    except OSError as error:
        _log.warning("multi-process mode is off, each process shows itself alone: %s", error)
        return None
    return Sharing(registry, path)
