"""Objectives as rules: how fast each error budget burns, over several windows.

A long window shows that the budget is really being spent, a short window that it still is; both must be over the limit.
Limits are exact decimals. Ratios divide sums of events. Without events they are absent, not NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from mnemoscope import promql
from mnemoscope.errors import MnemoscopeError
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model import units
from mnemoscope.model.objectives import Objective
from mnemoscope.model.settings import Settings, Severity

from .. import overrides, record_names
from ..model import Alert, Group, Record

BOARD = "slo-compliance"


@dataclass(frozen=True, slots=True)
class Window:
    """A pair of windows of one alert.

    Attributes:
        long: the window that shows how much is spent.
        short: the window that shows that it still is being spent.
        for_: how long both must be over the limit.
        severity: of the alert.
        share: the share of the whole budget that must be spent within `long`.
    """

    long: str
    short: str
    for_: str
    severity: Severity
    share: Decimal

    def factor(self, objective: Objective) -> Decimal:
        """Return how many times too fast the budget burns at the limit; 1 spends it exactly in the period."""
        return self.share * _seconds(objective.period) / _seconds(self.long)

    def limit(self, objective: Objective) -> Decimal:
        """Return the share of bad events beyond which this window fires.

        Raises:
            MnemoscopeError: the share is 1 or more, so the alert could never fire.
        """
        limit = self.factor(objective) * objective.budget
        if limit < 1:
            return limit
        least = 1 - 1 / self.factor(objective)
        raise MnemoscopeError(
            f"objectives.{objective.key}.target: {objective.target} lets no alert fire over {self.long}: a burn rate of"
            f" {units.number(self.factor(objective))} is {units.humanize(limit, Unit.RATIO)} of events; set a target"
            f" above {units.number(round(least, 4))}, or alerts.{alert_name(objective)}.enabled: false"
        )


WINDOWS: tuple[Window, ...] = (
    Window("1h", "5m", "2m", "critical", Decimal("0.02")),
    Window("6h", "30m", "15m", "critical", Decimal("0.05")),
    Window("1d", "2h", "1h", "warning", Decimal("0.1")),
    Window("3d", "6h", "3h", "warning", Decimal("0.1")),
)
"""Over 30 days: 14.4, 6, 3 and 1 times the allowed rate."""

RAW_WINDOWS = frozenset({"5m", "30m", "1h"})
"""Windows that are short enough to compute from the raw series; longer windows sum the 5m records."""

_CONSEQUENCE = {
    "critical": "Stop rollouts and find the cause now.",
    "warning": "Find the cause before the budget is gone.",
    "info": "No action is needed yet.",
}


def alert_name(objective: Objective) -> str:
    """Return the name of an objective's alert: `RecallLatencyBudgetBurn` for `recall_latency`."""
    return "".join(word.capitalize() for word in objective.key.split("_")) + "BudgetBurn"


def records(settings: Settings) -> tuple[Group, ...]:
    """Return one group for each objective: rates, ratios over every window, and counts of bad events."""
    return tuple(
        Group(f"{settings.prefix}.slo.{objective.key}", tuple(_records(settings, objective)))
        for objective in settings.all_objectives()
    )


def alerts(settings: Settings) -> Iterator[Alert]:
    """Yield the burn-rate alerts of every objective whose alert is enabled.

    Raises:
        MnemoscopeError: the target of an objective is so low that a window could never fire.
    """
    for objective in settings.all_objectives():
        if overrides.enabled(settings, alert_name(objective)):
            for window in WINDOWS:
                yield _alert(settings, objective, window)


def events(settings: Settings, objective: Objective, window: str) -> str:
    """Return the events per second over `window`, from the raw series."""
    return _summed(settings, objective, window)


