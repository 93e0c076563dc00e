"""Metrics of locks."""

from __future__ import annotations

from .declare import AKI, SLM, WARM, counter, gauge, histogram
from .labels import LOCK, MODE
from .model import Label

# Lock waits start at microseconds; 1 s is the writer-starvation limit.
_LOCK_BUCKETS = (1e-05, 5e-05, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

LOCK_WAIT_DURATION = histogram(
    "lock.wait.duration",
    "Time from the request for a lock to holding it",
    labels=(LOCK, MODE),
    buckets=_LOCK_BUCKETS,
    sources=(SLM,),
)
LOCK_HOLD_DURATION = histogram(
    "lock.hold.duration", "Time a lock was held", labels=(LOCK, MODE), buckets=_LOCK_BUCKETS, sources=(SLM,)
)
LOCK_CONTENDED = counter(
    "lock.contended", "Acquisitions that found the lock taken and had to wait", labels=(LOCK, MODE), sources=(SLM,)
)
LOCK_WAITERS = gauge(
    "lock.waiters", "Threads or tasks that are waiting for the lock now", labels=(LOCK, MODE), sources=(SLM,)
)
LOCK_WAITERS_PEAK = gauge(
    "lock.waiters.peak",
    "Most threads or tasks that waited for the lock at the same time in the last 30 to 60 seconds",
    labels=(LOCK, MODE),
    sources=(SLM,),
)
LOCK_DEFERRED = counter("lock.deferred", "Writes deferred because a try-lock failed", labels=(LOCK,), sources=(SLM,))
LOCK_DEFERRED_DEPTH = gauge(
    "lock.deferred.depth", "Writes that are waiting in the deferred queue now", labels=(LOCK,), sources=(SLM,)
)
LOCK_TIMEOUTS = counter(
    "lock.timeouts", "Acquisitions that gave up after their time limit", labels=(LOCK, MODE), sources=(SLM, AKI)
)
LOCK_ORDER_INVERSIONS = counter(
    "lock.order_inversions",
    "Pairs of locks that were taken in both orders",
    labels=(
        Label("first", "lock taken first", example="episodes"),
        Label("second", "lock taken second", example="index"),
    ),
    sources=(SLM,),
)
LOCK_DEADLOCKS = counter("lock.deadlocks", "Cycles of waiters in which no waiter can continue", sources=(SLM,))
LOCK_STALLS = counter(
    "lock.stalls", "Waits that passed the stall limit without being part of a deadlock", labels=(LOCK,), sources=(SLM,)
)
LOCK_POISONED = counter(
    "lock.poisoned", "Locks recovered after a holder failed while writing", labels=(LOCK,), sources=(WARM,)
)
