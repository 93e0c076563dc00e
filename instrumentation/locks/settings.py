"""`configure_locks` and `debug_locks`: settings for all locks of a process, and a view of their present state."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from itertools import islice
from time import perf_counter
from typing import Any

from . import use_counts
from .watch import order as lock_order
from .watch import waits
from .watch.holders import place_of, tracker
from .watch.incidents import MAX_LISTED
from .watch.watchdog import watchdog

ORDER_VARIABLE = "MNEMOSCOPE_LOCK_ORDER"
STALL_VARIABLE = "MNEMOSCOPE_LOCK_STALL_SECONDS"
ORDER_VALUES = ("off", "sample", "on")

_WINDOW = 0.02
_PERIOD = 1.0


class _Sampler:
    """Tracks the order of locks for a short window of each second. When a window starts, all locks count as free."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, name="mnemoscope-lock-order", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        """Stop, at the end of the present window."""
        self._stop.set()
        if self.thread.is_alive() and self.thread is not threading.current_thread():
            self.thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_PERIOD - _WINDOW):
            tracker.switch(on=True)
            time.sleep(_WINDOW)
            tracker.switch(on=False)


_sampler: _Sampler | None = None
_order = "off"


def configure_locks(
    *, order: str | None = None, stall_seconds: float | None = None, nesting: Iterable[str] = ()
) -> None:
    """Change how locks are watched, for the whole process. Settings that are not given stay as they are.

    Args:
        order: `on` tracks the order in which locks are taken. `sample` tracks it for 2 % of the time, in short windows.
            `off` does not track it. The default is `off`, or the value of `MNEMOSCOPE_LOCK_ORDER` at import.
        stall_seconds: how long a wait may last before the watchdog looks at it. The default is 30, or the value of
            `MNEMOSCOPE_LOCK_STALL_SECONDS` at import.
        nesting: names of classes of which two locks may be held together, because the service keeps an order among
            them.

    Raises:
        ValueError: `order` is none of these, or `stall_seconds` is not positive.
    """
    if order is not None and order not in ORDER_VALUES:
        raise ValueError(f"order must be one of {', '.join(ORDER_VALUES)}, not {order!r}")
    if stall_seconds is not None and not stall_seconds > 0:
        raise ValueError(f"stall_seconds must be above 0, not {stall_seconds!r}")
    if stall_seconds is not None:
        watchdog.set_limit(stall_seconds)
    lock_order.allow_nesting(nesting)
    if order is not None:
        _switch(order)


def _switch(value: str) -> None:
    global _sampler, _order
    if _sampler is not None:
        _sampler.stop()
        _sampler = None
    tracker.switch(on=value == "on")
    _order = value
    if value == "sample":
        _sampler = _Sampler()
        _sampler.start()


def debug_locks() -> dict[str, Any]:
    """Return the present state of all locks, as plain data for JSON; `/debug/locks` serves it if that is switched on.

    Keys: `order` (off, sample or on); `classes`, `edges` and `inversions` of the order of locks; `held`, while the
    order is tracked; `waiting`; and `incidents`, the latest deadlocks and stalls. It names code and threads, and shows
    no data of the service.
    """
    now = perf_counter()
    edges = [edge for after in list(lock_order.edges.values()) for edge in list(after.values())]
    return {
        "order": _order,
        "stall_seconds": watchdog.limit,
        "classes": sorted({name for edge in edges for name in (edge.first, edge.second)}),
        "edges": [edge._asdict() for edge in edges],
        "inversions": [
            {"classes": list(inversion.classes), "edges": [edge._asdict() for edge in inversion.edges]}
            for inversion in list(lock_order.inversions)
        ],
        "held": [
            {"lock": hold.lock.name, "by": str(holder), "at": str(place_of(hold))}
            for holder in tracker.holders
            for hold in holder.holds()
        ],
        "waiting": [
            {
                "lock": wait.lock.name,
                "mode": wait.meter.mode,
                "by": str(wait.waiter),
                "seconds": now - wait.since,
                "blocked_by": [str(blocker) for blocker in islice(wait.lock.blockers(wait.meter.mode), MAX_LISTED)],
            }
            for wait in sorted(waits.under_way(), key=lambda wait: wait.since)
        ],
        "incidents": [
            {**incident._asdict(), "waits": [wait._asdict() for wait in incident.waits]}
            for incident in list(watchdog.incidents)
        ],
    }


def _from_environment(name: str, apply: Callable[[str], None]) -> None:
    value = os.environ.get(name)
    if not value:
        return
    try:
        apply(value)
    except ValueError as error:
        import logging

        # A wrong setting for observation must not keep a service from starting.
        logging.getLogger("mnemoscope").warning("%s is ignored: %s", name, error)


def apply_environment() -> None:
    """Apply the settings in the environment. Log and ignore a value that is not valid."""
    _from_environment(ORDER_VARIABLE, lambda value: configure_locks(order=value))
    _from_environment(STALL_VARIABLE, lambda value: configure_locks(stall_seconds=float(value)))


def _after_fork_in_child() -> None:
    global _sampler
    _sampler = None  # its thread is the parent's, which may have held the lock of its event
    waits.forget()
    use_counts.forget()
    watchdog.forget()
    _switch(_order)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
