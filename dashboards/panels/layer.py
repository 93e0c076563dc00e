"""grafanalib, made right for a current Grafana.

grafanalib 0.7.1 writes what Grafana 6 to 8 read: rows and styles that are gone, a cap of 100 points on every
panel, thresholds whose base is the text "null". Each class here takes grafanalib's own and corrects its
JSON; nothing else in the project knows what had to be corrected.
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
    """`data` without what Grafana would read as its default anyway."""
    return {k: v for k, v in data.items() if v is not None and (v or k not in _ONLY_IF_SET)}


def plain(value: Any) -> Any:
    """grafanalib objects, and ours, as plain JSON data."""
    return json.loads(json.dumps(value, cls=DashboardEncoder))


# grafanalib carries no type information: its classes are Any to a type checker, hence the ignores below, and an
# grafanalib carries no types, so each base class below is `Any` to the checker, which pyproject.toml permits here.
# `attr.s` spelled out would make the checker refuse the attributes it cannot see.
_extends = attr.s(auto_attribs=True, kw_only=True)


@_extends
class Target(core.Target):
    """A Prometheus query, with exemplars and without Grafana 5's `step` and `intervalFactor`."""

    exemplar: bool = False

    def to_json_data(self) -> dict[str, Any]:
        """The target as the Prometheus data source stores it."""
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
    """Any visualisation: what grafanalib shares between panels, and the parts that differ as data.

    Attributes:
        key: stable name, from which the id derives.
        kind: Grafana's plugin id, such as `timeseries`.
        unit: Grafana's unit id.
        field: further entries of `fieldConfig.defaults`.
        overrides: what single series look like.
        options: the plugin's options.
        width: columns of 24 it asks for; the layout may give it more.
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
        """The panel as Grafana stores it."""
        data: dict[str, Any] = self.panel_json(
            {
                "type": self.kind,
                "fieldConfig": {"defaults": {"unit": self.unit, **self.field}, "overrides": self.overrides},
                "options": self.options,
            }
        )
        if not self.targets:  # a text panel queries nothing
            data["datasource"] = data["targets"] = data["fieldConfig"] = None
        return _present({k: v for k, v in data.items() if k not in _GONE_FROM_PANELS})


@_extends
class Row(core.RowPanel):
    """The heading of a section."""

    def to_json_data(self) -> dict[str, Any]:
        """The row as Grafana stores it."""
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
    """A template variable; where it has an All, that is its default."""

    description: str = ""

    def to_json_data(self) -> dict[str, Any]:
        """The variable as Grafana stores it."""
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
    """The refresh intervals alone: `time_options` went with Grafana 8."""

    timeOptions: list[str] = attr.ib(factory=list)

    def to_json_data(self) -> dict[str, Any]:
        """The picker as Grafana stores it."""
        return {"hidden": self.hidden, "refresh_intervals": self.refreshIntervals}


@_extends
class Dashboard(core.Dashboard):
    """A board of schema 42."""

    schemaVersion: int = SCHEMA_VERSION

    def to_json_data(self) -> dict[str, Any]:
        """The board as Grafana stores it; `id` is null, the uid alone says which it is."""
        data = super().to_json_data()
        return {k: v for k, v in data.items() if k not in _GONE_FROM_BOARDS}