def errors(settings: Settings, objective: Objective, window: str) -> str:
    """Return the bad events per second over `window`, from the raw series; zero, not absent, if all are good."""
    if objective.within is None:
        bad = _summed(settings, objective, window, promql.Matcher("outcome", "=", "error"))
        # A service that never failed has no series of failures.
        return f"{bad}\nor\n0 * {_summed(settings, objective, window)}"
    good = _summed(settings, objective, window, promql.le(objective.within), part="bucket")
    # Both sides are sums of floats: an empty difference may be slightly below zero.
    return f"clamp_min(\n  {_summed(settings, objective, window)}\n  -\n  {good},\n  0\n)"


def _summed(
    settings: Settings, objective: Objective, window: str, *matchers: promql.Matcher, part: promql.Part = "count"
) -> str:
    metric = objective.metric
    chosen = (*(promql.Matcher(label, "=", value) for label, value in objective.events), *matchers)
    dropped = (*settings.instance_labels, *metric.label_names, *(("le",) if part == "bucket" else ()))
    return promql.without(dropped, settings.queries.rate(metric, window, *chosen, part=part))


def _records(settings: Settings, objective: Objective) -> Iterator[Record]:
    base = record_names.SLO_BASE_WINDOW
    bad, all_ = record_names.slo_errors(settings, objective), record_names.slo_total(settings, objective)
    yield Record(all_, events(settings, objective, base))
    yield Record(bad, errors(settings, objective, base))
    for window in record_names.SLO_WINDOWS:
        yield Record(record_names.slo_ratio(settings, objective, window), _ratio(settings, objective, window))
    for long in (window.long for window in WINDOWS):
        yield Record(record_names.slo_bad_events(settings, objective, long), _bad_events(settings, objective, long))


def _ratio(settings: Settings, objective: Objective, window: str) -> str:
    q = settings.queries
    bad = q.record(record_names.slo_errors(settings, objective))
    all_ = q.record(record_names.slo_total(settings, objective))
    if window == record_names.SLO_BASE_WINDOW:
        return promql.ratio(bad, all_)
    if window in RAW_WINDOWS:
        return promql.ratio(f"(\n{errors(settings, objective, window)}\n)\n", events(settings, objective, window))
    # Every event has the same weight: a quiet night does not count as much as a busy day.
    return promql.ratio(f"sum_over_time({bad}[{window}])", f"sum_over_time({all_}[{window}])")


def _bad_events(settings: Settings, objective: Objective, window: str) -> str:
    if window in RAW_WINDOWS:
        return f"(\n{errors(settings, objective, window)}\n)\n* {units.number(_seconds(window))}"
    bad = settings.queries.record(record_names.slo_errors(settings, objective))
    # A rate times the evaluation interval is the number of events in that interval.
    return f"sum_over_time({bad}[{window}]) * {units.number(_seconds(settings.evaluation_interval))}"


def _alert(settings: Settings, objective: Objective, window: Window) -> Alert:
    q = settings.queries
    limit = window.limit(objective)
    long, short = (record_names.slo_ratio(settings, objective, w) for w in (window.long, window.short))
    bad = record_names.slo_bad_events(settings, objective, window.long)
    value = units.number(limit)
    return Alert(
        name=alert_name(objective),
        expr=(
            f"{q.record(long)} > {value}\n"
            f"and\n{q.record(short)} > {value}\n"
            f"and\n{q.record(bad)} >= {settings.min_bad_events}"
        ),
        for_=window.for_,
        severity=window.severity,
        summary=f"{objective.title} spends its error budget too fast.",
        description=(
            f"{{{{ $value | humanizePercentage }}}} of events of {{{{ $labels.job }}}} were bad over the last"
            f" {window.long}; over this and over {window.short} that is more than"
            f" {units.number(window.factor(objective))} times the allowed share."
            f" Objective: {objective.description}. {_CONSEQUENCE[window.severity]}"
        ),
        board=BOARD,
        panel=f"burn-rate-{objective.key}",
        variables=(settings.cluster_label, "job"),
        labels={"long_window": window.long, "short_window": window.short},
        objective=objective,
        unit=Unit.RATIO,
        limit=limit,
    )


def _seconds(duration: str) -> Decimal:
    return Decimal(str(units.seconds(duration)))
