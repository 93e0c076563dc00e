"""Locks: how long callers wait, how long holders keep a lock, and what went wrong."""

from __future__ import annotations

from mnemoscope.alerts import record_names
from mnemoscope.alerts.rules import locks as faults
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit

from ...board import Section
from ...expressions import Expressions, or_none, or_zero, share
from ...panels.constructors import timeseries
from ...panels.layer import Panel
from ...panels.query import Query
from ...panels.style import GREY, PER_SECOND, zones


def section(expressions: Expressions) -> Section:
    """Return the section."""
    return Section("Locks", [*_waiting(expressions), *_faults(expressions), *_queues(expressions)])


def _waiting(expressions: Expressions) -> list[Panel]:
    settings, limit = expressions.settings, expressions.settings.threshold
    contended = expressions.rate(c.LOCK_CONTENDED, "lock", "mode")
    acquired = expressions.rate(c.LOCK_WAIT_DURATION, "lock", "mode")
    return [
        timeseries(
            "lock-contention",
            "Contention",
            "Share of acquisitions that found the lock taken. High with short waits is harmless. If it is high with "
            "long waits, shorten the critical sections.",
            Unit.RATIO,
            Query(share(contended, acquired), "{{lock}} {{mode}}", many=True),
        ),
        timeseries(
            "lock-hold",
            "Lock hold time, p99",
            "How long a lock was held, by lock and mode. A long hold makes the other callers wait.",
            Unit.SECONDS,
            *expressions.quantiles(c.LOCK_HOLD_DURATION, "lock", "mode", qs=(0.99,)),
            logarithmic=True,
        ),
        timeseries(
            "lock-wait",
            "Lock wait, p99",
            "Time from requesting a lock to holding it, by lock and mode. The grey line is the value that the alert "
            "checks.",
            Unit.SECONDS,
            *expressions.quantiles(c.LOCK_WAIT_DURATION, "lock", "mode", qs=(0.99,)),
            Query(
                expressions.record(record_names.quantile(settings, "job_lock_mode", c.LOCK_WAIT_DURATION, 99)),
                "alert value {{lock}} {{mode}} {{job}}",
                color=GREY,
                line="dash",
                many=True,
            ),
            steps=zones(limit("lock_wait_p99")),
            logarithmic=True,
        ),
    ]


def _faults(expressions: Expressions) -> list[Panel]:
    acquired = expressions.rate(c.LOCK_WAIT_DURATION)
    inversions = expressions.processes_with_events(c.LOCK_ORDER_INVERSIONS, "first", "second")
    return [
        timeseries(
            "lock-faults",
            "Lock faults",
            "Deadlocks, stalls, timeouts and poisoned locks per second. All should be 0.",
            PER_SECOND,
            Query(or_zero(expressions.rate(c.LOCK_DEADLOCKS), acquired), "deadlocks"),
            Query(or_zero(expressions.rate(c.LOCK_STALLS), acquired), "stalls"),
            Query(or_zero(expressions.rate(c.LOCK_TIMEOUTS), acquired), "timeouts"),
            Query(or_zero(expressions.rate(c.LOCK_POISONED), acquired), "poisoned"),
            width=6,
        ),
        timeseries(
            faults.INVERSION_PANEL,
            "Locks taken in both orders",
            "Number of instances that found a pair of locks taken in both orders in the time range, by pair. `none` "
            "means that there is no such pair. Each pair can deadlock.",
            Unit.COUNT,
            Query(or_none(inversions, acquired, "first"), "{{first}} {{second}}", many=True),
            width=6,
        ),
    ]


def _queues(expressions: Expressions) -> list[Panel]:
    return [
        timeseries(
            "lock-waiters",
            "Waiters",
            "Threads and tasks that wait now, by lock and mode. A line that never falls is a stall.",
            Unit.COUNT,
            Query(expressions.gauge(c.LOCK_WAITERS, "lock", "mode"), "{{lock}} {{mode}}", many=True),
            width=6,
        ),
        timeseries(
            "lock-deferred",
            "Deferred writes",
            "Writes in the deferred queue because a try-lock failed. If the queue only grows, writes arrive faster "
            "than they are applied.",
            Unit.COUNT,
            Query(expressions.gauge(c.LOCK_DEFERRED_DEPTH, "lock"), "{{lock}}", many=True),
            width=6,
        ),
    ]
