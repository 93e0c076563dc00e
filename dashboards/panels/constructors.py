"""One constructor for each visualisation. It takes what differs between panels and sets the rest.

Common arguments: `key` (stable; the id of the panel derives from it), `title`, `description` (what the reader
should conclude), `unit` (the catalog's or Grafana's) and queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mnemoscope.instrumentation.catalog import Unit

from .layer import DATASOURCE, Panel
from .query import Query, series_overrides, targets
from .style import NEUTRAL, PALETTE, UNITS, ThresholdStep

_LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def timeseries(
    key: str,
    title: str,
    description: str,
    unit: Unit | str,
    *queries: Query,
    steps: Sequence[ThresholdStep] = (),
    stack: bool = False,
    maximum: float | None = None,
    signed: bool = False,
    logarithmic: bool = False,
    width: int = 8,
    data_links: Sequence[Mapping[str, Any]] = (),
) -> Panel:
    """Return a panel of lines over time. `steps` are dashed lines. The axis starts at zero unless `signed`."""
    custom: dict[str, Any] = {
        "axisPlacement": "auto",
        "drawStyle": "line",
        "fillOpacity": 40 if stack else 8,
        "gradientMode": "none",
        "lineInterpolation": "linear",
        "lineWidth": 2,
        "pointSize": 5,
        "scaleDistribution": {"type": "log", "log": 10} if logarithmic else {"type": "linear"},
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stack else "none"},
        "thresholdsStyle": {"mode": "dashed" if steps else "off"},
    }
    field: dict[str, Any] = {"color": {"mode": "palette-classic"}, "custom": custom}
    if not signed and not logarithmic:
        field["min"] = 0
    if maximum is not None:
        field["max"] = maximum
    return _panel(
        key,
        "timeseries",
        title,
        description,
        unit,
        queries,
        steps=steps or NEUTRAL,
        field=field,
        overrides=series_overrides(queries),
        options={
            "legend": {"calcs": ["mean", "max"], "displayMode": "table", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        width=width,
        data_links=data_links,
    )


def stat(
    key: str,
    title: str,
    description: str,
    unit: Unit | str,
    *queries: Query,
    steps: Sequence[ThresholdStep] = NEUTRAL,
    texts: Mapping[str, tuple[str, str]] | None = None,
    decimals: int | None = None,
    trend: bool = True,
    width: int = 4,
) -> Panel:
    """Return a panel of the latest value, coloured by `steps`. `texts` maps a value to its word and colour."""
    return _panel(
        key,
        "stat",
        title,
        description,
        unit,
        queries,
        steps=steps,
        field={"color": {"mode": "thresholds"}, **_reading(texts, decimals)},
        options={
            "colorMode": "value",
            "graphMode": "area" if trend else "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": _LAST,
            "showPercentChange": False,
            "textMode": "auto",
            "wideLayout": True,
        },
        width=width,
        rows=4,
    )


def gauge(
    key: str,
    title: str,
    description: str,
    unit: Unit | str,
    *queries: Query,
    steps: Sequence[ThresholdStep],
    minimum: float = 0,
    maximum: float = 1,
    decimals: int | None = None,
    width: int = 6,
) -> Panel:
    """Return a panel of the latest value on a dial, with `steps` on the rim."""
    return _panel(
        key,
        "gauge",
        title,
        description,
        unit,
        queries,
        steps=steps,
        field={"color": {"mode": "thresholds"}, "max": maximum, "min": minimum, **_reading(None, decimals)},
        options={
            "minVizHeight": 75,
            "minVizWidth": 75,
            "orientation": "auto",
            "reduceOptions": _LAST,
            "showThresholdLabels": False,
            "showThresholdMarkers": True,
            "sizing": "auto",
        },
        width=width,
        rows=7,
    )


def bargauge(
    key: str,
    title: str,
    description: str,
    unit: Unit | str,
    *queries: Query,
    steps: Sequence[ThresholdStep] = NEUTRAL,
    minimum: float = 0,
    maximum: float | None = None,
    width: int = 8,
) -> Panel:
    """Return a panel of the latest value of each series as a bar."""
    field: dict[str, Any] = {"color": {"mode": "thresholds"}, "min": minimum, **_reading(None, None)}
    if maximum is not None:
        field["max"] = maximum
    return _panel(
        key,
        "bargauge",
        title,
        description,
        unit,
        queries,
        steps=steps,
        field=field,
        options={
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "maxVizHeight": 300,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "auto",
            "orientation": "horizontal",
            "reduceOptions": _LAST,
            "showUnfilled": True,
            "sizing": "auto",
            "valueMode": "color",
        },
        width=width,
    )


def heatmap(
    key: str,
    title: str,
    description: str,
    unit: Unit | str,
    query: Query,
    *,
    width: int = 12,
) -> Panel:
    """Return a panel of the buckets of a histogram over time. `unit` is the unit of their bounds."""
    return _panel(
        key,
        "heatmap",
        title,
        description,
        unit,
        (query,),
        form="heatmap",
        field={"custom": {"scaleDistribution": {"type": "linear"}}},
        options={
            "calculate": False,
            "cellGap": 1,
            "cellValues": {"unit": "short"},
            "color": {
                "exponent": 0.5,
                "fill": PALETTE[0],
                "mode": "scheme",
                "reverse": False,
                "scale": "exponential",
                "scheme": "Cividis",
                "steps": 64,
            },
            "exemplars": {"color": PALETTE[5]},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "showColorScale": True, "yHistogram": True},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": _unit(unit)},
        },
        width=width,
    )


def table(
    key: str,
    title: str,
    description: str,
    unit: Unit | str,
    query: Query,
    *,
    columns: Mapping[str, str],
    texts: Mapping[str, tuple[str, str]] | None = None,
    width: int = 12,
    rows: int = 8,
) -> Panel:
    """Return a table with one row for each series. `columns` maps a label, or `Value`, to its heading, in order."""
    return _panel(
        key,
        "table",
        title,
        description,
        unit,
        (query,),
        form="table",
        instant=True,
        field={
            "color": {"mode": "thresholds"},
            "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
            **_reading(texts, None),
        },
        options={"cellHeight": "sm", "frameIndex": 0, "showHeader": True, "sortBy": []},
        transformations=[
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True, "__name__": True},
                    "indexByName": {name: place for place, name in enumerate(columns)},
                    "renameByName": dict(columns),
                },
            }
        ],
        width=width,
        rows=rows,
    )


def state_timeline(
    key: str,
    title: str,
    description: str,
    unit: Unit | str,
    *queries: Query,
    steps: Sequence[ThresholdStep],
    texts: Mapping[str, tuple[str, str]],
    width: int = 12,
    rows: int = 6,
) -> Panel:
    """Return a panel of states over time. `texts` maps a value to its word and colour."""
    return _panel(
        key,
        "state-timeline",
        title,
        description,
        unit,
        queries,
        steps=steps,
        field={
            "color": {"mode": "thresholds"},
            "custom": {"fillOpacity": 70, "lineWidth": 0, "spanNulls": False},
            **_reading(texts, None),
        },
        options={
            "alignValue": "left",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "mergeValues": True,
            "rowHeight": 0.9,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        width=width,
        rows=rows,
    )


def text(key: str, title: str, description: str, content: str, *, width: int = 24, rows: int = 5) -> Panel:
    """Return a panel of Markdown text."""
    return Panel(
        key=key,
        kind="text",
        title=title,
        description=description,
        options={"content": content, "mode": "markdown"},
        width=width,
        rows=rows,
    )


def _panel(
    key: str,
    kind: str,
    title: str,
    description: str,
    unit: Unit | str,
    queries: Iterable[Query],
    *,
    steps: Sequence[ThresholdStep] = NEUTRAL,
    form: str = "time_series",
    instant: bool = False,
    data_links: Sequence[Mapping[str, Any]] = (),
    field: dict[str, Any],
    **rest: Any,
) -> Panel:
    if data_links:
        field["links"] = list(data_links)
    return Panel(
        key=key,
        kind=kind,
        title=title,
        description=description,
        unit=_unit(unit),
        dataSource=DATASOURCE,
        thresholds=list(steps),
        field=field,
        targets=targets(queries, form, instant=instant),
        **rest,
    )


def _unit(unit: Unit | str) -> str:
    return UNITS[unit] if isinstance(unit, Unit) else unit


def _reading(texts: Mapping[str, tuple[str, str]] | None, decimals: int | None) -> dict[str, Any]:
    """Return the entries of a field that format its value: words for values, and decimals."""
    reading: dict[str, Any] = {"mappings": []}
    if texts:
        options = {
            value: {"color": color, "index": place, "text": word}
            for place, (value, (word, color)) in enumerate(texts.items())
        }
        reading["mappings"] = [{"options": options, "type": "value"}]
    if decimals is not None:
        reading["decimals"] = decimals
    return reading
