"""The metric reference: one Markdown page of everything the catalog holds, in the names of a site."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from mnemoscope.instrumentation.catalog import CATALOG, Area, Label, Metric, Unit
from mnemoscope.model.settings import Settings
from mnemoscope.model.units import humanize

_UNITS = {
    Unit.SECONDS: "seconds",
    Unit.BYTES: "bytes",
    Unit.RATIO: "ratio, 0 to 1",
    Unit.COUNT: "count",
}
_INTRODUCTION = """\
# Metric reference

<!-- Written by `mnemoscope generate` from the catalog and the settings; do not edit. -->

Every metric of the pack, by area. The heading is the name that a query uses; a histogram is queried by its `_bucket`,
`_sum` and `_count`. A value outside a label's set is recorded as `other`."""


def render(settings: Settings) -> str:
    """The page, with the site's prefix, thresholds and objectives; it ends in a line end."""
    areas = [(area, list(found)) for area, found in groupby(sorted(CATALOG, key=_order), key=lambda m: m.area)]
    parts = [_INTRODUCTION, "\n".join(_contents(area, metrics) for area, metrics in areas)]
    for area, metrics in areas:
        parts.append(f"## {_title(area)}")
        parts += ["\n\n".join(_section(metric, settings)) for metric in metrics]
    return "\n\n".join(parts) + "\n"


def judged_by(metric: Metric, settings: Settings) -> Iterator[tuple[str, str]]:
    """The thresholds and objectives of this site that are about `metric`: which one, and what it says."""
    for threshold in settings.all_thresholds():
        if threshold.metric is metric:
            yield f"Threshold `{threshold.key}`", threshold.description
    for objective in settings.all_objectives():
        if objective.metric is metric:
            yield f"Objective `{objective.key}`", objective.description


def _order(metric: Metric) -> int:
    return list(Area).index(metric.area)


def _title(area: Area) -> str:
    return area.value.capitalize()


def _contents(area: Area, metrics: list[Metric]) -> str:
    return f"- [{_title(area)}](#{area.value.replace(' ', '-')}): {len(metrics)}"


def _section(metric: Metric, settings: Settings) -> Iterator[str]:
    yield f"### `{metric.prometheus_name(settings.prefix)}`"
    yield f"{metric.help}."
    yield "\n".join(f"- {name}: {value}" for name, value in _properties(metric, settings))


def _properties(metric: Metric, settings: Settings) -> Iterator[tuple[str, str]]:
    yield "OpenTelemetry name", f"`{metric.otel_name(settings.prefix)}`"
    yield "Kind", metric.kind.value
    yield "Unit", f"{_UNITS[metric.unit]} (`{metric.unit.value}`)"
    for label in metric.labels:
        yield f"Label `{label.name}`", _label(label)
    if metric.buckets:
        yield "Buckets, up to", ", ".join(humanize(bound, metric.unit) for bound in metric.buckets)
    yield from judged_by(metric, settings)
    if metric.sources:
        yield "Asked for by", ", ".join(source.value for source in metric.sources)


def _label(label: Label) -> str:
    if label.values:
        return f"{label.help}; one of {', '.join(f'`{value}`' for value in label.values)}"
    return f"{label.help}, such as `{label.sample}`"
