"""The metric reference: one Markdown page of everything the catalog holds, with a site's names and limits."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.instrumentation.catalog import CATALOG, Label, Metric, Unit
from mnemoscope.model.settings import Settings
from mnemoscope.model.units import humanize

_UNITS = {
    Unit.SECONDS: "seconds",
    Unit.BYTES: "bytes",
    Unit.RATIO: "ratio, 0 to 1",
    Unit.COUNT: "count",
}
_AREAS = {
    "Locks": ("lock",),
    "Index": ("index",),
    "Cache": ("cache",),
    "Storage": ("storage",),
    "Completions": ("completion", "episode"),
    "Recall": ("recall",),
    "Dual memory": ("memory",),
    "Cognitive": ("consolidation", "concept", "semantic", "fan"),
    "Patterns": ("pattern",),
    "Limits": ("limit",),
    "Service": ("request", "service"),
    "Rollout": ("rollout",),
    "Instrumentation": ("instrumentation",),
}
"""The sections of the page, with the first words of their metrics' names."""

_INTRODUCTION = """\
# Metric reference

<!-- Written by `mnemoscope generate` from the catalog and the settings; do not edit. -->

Every metric of the pack, by area. The heading is the name that a query uses; a histogram is queried by its `_bucket`,
`_sum` and `_count`. A value outside a label's set is recorded as `other`."""


def render(settings: Settings) -> str:
    """Return the page, with the site's prefix, thresholds and objectives; it ends in a line end."""
    areas = {title: [m for m in CATALOG if m.name.partition(".")[0] in words] for title, words in _AREAS.items()}
    parts = [_INTRODUCTION, "\n".join(_contents(title, metrics) for title, metrics in areas.items())]
    for title, metrics in areas.items():
        parts.append(f"## {title}")
        parts += ["\n\n".join(_section(metric, settings)) for metric in metrics]
    return "\n\n".join(parts) + "\n"


def judged_by(metric: Metric, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield name and description of each threshold and objective of this site for `metric`."""
    for threshold in settings.all_thresholds():
        if threshold.metric is metric:
            yield f"Threshold `{threshold.key}`", threshold.description
    for objective in settings.all_objectives():
        if objective.metric is metric:
            yield f"Objective `{objective.key}`", objective.description


def _contents(title: str, metrics: list[Metric]) -> str:
    return f"- [{title}](#{title.lower().replace(' ', '-')}): {len(metrics)}"


def _section(metric: Metric, settings: Settings) -> Iterator[str]:
    yield f"### `{metric.prometheus_name(settings.prefix)}`"
    yield f"{metric.help}."
    yield "\n".join(f"- {name}: {value}" for name, value in _properties(metric, settings))


def _properties(metric: Metric, settings: Settings) -> Iterator[tuple[str, str]]:
    yield "Constant", f"`{metric.name.upper().replace('.', '_')}`"
    yield "OpenTelemetry name", f"`{metric.otel_name(settings.prefix)}`"
    yield "Kind", metric.kind.value
    yield "Unit", f"{_UNITS[metric.unit]} (`{metric.unit.value}`)"
    for label in metric.labels:
        yield f"Label `{label.name}`", _label(label)
    if metric.buckets:
        yield "Buckets, up to", ", ".join(humanize(bound, metric.unit) for bound in metric.buckets)
    yield from judged_by(metric, settings)
    if metric.sources:
        yield "Needed by", ", ".join(source.value for source in metric.sources)


def _label(label: Label) -> str:
    if label.values:
        return f"{label.help}; one of {', '.join(f'`{value}`' for value in label.values)}"
    return f"{label.help}, such as `{label.sample}`"
