"""One query of a panel: what is asked, how it is labelled, and what its lines look like."""

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
        color: fixed colour; empty: the next of the palette.
        line: style of its lines, the cue beside colour.
        many: whether it returns several series, which then are shades of one colour.
        exemplar: whether to ask for exemplars, which lead from a point to a trace.
        label: a closed label whose values get a fixed colour each.
    """

    expr: str
    legend: str
    color: str = ""
    line: Line = "solid"
    many: bool = False
    exemplar: bool = False
    label: Label | None = None


def targets(queries: Iterable[Query], form: str, *, instant: bool) -> list[Target]:
    """The targets of a panel; `form` is the format that its visualisation reads."""
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
    """A fixed colour and line style for each query, and for each value of a closed label."""
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
