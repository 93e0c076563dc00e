"""A layer over grafanalib that writes JSON for a current Grafana.

grafanalib 0.7.1 writes JSON for Grafana 6 to 8: with rows and styles that no longer exist, a limit of 100 points for
every panel, and thresholds whose base is the text "null". Each class here extends a class of grafanalib and corrects
its JSON. All corrections are in this module.
"""

from __future__ import annotations

import json
from typing import Any

import attr
from grafanalib import core
from grafanalib._gen import DashboardEncoder

SCHEMA_VERSION = 42
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

_GONE_FROM_PANELS = ("editable", "error", "height", "minSpan", "span")
_GONE_FROM_BOARDS = ("__inputs", "gnetId", "hideControls", "rows", "sharedCrosshair", "style")
_ONLY_IF_SET = ("hideTimeOverride", "transparent", "transformations", "links")


def _present(data: dict[str, Any]) -> dict[str, Any]:
    """Return `data` without entries that equal Grafana's defaults."""
    return {k: v for k, v in data.items() if v is not None and (v or k not in _ONLY_IF_SET)}


def plain(value: Any) -> Any:
    """Return objects of grafanalib, or of this module, as plain JSON data."""
    return json.loads(json.dumps(value, cls=DashboardEncoder))


# grafanalib has no type information: each base class below is `Any` to the type checker, which pyproject.toml permits
# for this module. With `attr.s` written at each class, the checker would refuse attributes that it cannot see.
_extends = attr.s(auto_attribs=True, kw_only=True)


@_extends
class Target(core.Target):
    """A Prometheus query, with exemplars and without `step` and `intervalFactor` of Grafana 5."""

    exemplar: bool = False

    def to_json_data(self) -> dict[str, Any]:
        """Return the target as the Prometheus data source stores it."""
        return {
            "datasource": DATASOURCE,
            "editorMode": "code",
            "exemplar": self.exemplar,
            "expr": self.expr,
            "format": self.format,
            "instant": self.instant,
            "legendFormat": self.legendFormat,
            "range": not self.instant,
            "refId": self.refId,
        }


@_extends
class Panel(core.Panel):
    """A panel of any visualisation.

    Attributes:
        key: stable name. The id derives from it.
        kind: Grafana's plugin id, such as `timeseries`.
        unit: Grafana's unit id.
        field: further entries of `fieldConfig.defaults`.
        overrides: the look of single series.
        options: the options of the plugin.
        width: requested columns, of 24; the layout may give it more.
        rows: height in grid units.
    """

    key: str
    kind: str
    unit: str = ""
    field: dict[str, Any] = attr.ib(factory=dict)
    overrides: list[dict[str, Any]] = attr.ib(factory=list)
    options: dict[str, Any] = attr.ib(factory=dict)
    width: int = 8
    rows: int = 8
    maxDataPoints: int | None = None

    def to_json_data(self) -> dict[str, Any]:
        """Return the panel as Grafana stores it."""
        data: dict[str, Any] = self.panel_json(
            {
                "type": self.kind,
                "fieldConfig": {"defaults": {"unit": self.unit, **self.field}, "overrides": self.overrides},
                "options": self.options,
            }
        )
        if not self.targets:  # a text panel has no queries
            data["datasource"] = data["targets"] = data["fieldConfig"] = None
        return _present({k: v for k, v in data.items() if k not in _GONE_FROM_PANELS})


@_extends
class Row(core.RowPanel):
    """The heading of a section."""

    def to_json_data(self) -> dict[str, Any]:
        """Return the row as Grafana stores it."""
        return {
            "collapsed": self.collapsed,
            "gridPos": self.gridPos,
            "id": self.id,
            "panels": self.panels,
            "title": self.title,
            "type": "row",
        }


@_extends
class Variable(core.Template):
    """A template variable. If it has the choice All, that is its default."""

    description: str = ""

    def to_json_data(self) -> dict[str, Any]:
        """Return the variable as Grafana stores it."""
        data = {
            "allValue": self.allValue,
            "current": {"text": "All", "value": "$__all"} if self.includeAll else {},
            "datasource": self.dataSource,
            "description": self.description,
            "hide": self.hide,
            "includeAll": self.includeAll,
            "label": self.label,
            "multi": self.multi,
            "name": self.name,
            "options": self.options,
            "query": self.query,
            "refresh": self.refresh,
            "regex": self.regex or "",
            "type": self.type,
        }
        if self.type == "query":
            data |= {
                "definition": self.query,
                "query": {"query": self.query, "refId": f"variable-{self.name}"},
                "sort": self.sort,
            }
        return _present(data)


@_extends
class TimePicker(core.TimePicker):
    """The refresh intervals, without `time_options`, which Grafana 8 removed."""

    timeOptions: list[str] = attr.ib(factory=list)

    def to_json_data(self) -> dict[str, Any]:
        """Return the time picker as Grafana stores it."""
        return {"hidden": self.hidden, "refresh_intervals": self.refreshIntervals}


@_extends
class Dashboard(core.Dashboard):
    """A board of schema 42."""

    schemaVersion: int = SCHEMA_VERSION

    def to_json_data(self) -> dict[str, Any]:
        """Return the board as Grafana stores it. `id` is null, because the uid identifies the board."""
        data = super().to_json_data()
        return {k: v for k, v in data.items() if k not in _GONE_FROM_BOARDS}
