"""One query of a panel: its expression, its legend, and the look of its lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mnemoscope.instrumentation.catalog import Label

from .layer import Target
from .style import PALETTE, Line, line_style


@dataclass(frozen=True, slots=True)
class Query:
    """One target of a panel.

    Attributes:
        expr: PromQL with Grafana's variables in it.
        legend: legend template, such as `p99 {{lock}}`.
        color: fixed colour; if empty, the next colour of the palette.
        line: style of its lines, so that colour is not the only difference.
        many: whether it returns several series, which are then drawn in shades of one colour.
        exemplar: whether to request exemplars, which link a point to a trace.
        label: a label with a closed set of values; each value gets a fixed colour.
    """

    expr: str
    legend: str
    color: str = ""
    line: Line = "solid"
    many: bool = False
    exemplar: bool = False
    label: Label | None = None


def targets(queries: Iterable[Query], form: str, *, instant: bool) -> list[Target]:
    """Return the targets of a panel. `form` is the result format that its visualisation reads."""
    return [
        Target(
            expr=query.expr,
            legendFormat=query.legend,
            refId=_ref(place),
            exemplar=query.exemplar,
            format=form,
            instant=instant,
        )
        for place, query in enumerate(queries)
    ]


def series_overrides(queries: Sequence[Query]) -> list[dict[str, Any]]:
    """Return overrides that fix the colour and line style of each query, and of each value of a closed label."""
    overrides = []
    for place, query in enumerate(queries):
        color = query.color or PALETTE[place % len(PALETTE)]
        mode = "shades" if query.many else "fixed"
        properties: list[dict[str, Any]] = [{"id": "color", "value": {"fixedColor": color, "mode": mode}}]
        if query.line != "solid":
            properties.append({"id": "custom.lineStyle", "value": line_style(query.line)})
        overrides.append({"matcher": {"id": "byFrameRefID", "options": _ref(place)}, "properties": properties})
        for number, value in enumerate(query.label.values if query.label else ()):
            fixed = {"fixedColor": PALETTE[number % len(PALETTE)], "mode": "fixed"}
            overrides.append(
                {
                    "matcher": {"id": "byRegexp", "options": rf"/\b{value}\b/"},
                    "properties": [{"id": "color", "value": fixed}],
                }
            )
    return overrides


def _ref(place: int) -> str:
    return chr(ord("A") + place)
