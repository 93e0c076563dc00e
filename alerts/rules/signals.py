"""The PromQL of each kind of signal: its value, and the number of events behind the value."""

from __future__ import annotations

from mnemoscope import promql
from mnemoscope.instrumentation.catalog import Kind, Metric
from mnemoscope.model.settings import Settings
from mnemoscope.model.signals import Mean, Peak, Quantile, Share, Signal
from mnemoscope.model.thresholds import Threshold
from mnemoscope.promql import Matcher, Part

from .. import record_names
from . import recording


def value(settings: Settings, threshold: Threshold, signal: Signal) -> str:
    """Return the expression that is compared with a limit of `threshold`."""
    metric = threshold.metric
    match signal:
        case Quantile():
            name = record_names.quantile(settings, recording.level(metric, signal.dropped), metric, signal.percent)
            return settings.queries.record(name, *_only(signal))
        case Share():
            return _share(settings, threshold, signal)
        case Mean():
            total, count = (_rate(settings, metric, part=part) for part in ("sum", "count"))
            return promql.ratio(f"{total}\n", count)
        case Peak():
            peak = f"max_over_time({settings.queries.series(metric)}[{settings.rate_window}])"
            # Peaks of two instances may lie apart in time, so they are not added up.
            return promql.without(settings.instance_labels, peak, "max")


def events(settings: Settings, threshold: Threshold, signal: Signal) -> str | None:
    """Return the expression that counts the events behind the value; None for a gauge, which needs no events."""
    metric = threshold.metric
    if isinstance(signal, Peak):
        return None
    only = _only(signal) if isinstance(signal, Quantile) else ()
    counted = settings.queries.increase(metric, settings.rate_window, *only, part=_count(metric))
    return promql.without((*settings.instance_labels, *_dropped(signal)), counted)


def _share(settings: Settings, threshold: Threshold, signal: Share) -> str:
    metric, dropped = threshold.metric, _dropped(signal)
    counted = Matcher(signal.label, "=", signal.counted)
    part = _rate(settings, metric, counted, part=_count(metric), dropped=dropped)
    whole = _rate(settings, metric, part=_count(metric), dropped=dropped)
    if threshold.worse == "below":
        # Without a single counted event there is no series to divide: the share is zero, which is bad here.
        return promql.ratio(f"(\n{part}\nor\n0 * {whole}\n)\n", whole)
    return promql.ratio(f"{part}\n", whole)


def _rate(settings: Settings, metric: Metric, *matchers: Matcher, part: Part, dropped: tuple[str, ...] = ()) -> str:
    rate = settings.queries.rate(metric, settings.rate_window, *matchers, part=part)
    return promql.without((*settings.instance_labels, *dropped), rate)


def _only(signal: Quantile) -> tuple[Matcher, ...]:
    return tuple(Matcher(label, "=", value) for label, value in signal.only)


def _dropped(signal: Signal) -> tuple[str, ...]:
    match signal:
        case Quantile():
            return signal.dropped
        case Share():
            return (*signal.dropped, signal.label)
    return ()


def _count(metric: Metric) -> Part:
    return "count" if metric.kind is Kind.HISTOGRAM else ""
