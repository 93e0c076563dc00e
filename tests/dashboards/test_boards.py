"""The four boards: stable addresses, the limits of the alerts, and queries that follow the settings of a site."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from mnemoscope import alerts, dashboards, promql
from mnemoscope.alerts import Pack
from mnemoscope.alerts.rules import burn_rate
from mnemoscope.dashboards import Board
from mnemoscope.dashboards import board as boarding
from mnemoscope.dashboards.board import Section, assemble
from mnemoscope.dashboards.panels import constructors as panels
from mnemoscope.dashboards.panels.query import Query
from mnemoscope.dashboards.panels.style import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, YELLOW
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model import links
from mnemoscope.model.settings import Settings, from_mapping

OKABE_ITO = {BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW, GREY}


def panel(boards: list[Board], uid: str, key: str) -> dict[str, Any]:
    document = next(board for board in boards if board.uid == uid).json()
    return next(p for p in document["panels"] if p["id"] == links.panel_id(key))


def steps(found: dict[str, Any]) -> list[float | None]:
    return [step["value"] for step in found["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def test_there_is_one_board_for_each_uid_that_alerts_and_runbooks_name(boards: list[Board]) -> None:
    assert {board.uid: board.title for board in boards} == dict(links.BOARDS)
    assert [board.uid for board in boards] == list(links.BOARDS)


def test_rendering_is_the_same_every_time_and_ends_with_a_newline(boards: list[Board]) -> None:
    again = dashboards.build(Settings())
    for one, other in zip(boards, again, strict=True):
        text = dashboards.render(one)
        assert text == dashboards.render(other)
        assert text.endswith("}\n")
        assert json.loads(text) == one.json()


def test_default_boards_pass_every_lint(boards: list[Board], pack: Pack) -> None:
    assert dashboards.lint(boards, pack, Settings()) == []


def test_boards_of_a_site_that_renames_everything_pass_every_lint_and_keep_no_default() -> None:
    site = from_mapping(
        {
            "prefix": "engram",
            "cluster_label": "region",
            "instance_labels": ["host", "pod"],
            "job": "recall-service",
            "selectors": {"namespace": "prod"},
            "rate_window": "10m",
            "grafana_url": "https://grafana.example",
            "runbook_base_url": "https://books.example",
        }
    )
    boards = dashboards.build(site)
    assert dashboards.lint(boards, alerts.build(site), site) == []
    for board in boards:
        for _, _, _, expr in dashboards.queries(board):
            for selector in promql.selectors(expr):
                labels = {matcher.label for matcher in selector.matchers}
                assert {"region", "job", "namespace"} <= labels
                assert not {"cluster", "instance"} & labels
                assert "mnemo" not in selector.name
        variables = [v["name"] for v in board.json()["templating"]["list"]]
        assert variables == ["datasource", "region", "job", "host"]
        text = dashboards.render(board)
        assert "mnemo_" not in text
        assert "github.com" not in text


@pytest.mark.parametrize(
    ("uid", "key", "threshold"),
    [
        ("dual-memory", "lock-wait", "lock_wait_p99"),
        ("dual-memory", "index-write", "index_write_p99"),
        ("dual-memory", "cache-hit-ratio", "cache_hit_ratio"),
        ("dual-memory", "completions-in-flight", "concurrent_completions"),
        ("dual-memory", "storage-error-ratio", "storage_error_ratio"),
        ("dual-memory", "blended-recall", "blended_recall_p99"),
        ("cognitive-metrics", "concept-quality", "concept_quality"),
        ("cognitive-metrics", "fan", "fan_p95"),
    ],
)
def test_panel_of_an_alert_draws_the_limits_that_the_alert_reads(
    uid: str, key: str, threshold: str, boards: list[Board]
) -> None:
    limit = Settings().threshold(threshold)
    assert limit.red is not None
    shown = panel(boards, uid, key)
    assert steps(shown)[1:] == sorted([float(limit.yellow), float(limit.red)])
    assert shown["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "dashed"
    low = {"above": GREEN, "below": RED}[limit.worse]
    assert shown["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["color"] == low


def test_an_overridden_threshold_moves_the_line() -> None:
    site = from_mapping({"thresholds": {"lock_wait_p99": {"yellow": 0.3, "red": 2}}})
    assert steps(panel(dashboards.build(site), "dual-memory", "lock-wait")) == [None, 0.3, 2.0]


def test_burn_rate_panels_draw_the_factors_of_their_alerts(boards: list[Board]) -> None:
    for objective in Settings().all_objectives():
        shown = panel(boards, "slo-compliance", f"burn-rate-{objective.key}")
        assert steps(shown)[1:] == sorted({float(w.factor(objective)) for w in burn_rate.WINDOWS})
        assert f"Runbook: {burn_rate.alert_name(objective)}" in [link["title"] for link in shown["links"]]


def test_every_alert_leads_to_a_panel_with_its_runbook(boards: list[Board], pack: Pack) -> None:
    for alert in pack.alerts():
        urls = [link["url"] for link in panel(boards, alert.board, alert.panel)["links"]]
        assert links.runbook_url(Settings().runbook_base_url, alert.name) in urls


def test_compliance_zones_turn_at_the_target(boards: list[Board]) -> None:
    for objective in Settings().all_objectives():
        zone = panel(boards, "slo-compliance", f"compliance-{objective.key}")
        colors = [s["color"] for s in zone["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert colors == [RED, YELLOW, GREEN]
        assert steps(zone)[1] == float(objective.target)


def test_colours_are_those_that_colour_blind_readers_can_distinguish(boards: list[Board]) -> None:
    for board in boards:
        assert set(re.findall(r"#[0-9A-Fa-f]{6}\b", dashboards.render(board))) <= OKABE_ITO


def test_tracks_differ_in_colour_and_in_line_style(boards: list[Board]) -> None:
    overrides = panel(boards, "canary-comparison", "canary-request-errors")["fieldConfig"]["overrides"]
    looks = [{p["id"]: json.dumps(p["value"], sort_keys=True) for p in o["properties"]} for o in overrides]
    assert len(looks) == 2
    assert looks[0]["color"] != looks[1]["color"]
    assert ("custom.lineStyle" in looks[0]) != ("custom.lineStyle" in looks[1])


def test_regressions_are_drawn_at_ten_and_twenty_five_per_cent(boards: list[Board]) -> None:
    assert steps(panel(boards, "canary-comparison", "canary-latency-change")) == [None, 0.1, 0.25]
    assert steps(panel(boards, "canary-comparison", "canary-quality-change")) == [None, -0.25, -0.1]


def test_boards_cannot_be_edited_and_link_to_each_other_with_time_and_variables(boards: list[Board]) -> None:
    for board in boards:
        document = board.json()
        assert document["editable"] is False
        assert document["tags"] == ["mnemoscope"]
        link = document["links"][0]
        assert (link["type"], link["tags"]) == ("dashboards", ["mnemoscope"])
        assert link["keepTime"]
        assert link["includeVars"]


def test_variables_select_many_or_all_and_follow_the_time_range(boards: list[Board]) -> None:
    variables = {v["name"]: v for v in boards[0].json()["templating"]["list"]}
    assert list(variables) == ["datasource", "cluster", "job", "instance"]
    assert variables["datasource"]["query"] == "prometheus"
    assert {n: variables[n]["allValue"] for n in ("cluster", "job", "instance")} == dict(boarding.ALL_VALUES)
    for name in ("cluster", "job", "instance"):
        assert variables[name]["multi"]
        assert variables[name]["includeAll"]
        assert variables[name]["refresh"] == 2
    # Each list is narrowed by the choices before it.
    assert 'job=~"$job"' in variables["instance"]["definition"]
    assert 'job=~"$job"' not in variables["job"]["definition"]


def test_deployments_are_marked_where_a_version_appears(boards: list[Board]) -> None:
    for board in boards:
        annotation = board.json()["annotations"]["list"][1]
        assert annotation["name"] == "Deployments"
        assert {s.name for s in promql.selectors(annotation["expr"])} == {c.ROLLOUT_INFO.prometheus_name()}


def test_lines_of_panels_fill_the_24_columns(boards: list[Board]) -> None:
    for board in boards:
        lines: dict[int, int] = {}
        for shown in board.json()["panels"]:
            lines[shown["gridPos"]["y"]] = lines.get(shown["gridPos"]["y"], 0) + shown["gridPos"]["w"]
        assert set(lines.values()) == {24}


def test_layout_breaks_lines_and_widens_panels_to_fill_them() -> None:
    shown = [panels.stat(f"k{n}", "T", "D", Unit.COUNT, Query("up", ""), width=10) for n in range(3)]
    document = assemble(Settings(), "dual-memory", "", [Section("S", shown)]).json()
    places = [tuple(p["gridPos"][side] for side in "xywh") for p in document["panels"]]
    assert places == [(0, 0, 24, 1), (0, 1, 12, 4), (12, 1, 12, 4), (0, 5, 24, 4)]


def test_two_panels_with_one_key_are_refused() -> None:
    twice = [panels.stat("k", "T", "D", Unit.COUNT, Query("up", ""))] * 2
    with pytest.raises(ValueError, match="share a key"):
        assemble(Settings(), "dual-memory", "", [Section("S", twice)])


def test_board_with_an_unknown_uid_is_refused() -> None:
    with pytest.raises(KeyError):
        assemble(Settings(), "nowhere", "", [])


def test_panels_carry_their_key_and_queries(boards: list[Board]) -> None:
    shown = {p.key: p for board in boards for p in board.panels}
    assert shown["lock-wait"].id == links.panel_id("lock-wait")
    assert shown["lock-wait"].title == "Lock wait, p99"
    assert [ref for ref, _ in shown["lock-wait"].queries] == ["A", "B"]
    assert shown["objectives"].queries == ()


def test_json_may_be_changed_without_changing_the_board(boards: list[Board]) -> None:
    boards[0].json()["panels"].clear()
    assert boards[0].json()["panels"]


def test_substituted_queries_hold_no_variable_and_parse(boards: list[Board]) -> None:
    for board in boards:
        for _, _, _, expr in dashboards.queries(board):
            asked = dashboards.substitute(expr, rate_interval="20s", range="2m")
            assert "$" not in asked
            assert promql.selectors(asked)


def test_substitution_knows_both_spellings_and_longer_names_first() -> None:
    expr = 'a{cluster=~"$cluster", job=~"${job}", region=~"$region"}[$__range] b[${__rate_interval}] c[$__interval]'
    assert dashboards.substitute(expr, rate_interval="7s", range="9m") == (
        'a{cluster=~".*", job=~".+", region=~".*"}[9m] b[7s] c[7s]'
    )
