"""A board made of sections of panels: layout, variables, links, annotations, and the finished document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import attr
from grafanalib import core

from mnemoscope.alerts import alerts_of_panel
from mnemoscope.instrumentation import catalog as c
from mnemoscope.model import links
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Queries

from .expressions import Expressions, variable_matcher
from .panels.layer import DATASOURCE, Dashboard, Panel, Row, TimePicker, Variable, plain
from .panels.style import PURPLE

TAG = "mnemoscope"
COLUMNS = 24

# The regular expression of each variable when All is selected. A single Prometheus may have no cluster label, so the
# one of `cluster` also matches an absent label.
ALL_VALUES: Mapping[str, str] = {"cluster": ".*", "job": ".+", "instance": ".+"}

_TITLES = {"cluster": "Cluster", "job": "Job", "instance": "Instance"}
_DEPLOY_WINDOW = "5m"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its panels, most important first."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class ShownPanel:
    """A panel of a finished board: its stable key, its id, its title, and its queries as (ref id, expression) pairs."""

    key: str
    id: int
    title: str
    queries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Board:
    """A finished board.

    Attributes:
        uid: its stable uid, one of `links.BOARDS`.
        title: its title.
        document: the JSON document that Grafana stores.
        keys: the key of each panel, by id.
    """

    uid: str
    title: str
    document: Mapping[str, Any]
    keys: Mapping[int, str]

    @property
    def panels(self) -> tuple[ShownPanel, ...]:
        """The panels in reading order, without the headings of rows."""
        return tuple(
            ShownPanel(
                self.keys.get(panel.get("id", 0), ""),
                panel.get("id", 0),
                panel.get("title", ""),
                tuple((target.get("refId", ""), target.get("expr", "")) for target in panel.get("targets", ())),
            )
            for panel in raw_panels(self)
        )

    def json(self) -> dict[str, Any]:
        """Return a copy of the document that may be changed."""
        return deepcopy(dict(self.document))


def raw_panels(board: Board) -> Iterator[Mapping[str, Any]]:
    """Yield every panel of the document except the rows, including those inside a collapsed row."""
    for panel in board.document["panels"]:
        if panel.get("type") == "row":
            yield from panel.get("panels", ())
        else:
            yield panel


def render(board: Board) -> str:
    """Return the document as text. The same settings give the same text on every machine."""
    return json.dumps(board.document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def queries(board: Board) -> Iterator[tuple[str, int, str, str]]:
    """Yield every query as (panel title, panel id, ref id, expression)."""
    for panel in board.panels:
        for ref_id, expr in panel.queries:
            yield panel.title, panel.id, ref_id, expr


def substitute(expr: str, rate_interval: str = "5m", range: str = "1h") -> str:
    """Return `expr` as Grafana sends it to Prometheus while All is selected in every variable.

    >>> substitute('rate(x{job=~"$job"}[$__rate_interval])')
    'rate(x{job=~".+"}[5m])'
    """
    intervals = {"__rate_interval": rate_interval, "__range": range, "__interval": rate_interval}
    # A site may rename its labels. A renamed label matches any value, and also if it is absent.
    values = {**intervals, **ALL_VALUES}
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[2], ".*"), expr)


def assemble(settings: Settings, uid: str, description: str, sections: Sequence[Section]) -> Board:
    """Return the finished board `uid`.

    Raises:
        KeyError: `uid` is not one of `links.BOARDS`.
        ValueError: two panels share a key.
    """
    title = links.BOARDS[uid]
    placed = list(_layout(settings, uid, sections))
    keys = {panel.id: panel.key for panel in placed if isinstance(panel, Panel)}
    if len({panel.id for panel in placed}) != len(placed):
        raise ValueError(f"board {uid}: two panels share a key or an id")
    board = Dashboard(
        uid=uid,
        title=title,
        description=description,
        tags=[TAG],
        editable=False,
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        timezone="browser",
        time=core.Time("now-1h", "now"),
        timePicker=TimePicker(refreshIntervals=["10s", "30s", "1m", "5m", "15m", "1h"]),
        refresh="30s",
        templating=core.Templating(list=list(_variables(Expressions(settings)))),
        annotations=core.Annotations(list=[_BUILT_IN, _deployments(Expressions(settings))]),
        links=list(_links(settings)),
        panels=placed,
    )
    return Board(uid, title, plain(board), keys)


def _layout(settings: Settings, uid: str, sections: Sequence[Section]) -> Iterator[Panel | Row]:
    """Yield the panels in reading order. Each line of panels is widened to fill all columns."""
    y = 0
    for section in sections:
        row_id = links.panel_id(f"{uid}/{section.title}")
        yield Row(title=section.title, id=row_id, gridPos=core.GridPos(1, COLUMNS, 0, y))
        y += 1
        for line in _lines(section.panels):
            x, height = 0, max(panel.rows for panel in line)
            spare, odd = divmod(COLUMNS - sum(panel.width for panel in line), len(line))
            for place, panel in enumerate(line):
                width = panel.width + spare + (place < odd)
                yield attr.evolve(
                    cast(Any, panel),
                    id=links.panel_id(panel.key),
                    gridPos=core.GridPos(height, width, x, y),
                    links=[_runbook(settings, alert) for alert in alerts_of_panel(uid, panel.key)],
                )
                x += width
            y += height


def _lines(panels: Iterable[Panel]) -> Iterator[list[Panel]]:
    line: list[Panel] = []
    for panel in panels:
        if line and sum(p.width for p in line) + panel.width > COLUMNS:
            yield line
            line = []
        line.append(panel)
    if line:
        yield line


def _variables(expressions: Expressions) -> Iterator[Variable]:
    yield Variable(
        name="datasource",
        type="datasource",
        query="prometheus",
        label="Data source",
        description="The Prometheus that scrapes the service",
        refresh=core.REFRESH_ON_DASHBOARD_LOAD,
    )
    site = expressions.settings.queries
    narrowed = list(site.matchers)
    for role, label in expressions.variable_labels().items():
        # The choices in the variables to its left narrow each list.
        anchor = Queries(site.prefix, tuple(narrowed)).series(c.SERVICE_UPTIME)
        yield Variable(
            name=label,
            query=f"label_values({anchor}, {label})",
            label=_TITLES[role],
            description=f"Values of the label {label}",
            dataSource=DATASOURCE,
            multi=True,
            includeAll=True,
            allValue=ALL_VALUES[role],
            refresh=core.REFRESH_ON_TIME_RANGE_CHANGE,
        )
        narrowed.append(variable_matcher(label))


_BUILT_IN = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": PURPLE,
    "name": "Annotations & Alerts",
    "type": "dashboard",
}


def _deployments(expressions: Expressions) -> dict[str, Any]:
    """Return the annotation that marks when a version first appears."""
    running = f"count by (track, version) ({expressions.live.series(c.ROLLOUT_INFO)})"
    before = f"count by (track, version) ({expressions.live.series(c.ROLLOUT_INFO)} offset {_DEPLOY_WINDOW})"
    return {
        "datasource": DATASOURCE,
        "enable": True,
        "expr": f"{running} unless {before}",
        "hide": False,
        "iconColor": PURPLE,
        "name": "Deployments",
        "step": "1m",
        "tagKeys": "track,version",
        "textFormat": "{{track}} now runs {{version}}",
        "titleFormat": "Deployment",
    }


def _links(settings: Settings) -> Iterator[core.DashboardLink]:
    yield core.DashboardLink(title="Memory boards", tags=[TAG], includeVars=True, keepTime=True)
    yield core.DashboardLink(
        title="Runbooks", type="link", icon="doc", uri=settings.runbook_base_url, targetBlank=True, keepTime=False
    )


def _runbook(settings: Settings, alert: str) -> core.DataLink:
    return core.DataLink(f"Runbook: {alert}", links.runbook_url(settings.runbook_base_url, alert), isNewTab=True)
