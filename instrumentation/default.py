"""The default registry, which a probe records in unless it is given another: its functions, settings and forks."""

from __future__ import annotations

import atexit
import os
from threading import Lock, get_ident
from typing import TYPE_CHECKING

from . import catalog
from .catalog import Metric
from .recording.registry import Registry, every_registry
from .recording.series import Counter, Gauge, Histogram
from .recording.snapshot import Snapshot

if TYPE_CHECKING:
    from .recording.shared import SharedDirectory

_made: dict[str, Registry] = {}
_unread_variables = ["MNEMOSCOPE_MULTIPROC_DIR"]
_fork_locks: dict[int, list[Lock]] = {}
"""By the id of a thread that forks: the locks that it holds meanwhile."""
_FORK_SECONDS = 1.0


def default_registry() -> Registry:
    """Return the registry that a probe records in unless it is given another."""
    try:
        registry = _made["registry"]
    except KeyError:
        registry = _made.setdefault("registry", Registry())  # of several threads, one makes it
    if _unread_variables:
        _share(registry)
    return registry


def _share(registry: Registry) -> None:
    try:
        directory = os.environ.get(_unread_variables.pop())
    except IndexError:  # another thread was faster
        return
    if directory:
        share_directory(directory, registry=registry)


def counter(metric: Metric, /, **labels: str) -> Counter:
    """Return the counter series of `metric` with these labels in the default registry.

    Raises:
        ValueError: the metric is no counter, or the label names are not exactly the metric's.
    """
    return default_registry().counter(metric, **labels)


def gauge(metric: Metric, /, **labels: str) -> Gauge:
    """Return the gauge series of `metric` with these labels in the default registry; raise as `counter` does."""
    return default_registry().gauge(metric, **labels)


def histogram(metric: Metric, /, **labels: str) -> Histogram:
    """Return the histogram series of `metric` with these labels in the default registry; raise as `counter` does."""
    return default_registry().histogram(metric, **labels)


def declare(*metrics: Metric, **labels: str) -> None:
    """Export series of the default registry at zero before the first event; see `Registry.declare`."""
    default_registry().declare(*metrics, **labels)


def snapshot() -> Snapshot:
    """Return everything recorded in the default registry so far."""
    return default_registry().snapshot()


def configure(
    *,
    prefix: str | None = None,
    max_label_sets: int | None = None,
    max_label_length: int | None = None,
    expire_idle: float | None = None,
    strict: bool | None = None,
    multiprocess_dir: str | os.PathLike[str] | None = None,
) -> Registry:
    """Change settings of the default registry, also for probes that exist already.

    `multiprocess_dir` is a directory that all processes of the service share, so that a scrape of one process shows all
    (see `share_directory`). Set it in code that every process runs, and so not below `if __name__ == "__main__"`. The
    environment variable `MNEMOSCOPE_MULTIPROC_DIR` does the same. `Registry` explains the other settings.

    Raises:
        ValueError: no metric name can start with the prefix.
    """
    registry = default_registry()
    if prefix is not None:
        registry.prefix = catalog.valid_prefix(prefix)
    if max_label_sets is not None:
        registry.max_label_sets = max_label_sets
    if max_label_length is not None:
        registry.max_label_length = max_label_length
    if expire_idle is not None:
        registry.expire_idle(expire_idle)
    if strict is not None:
        registry.strict = strict
    if multiprocess_dir is not None:
        share_directory(multiprocess_dir, registry=registry)
    return registry


def share_directory(directory: str | os.PathLike[str], *, registry: Registry | None = None) -> bool:
    """Merge a registry with the registries of all processes that share `directory`; this cannot be undone.

    The recordings of a process outlive it, and reach the other processes within about 50 ms. Counters continue from an
    earlier run, unless the directory is emptied before the next one.

    Args:
        directory: made if it is missing.
        registry: the default registry if not given.

    Returns:
        Whether the directory can be used. If not, that is logged, and the process shows only itself.
    """
    registry = registry or default_registry()
    try:
        from .multiprocess import share
    except ImportError:  # no file locks on this system
        import logging

        logging.getLogger("mnemoscope").warning("multi-process mode is off: it needs fcntl.flock")
        return False
    return share(registry, directory)


def _multiprocess_modes() -> list[SharedDirectory]:
    return [registry.multiprocess for registry in every_registry() if registry.multiprocess is not None]


def _before_fork() -> None:
    # If another thread were just sharing a registry, the child could never share it.
    held = _fork_locks[get_ident()] = []
    for registry in every_registry():
        lock = registry.multiprocess_lock
        if lock.acquire(timeout=_FORK_SECONDS):
            held.append(lock)
    for mode in _multiprocess_modes():
        mode.before_fork()


def _after_fork_in_parent() -> None:
    for mode in _multiprocess_modes():
        mode.after_fork_in_parent()
    for lock in _fork_locks.pop(get_ident(), ()):
        lock.release()


def _after_fork_in_child() -> None:
    _fork_locks.clear()
    for mode in _multiprocess_modes():
        mode.after_fork_in_child()
    # The child starts at zero, else both processes would report the parent's past.
    for registry in every_registry():
        registry.clear(keep_settings=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


@atexit.register
def _log_dropped() -> None:
    """Log recordings dropped since the last scrape; a script may never be scraped."""
    for registry in every_registry():
        registry.log_dropped()
