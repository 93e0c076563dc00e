"""The JSON of the layer over grafanalib agrees with the models of Grafana's own schema."""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units as grafana_units
from grafanalib import core

from mnemoscope.dashboards import Board
from mnemoscope.dashboards.panels import constructors as panels
from mnemoscope.dashboards.panels.layer import Panel, plain
from mnemoscope.dashboards.panels.query import Query
from mnemoscope.dashboards.panels.style import ThresholdStep, limits
from mnemoscope.instrumentation.catalog import Unit

register_default_plugins()

Q = Query("up", "up", exemplar=True)
STEPS = limits(1, 2)
EVERY_KIND: dict[str, Panel] = {
    "timeseries": panels.timeseries("k", "T", "D", Unit.SECONDS, Q, Query("up", "b", line="dash"), steps=STEPS),
    "stat": panels.stat("k", "T", "D", Unit.COUNT, Q, steps=STEPS, texts={"1": ("on", "#009E73")}, decimals=1),
    "gauge": panels.gauge("k", "T", "D", Unit.RATIO, Q, steps=STEPS),
    "bargauge": panels.bargauge("k", "T", "D", Unit.RATIO, Q, maximum=1),
    "heatmap": panels.heatmap("k", "T", "D", Unit.SECONDS, Q),
    "table": panels.table("k", "T", "D", Unit.COUNT, Q, columns={"job": "Job", "Value": "Up"}),
    "state-timeline": panels.state_timeline("k", "T", "D", Unit.COUNT, Q, steps=STEPS, texts={"0": ("off", "#fff")}),
    "text": panels.text("k", "T", "D", "words"),
}


def lost(sent: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Yield each entry of the JSON that the model made from it did not keep."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        for key, value in sent.items():
            if key not in kept:
                if value is not None:
                    yield f"{path}.{key}"
            else:
                yield from lost(value, kept[key], f"{path}.{key}")
    elif isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        for one, other in zip(sent, kept, strict=True):
            yield from lost(one, other, f"{path}[]")
    elif sent != kept:
        yield f"{path}: {sent!r} became {kept!r}"


def ill_typed(value: Any, hint: Any, path: str = "") -> Iterator[str]:
    """Yield each place where a value differs from the type hint of its model. `from_json` does not check types."""
    origin = typing.get_origin(hint)
    if hint in (Any, object):
        if hasattr(value, "to_json"):
            yield from ill_typed(value, type(value), path)
    elif origin in (typing.Union, types.UnionType):
        problems = [list(ill_typed(value, choice, path)) for choice in typing.get_args(hint)]
        if all(problems):
            yield min(problems, key=len)[0]
    elif origin is typing.Literal:
        if value not in typing.get_args(hint):
            yield f"{path}: {value!r} is none of {typing.get_args(hint)}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
        else:
            for item in value:
                yield from ill_typed(item, typing.get_args(hint)[0], f"{path}[]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no mapping"
        else:
            for key, item in value.items():
                yield from ill_typed(item, typing.get_args(hint)[1], f"{path}.{key}")
    elif hint is type(None):
        if value is not None:
            yield f"{path}: {value!r} is not null"
    elif hint is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{path}: {value!r} is no number"
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in [member.value for member in hint]:
            yield f"{path}: {value!r} is no {hint.__name__}"
    elif isinstance(hint, type) and hasattr(hint, "from_json"):
        model = hint.from_json(value) if isinstance(value, dict) else value
        if not isinstance(model, hint):
            yield f"{path}: {value!r} is no {hint.__name__}"
            return
        hints = typing.get_type_hints(type(model))
        for name, part in vars(model).items():
            yield from ill_typed(part, hints[name], f"{path}.{name}")
    elif isinstance(hint, type) and (not isinstance(value, hint) or (hint is int and isinstance(value, bool))):
        yield f"{path}: {value!r} is no {hint.__name__}"


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_schema_knows_every_entry_of_a_panel(kind: str) -> None:
    sent = plain(EVERY_KIND[kind])
    assert sent["type"] == kind
    model = models.Panel.from_json(sent)
    assert list(lost(sent, json.loads(JSONEncoder().encode(model)))) == []


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_values_of_a_panel_have_the_types_of_the_schema(kind: str) -> None:
    assert list(ill_typed(models.Panel.from_json(plain(EVERY_KIND[kind])), models.Panel)) == []


@pytest.mark.parametrize("uid", ["dual-memory", "cognitive-metrics", "canary-comparison", "slo-compliance"])
def test_schema_knows_every_entry_and_type_of_a_board(uid: str, boards: list[Board]) -> None:
    sent = next(board for board in boards if board.uid == uid).json()
    model = models.Dashboard.from_json(sent)
    assert list(lost(sent, json.loads(JSONEncoder().encode(model)))) == []
    assert list(ill_typed(model, models.Dashboard)) == []


def test_the_schema_check_itself_finds_what_grafanalib_gets_wrong() -> None:
    old = plain(core.GaugePanel(title="T", thresholds=[core.Threshold("green", 0, 0.0)]))
    old |= {"datasource": {"type": "prometheus", "uid": "x"}, "gridPos": {"h": 1, "w": 1, "x": 0, "y": 0}}
    model = models.Panel.from_json(old)
    gone = list(lost(old, json.loads(JSONEncoder().encode(model))))
    assert ".editable" in gone
    assert ".fieldConfig.defaults.calcs" in gone
    assert any("'null' is no number" in found for found in ill_typed(model, models.Panel))


def test_all_units_are_units_of_grafana(boards: list[Board]) -> None:
    known = {value for name, value in vars(grafana_units).items() if name.isupper() or isinstance(value, str)}
    used = {
        panel["fieldConfig"]["defaults"]["unit"]
        for board in boards
        for panel in board.json()["panels"]
        if "fieldConfig" in panel
    }
    assert used <= known


def test_first_threshold_has_a_null_base_and_the_others_ascend(boards: list[Board]) -> None:
    for board in boards:
        for panel in board.json()["panels"]:
            if "fieldConfig" in panel:
                values = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
                assert values[0] is None
                assert values[1:] == sorted(values[1:])


def test_only_quantiles_of_histograms_request_exemplars(boards: list[Board]) -> None:
    for board in boards:
        for panel in board.json()["panels"]:
            for target in panel.get("targets", ()):
                live = "histogram_quantile" in target["expr"] and "$__rate_interval" in target["expr"]
                assert target["exemplar"] is live, panel["title"]


def test_tables_query_an_instant_and_all_other_panels_a_range(boards: list[Board]) -> None:
    for board in boards:
        for panel in board.json()["panels"]:
            for target in panel.get("targets", ()):
                assert target["instant"] is (panel["type"] == "table")
                assert target["range"] is not target["instant"]


def test_heatmaps_request_buckets() -> None:
    assert plain(EVERY_KIND["heatmap"])["targets"][0]["format"] == "heatmap"


def test_entries_that_grafana_removed_are_not_written(boards: list[Board]) -> None:
    for board in boards:
        document = board.json()
        assert document["schemaVersion"] == 42
        assert not {"rows", "style", "hideControls", "sharedCrosshair", "__inputs", "gnetId"} & set(document)
        assert "time_options" not in document["timepicker"]
        for panel in document["panels"]:
            assert not {"maxDataPoints", "span", "minSpan", "height", "editable"} & set(panel)
            for target in panel.get("targets", ()):
                assert not {"step", "intervalFactor", "metric", "target", "query"} & set(target)


def test_a_zone_step_without_value_is_the_base() -> None:
    assert ThresholdStep("#000").to_json_data() == {"color": "#000", "value": None}
