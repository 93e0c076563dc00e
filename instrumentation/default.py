"""The registry that probes write to unless they are given another, its settings, and what a fork does to registries."""

from __future__ import annotations

import atexit
import os
from threading import Lock, get_ident
from typing import TYPE_CHECKING

from . import catalog
from .recording.registry import Registry, every_registry

if TYPE_CHECKING:
    from .recording.shared import SharedDirectory

_made: dict[str, Registry] = {}
_unread = ["MNEMOSCOPE_MULTIPROC_DIR"]
_held: dict[int, list[Lock]] = {}
"""What each thread that forks holds meanwhile."""
_FORK_SECONDS = 1.0


def default_registry() -> Registry:
    """Return the registry that probes write to unless they are given another."""
    try:
        registry = _made["registry"]
    except KeyError:
        registry = _made.setdefault("registry", Registry())  # of several threads at once, one makes it
    if _unread:
        _share(registry)
    return registry


def _share(registry: Registry) -> None:
    try:
        directory = os.environ.get(_unread.pop())
    except IndexError:  # another thread was faster
        return
    if directory:
        share_directory(directory, registry=registry)


def configure(
    *,
    prefix: str | None = None,
    max_label_sets: int | None = None,
    max_label_length: int | None = None,
    expire_idle: float | None = None,
    strict: bool | None = None,
    multiprocess_dir: str | os.PathLike[str] | None = None,
) -> Registry:
    """Change the default registry; probes that are already in place go on with it.

    `multiprocess_dir` is a directory that all processes of the service share, so that a scrape of one shows all;
    `MNEMOSCOPE_MULTIPROC_DIR` sets the same; see `share_directory`. Set it in code that every process runs, and so not
    below `if __name__ == "__main__"`.

    Raises:
        ValueError: the prefix is not one that a metric name can start with.
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
    """Merge a registry with those of all processes that share `directory`; once, and for good.

    What a process recorded outlives it, and reaches the others within about 50 ms. Counters go on where an earlier run
    left them, unless the directory is emptied between the two.

    Args:
        directory: made if it is missing.
        registry: the default registry if not given.

    Returns:
        False where the directory cannot be used: that is logged, and the process goes on showing itself alone.
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
    # A registry that another thread is just sharing would not be shared in the child, nor ever be.
    held = _held[get_ident()] = []
    for registry in every_registry():
        lock = registry.multiprocess_lock
        if lock.acquire(timeout=_FORK_SECONDS):
            held.append(lock)
    for mode in _multiprocess_modes():
        mode.before_fork()


def _after_fork_in_parent() -> None:
    for mode in _multiprocess_modes():
        mode.after_fork_in_parent()
    for lock in _held.pop(get_ident(), ()):
        lock.release()


def _after_fork_in_child() -> None:
    _held.clear()
    for mode in _multiprocess_modes():
        mode.after_fork_in_child()
    # The child starts at zero, else both would report the parent's past.
    for registry in every_registry():
        registry.clear(keep_settings=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


@atexit.register
def _log_refusals() -> None:
    """Log what was refused since the last scrape, in a script that is never scraped."""
    for registry in every_registry():
        registry.log_refusals()
