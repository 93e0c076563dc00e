"""Names of the recording rules, for the rules that write them and the panels that read them."""

from __future__ import annotations

from mnemoscope.instrumentation.catalog import Metric
from mnemoscope.model.objectives import Objective
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Part

SLO_BASE_WINDOW = "5m"
SLO_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")


def rate(settings: Settings, level: str, metric: Metric, part: Part = "") -> str:
    """Return `level:metric_part:rate5m`, the name of a rate over `rate_window` with the process labels summed away."""
    return f"{level}:{settings.queries.name(metric, part)}:rate{settings.rate_window}"


def by_track(settings: Settings, metric: Metric, part: Part = "") -> str:
    """Return the name of the rate of `metric` by release track (`track="stable"` or `"canary"`)."""
    return rate(settings, "job_track", metric, part)


def quantile(settings: Settings, level: str, metric: Metric, percent: int) -> str:
    """Return `level:metric:p99_rate5m`, the name of a quantile over `rate_window`."""
    return f"{level}:{metric.prometheus_name(settings.prefix)}:p{percent}_rate{settings.rate_window}"


def slo_errors(settings: Settings, objective: Objective) -> str:
    """Return the name of the bad events per second of an objective."""
    return f"job:{settings.prefix}_slo_{objective.key}_errors:rate{SLO_BASE_WINDOW}"


def slo_total(settings: Settings, objective: Objective) -> str:
    """Return the name of all events per second of an objective."""
    return f"job:{settings.prefix}_slo_{objective.key}_events:rate{SLO_BASE_WINDOW}"


def slo_ratio(settings: Settings, objective: Objective, window: str) -> str:
    """Return the name of the share of bad events over `window`, one of SLO_WINDOWS."""
    if window not in SLO_WINDOWS:
        raise ValueError(f"no record over {window}; there are {', '.join(SLO_WINDOWS)}")
    return f"job:{settings.prefix}_slo_{objective.key}_errors:ratio_rate{window}"


def slo_bad_events(settings: Settings, objective: Objective, window: str) -> str:
    """Return the name of the number of bad events over `window`."""
    return f"job:{settings.prefix}_slo_{objective.key}_errors:increase{window}"
