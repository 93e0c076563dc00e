"""The block of facts at the top of a page: severity, limits, expressions and board of an alert, from its rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from mnemoscope.alerts.model import Alert, Pack
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model import links
from mnemoscope.model.objectives import Objective
from mnemoscope.model.settings import Settings
from mnemoscope.model.thresholds import Threshold
from mnemoscope.model.units import humanize

from .page import FACTS_BEGIN, FACTS_END

T = TypeVar("T")

_NOTE = "<!-- Written by `mnemoscope generate`. Edits between the two marks are overwritten. -->"
_DISABLED = "This alert is disabled in the settings of this site. It cannot fire."


def render(name: str, pack: Pack, settings: Settings) -> str:
    """Return the block of facts of the alert `name`, marks included, without a line end after the last mark.

    It contains a table of the rules (severity, limit in words, pending time, further labels), their threshold or
    objective, a link to the panel of the alert, and the expression of each rule.

    Raises:
        KeyError: `pack` has no such alert, and the settings do not disable an alert of that name.
    """
    rules = pack.rules_of(name)
    if rules:
        parts = [_table(rules), *_limits(rules), _board(rules[0], settings), *_expressions(rules)]
    elif is_disabled(name, settings):
        parts = [_DISABLED]
    else:
        raise KeyError(f"no rule of the pack is called {name}")
    return "\n\n".join((f"{FACTS_BEGIN}\n{_NOTE}", *parts, FACTS_END))


def render_index(pack: Pack, settings: Settings) -> str:
    """Return the table of all alerts for the index, marks included, without a line end at its close.

    Each row links to the page of an alert, and gives its summary and the limits behind it. Alerts that the settings
    disable come last.
    """
    rows = []
    for name in pack.alert_names():
        rules = pack.rules_of(name)
        limits = [t.description for t in _distinct(rule.threshold for rule in rules)]
        limits += [o.description for o in _distinct(rule.objective for rule in rules)]
        rows.append(f"| [{name}]({name}.md) | {rules[0].summary} | {'; '.join(limits) or 'none'} |")
    disabled = [name for name in settings.alerts if is_disabled(name, settings)]
    rows += [f"| [{name}]({name}.md) | {_DISABLED} | none |" for name in disabled]
    table = "\n".join(("| alert | summary | limits |", "|---|---|---|", *rows))
    return "\n\n".join((f"{FACTS_BEGIN}\n{_NOTE}", table, FACTS_END))


def is_disabled(name: str, settings: Settings) -> bool:
    """Return whether this site disables the alert `name`. Its page then stays, with a note."""
    override = settings.alerts.get(name)
    return override is not None and not override.enabled


def _table(rules: tuple[Alert, ...]) -> str:
    rows = [f"| {rule.severity} | {_fires_when(rule)} | {rule.for_} | {_labels(rule)} |" for rule in rules]
    return "\n".join(("| severity | fires when | for | labels |", "|---|---|---|---|", *rows))


def _fires_when(rule: Alert) -> str:
    if rule.threshold is not None:
        threshold = rule.threshold
        limit = threshold.yellow if rule.limit is None else rule.limit
        return f"{threshold.title} {threshold.beyond(limit)}"
    if rule.objective is not None and rule.limit is not None:
        return f"more than {humanize(rule.limit, Unit.RATIO)} of events bad, over both windows"
    return rule.summary.rstrip(".")


def _labels(rule: Alert) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in sorted(rule.labels.items())) or "none"


def _limits(rules: tuple[Alert, ...]) -> Iterator[str]:
    for threshold in _distinct(rule.threshold for rule in rules):
        yield _threshold_line(threshold)
    for objective in _distinct(rule.objective for rule in rules):
        yield _objective_line(objective)


def _threshold_line(threshold: Threshold) -> str:
    note = f" ({threshold.note})" if threshold.note else ""
    return f"Threshold `{threshold.key}`: {threshold.description}{note}."


def _objective_line(objective: Objective) -> str:
    return f"Objective `{objective.key}`: {objective.description}."


def _board(rule: Alert, settings: Settings) -> str:
    address = links.dashboard_url(settings.grafana_url, rule.board, rule.panel)
    return f"Board: [{links.BOARDS[rule.board]}, panel `{rule.panel}`]({address})"


def _expressions(rules: tuple[Alert, ...]) -> Iterator[str]:
    for rule in rules:
        title = ", ".join((f"**{rule.severity}**", *(f"`{k}={v}`" for k, v in sorted(rule.labels.items()))))
        yield f"Expression of {title}:\n\n```promql\n{rule.expr.strip()}\n```"


def _distinct(values: Iterator[T | None]) -> list[T]:
    return list(dict.fromkeys(value for value in values if value is not None))
