"""Alerts on lock faults: no such event is allowed, so a single event fires.

The rate of a single event falls back to zero within minutes, before a pending time is over. These rules look back over
`LOOKBACK` instead, and fire immediately.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mnemoscope import promql
from mnemoscope.errors import MnemoscopeError
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.model import units
from mnemoscope.model.settings import Settings, Severity

from .. import overrides
from ..model import Alert

BOARD = "dual-memory"
DEADLOCK, INVERSION = "DeadlockDetected", "LockOrderInversion"
DEADLOCK_PANEL, INVERSION_PANEL = "deadlocks", "lock-order"

LOOKBACK = "1h"
"""How long an event keeps its alert firing: long enough that a person sees it, short enough that the alert ends within
the shift in which the fault is fixed. It depends on no load and no site, so it is not a setting."""

NO_PENDING_TIME = "0m"
"""An event is no state that might pass, so waiting for it to last only loses time."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """A counter over `LOOKBACK`, by series."""

    settings: Settings
    metric: Metric

    @property
    def total(self) -> str:
        """The highest total, also of a process that has ended."""
        return f"max_over_time({self.settings.queries.series(self.metric)}[{LOOKBACK}])"

    @property
    def known(self) -> str:
        """The series that existed before; a range, since one failed scrape is enough to miss a single moment."""
        return f"present_over_time({self.settings.queries.series(self.metric)}[{LOOKBACK}] offset {LOOKBACK})"

    @property
    def increase(self) -> str:
        """The increase, without the event with which a series begins."""
        return self.settings.queries.increase(self.metric, LOOKBACK)

    def merged(self, expression: str) -> str:
        """Return `expression` with the labels of one process summed away."""
        return promql.without(self.settings.instance_labels, expression)


def alerts(settings: Settings) -> Iterator[Alert]:
    """Yield the alerts on deadlocks, and on locks that are taken in both orders.

    Raises:
        MnemoscopeError: a limit on deadlocks is reached without a deadlock.
    """
    if overrides.enabled(settings, DEADLOCK):
        yield from _deadlocks(settings)
    yield _inversions(settings)


def _deadlocks(settings: Settings) -> Iterator[Alert]:
    counted = _Counted(settings, c.LOCK_DEADLOCKS)
    # All events of a series younger than the window lie within it, so its total is right. increase() is not: it misses
    # events before the first scrape, and guesses too high from few samples.
    events = counted.merged(
        f"\n  (\n    {counted.total}\n    unless\n    {counted.known}\n  )\n  or\n  {counted.increase}\n"
    )
    threshold = settings.threshold("lock_deadlocks")
    severities: Iterable[Severity] = ("warning", "critical")
    for limit, severity in zip((threshold.yellow, threshold.red), severities, strict=True):
        if limit is None:
            continue
        if limit <= 0:
            raise MnemoscopeError(
                f"thresholds.{threshold.key}: {DEADLOCK} would always fire from {units.number(limit)};"
                " set a limit above zero"
            )
        yield Alert(
            name=DEADLOCK,
            expr=f"round({events}) >= {units.number(limit)}",
            for_=NO_PENDING_TIME,
            severity=severity,
            summary="Threads or tasks wait for each other indefinitely.",
            description=(
                f"Deadlocks of {{{{ $labels.job }}}} within {LOOKBACK}: {{{{ $value | humanize }}}}"
                " (maximum 0). The callers in a deadlock never recover on their own: find the instance, save its stacks"
                " and restart it."
            ),
            board=BOARD,
            panel=DEADLOCK_PANEL,
            variables=(settings.cluster_label, "job"),
            threshold=threshold,
            unit=threshold.unit,
            limit=limit,
        )


def _inversions(settings: Settings) -> Alert:
    counted = _Counted(settings, c.LOCK_ORDER_INVERSIONS)
    # A pair has no series before it is found, so most findings are a new series and not an increase. Processes are
    # merged first: the alert must not fire when a process finds a pair that another process has already found.
    new = f"{counted.merged(counted.total)}\n  unless\n  {counted.merged(counted.known)}"
    return Alert(
        name=INVERSION,
        expr=f"(\n  {new}\n  or\n  round({counted.merged(counted.increase)})\n) > 0",
        for_=NO_PENDING_TIME,
        severity="warning",
        summary="Two locks are taken in both orders.",
        description=(
            "{{ $labels.job }} takes {{ $labels.second }} while it holds {{ $labels.first }}, and elsewhere in the"
            f" opposite order, perhaps through further locks; found within {LOOKBACK}: {{{{ $value | humanize }}}}."
            " Nothing hangs yet: give the locks one order before a deadlock happens."
        ),
        board=BOARD,
        panel=INVERSION_PANEL,
        variables=(settings.cluster_label, "job"),
    )
