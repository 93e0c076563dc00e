"""Lock faults: events of which none is allowed, so that a single one fires.

A rate would be over before anybody looks, and the pending time of other alerts would outlast it: these look back
over `MEMORY` instead, and fire at once.
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

MEMORY = "1h"
"""How long an event is remembered: long enough that a person sees it, short enough that the alert, once the fault
is mended, is over within the same shift. No setting, for there is no load or site that it depends on."""

AT_ONCE = "0m"
"""An event is no state that might pass: to wait for it to last only loses time."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """A counter's totals over `MEMORY`, by series."""

    settings: Settings
    metric: Metric

    @property
    def total(self) -> str:
        """The highest total; it also remembers a process that is gone."""
        return f"max_over_time({self.settings.queries.series(self.metric)}[{MEMORY}])"

    @property
    def known(self) -> str:
        """The series that were there before; a range, since one failed scrape is enough to miss a single moment."""
        return f"present_over_time({self.settings.queries.series(self.metric)}[{MEMORY}] offset {MEMORY})"

    @property
    def increase(self) -> str:
        """How many more; nothing for the event with which a series begins."""
        return self.settings.queries.increase(self.metric, MEMORY)

    def merged(self, expression: str) -> str:
        """`expression`, with the labels of one process summed away."""
        return promql.without(self.settings.instance_labels, expression)


def alerts(settings: Settings) -> Iterator[Alert]:
    """The alerts on deadlocks, by zone, and on locks that are taken in both orders.

    Raises:
        MnemoscopeError: a limit on deadlocks is one that none at all already reaches.
    """
    if overrides.enabled(settings, DEADLOCK):
        yield from _deadlocks(settings)
    yield _inversions(settings)


def _deadlocks(settings: Settings) -> Iterator[Alert]:
    counted = _Counted(settings, c.LOCK_DEADLOCKS)
    # Of a series that is young all events lie within the window, so its total is right, also where the first scrape
    # came after the first event, and where so few samples make increase() guess too high.
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
            for_=AT_ONCE,
            severity=severity,
            summary="Threads or tasks wait for each other for ever.",
            description=(
                f"Deadlocks of {{{{ $labels.job }}}} within {MEMORY}: {{{{ $value | humanize }}}}; none is allowed."
                " Whoever is part of one never goes on: find the instance, save its stacks and restart it."
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
    # A pair has no series before it is found, so most finds are a new series and not an increase. Processes are merged
    # first: one that starts and finds again what another has found is no news.
    new = f"{counted.merged(counted.total)}\n  unless\n  {counted.merged(counted.known)}"
    return Alert(
        name=INVERSION,
        expr=f"(\n  {new}\n  or\n  round({counted.merged(counted.increase)})\n) > 0",
        for_=AT_ONCE,
        severity="warning",
        summary="Two locks are taken in both orders.",
        description=(
            "{{ $labels.job }} takes {{ $labels.second }} while it holds {{ $labels.first }}, and elsewhere the other"
            f" way round, perhaps through further locks; found within {MEMORY}: {{{{ $value | humanize }}}}."
            " Nothing hangs yet: give the locks one order before something does."
        ),
        board=BOARD,
        panel=INVERSION_PANEL,
        variables=(settings.cluster_label, "job"),
    )
