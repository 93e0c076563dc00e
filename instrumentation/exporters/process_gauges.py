"""Gauges of the process: open files, memory and its limit, read from the system at each scrape."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from .. import catalog
from ..catalog import Metric
from ..default import default_registry
from ..recording.registry import Registry

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_UNLIMITED = 1 << 60  # version 1 of control groups writes a number near 2**63 for "none"


def open_files() -> float:
    """Return the number of open file descriptors of this process."""
    return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208  # the listing itself opens a descriptor


def resident_bytes() -> float:
    """Return the resident memory of this process in bytes."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123  # pathlib doubles the cost
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory_limit() -> float:
    """Return the memory limit of the control group in bytes, or the machine's memory if there is no limit."""
    for path in _LIMITS:
        try:
            with open(path, encoding="ascii") as file:  # noqa: PTH123
                text = file.read().strip()
        except OSError:
            continue
        if text != "max" and int(text) < _UNLIMITED:
            return int(text)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


_GAUGES: tuple[tuple[Metric, Callable[[], float]], ...] = (
    (catalog.SERVICE_OPEN_FILES, open_files),
    (catalog.SERVICE_MEMORY, resident_bytes),
    (catalog.SERVICE_MEMORY_LIMIT, memory_limit),
)


def observe_process(registry: Registry | None = None) -> bool:
    """Export the gauges of the process and return True; do nothing and return False on a system without /proc."""
    if not sys.platform.startswith("linux"):
        return False
    registry = registry or default_registry()
    for metric, function in _GAUGES:
        registry.gauge(metric).set_function(function)
    return True
