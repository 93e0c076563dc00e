"""Threshold alerts: a signal stays beyond a limit. Yellow is a warning, red is critical.

Each alert is one object in `mnemoscope/model/thresholds.py`. This module turns those objects into rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from mnemoscope.errors import MnemoscopeError
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model import units
from mnemoscope.model.settings import Settings, Severity
from mnemoscope.model.signals import Quantile
from mnemoscope.model.thresholds import THRESHOLDS, Threshold, ThresholdAlert

from .. import overrides
from ..model import Alert
from . import signals

TEMPLATE_FUNCTIONS = {
    Unit.SECONDS: "humanizeDuration",
    Unit.RATIO: "humanizePercentage",
    Unit.BYTES: "humanize1024",
    Unit.COUNT: "humanize",
}
"""The template function that shows a value of each unit."""

_SEVERITIES: tuple[Severity, Severity] = ("warning", "critical")


def names() -> tuple[str, ...]:
    """Return the names of all threshold alerts, disabled ones included."""
    return tuple(threshold.alert.name for threshold in THRESHOLDS if threshold.alert is not None)


def alerts(settings: Settings, board: str) -> Iterator[Alert]:
    """Yield the rules of the enabled threshold alerts that link to `board`.

    Raises:
        MnemoscopeError: no measurement can pass a limit.
    """
    for threshold in settings.all_thresholds():
        alert = threshold.alert
        if alert is None or alert.board != board or not overrides.enabled(settings, alert.name):
            continue
        limits = (threshold.yellow, threshold.red)
        for limit, severity, pending in zip(limits, _SEVERITIES, alert.pending, strict=True):
            if limit is not None:
                _check_reachable(alert, threshold, limit)
                yield _rule(settings, threshold, alert, limit, severity, pending)


def _rule(
    settings: Settings, threshold: Threshold, alert: ThresholdAlert, limit: Decimal, severity: Severity, pending: str
) -> Alert:
    sign, bound = (">", "maximum") if threshold.worse == "above" else ("<", "minimum")
    expr = f"{signals.value(settings, threshold, alert.signal)} {sign} {units.number(limit)}"
    events = signals.events(settings, threshold, alert.signal)
    if events is not None:
        expr += f"\nand\n{events} >= {settings.min_events}"
    value = f"{{{{ $value | {TEMPLATE_FUNCTIONS[threshold.unit]} }}}}"
    return Alert(
        name=alert.name,
        expr=expr,
        for_=pending,
        severity=severity,
        summary=alert.summary,
        description=f"{alert.subject} {value} ({bound} {units.humanize(limit, threshold.unit)}). {alert.remedy}",
        board=alert.board,
        panel=alert.panel,
        variables=(settings.cluster_label, "job"),
        threshold=threshold,
        unit=threshold.unit,
        limit=limit,
    )


def _check_reachable(alert: ThresholdAlert, threshold: Threshold, limit: Decimal) -> None:
    """Refuse a limit that no measurement can pass: such an alert would never fire."""
    if threshold.unit is Unit.RATIO and threshold.worse == "above":
        most: float | None = 1
    elif isinstance(alert.signal, Quantile) and threshold.worse == "above":
        most = threshold.metric.buckets[-1]  # no quantile lies beyond the last finite bound
    else:
        most = None
    if most is not None and limit >= Decimal(str(most)):
        raise MnemoscopeError(
            f"thresholds.{threshold.key}: {alert.name} can never fire above {units.number(limit)};"
            f" the largest possible value is {units.number(most)}"
        )
    if threshold.worse == "below" and limit <= 0:
        raise MnemoscopeError(
            f"thresholds.{threshold.key}: {alert.name} can never fire below {units.number(limit)};"
            " set a limit above zero"
        )
