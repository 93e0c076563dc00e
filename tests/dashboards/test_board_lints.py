"""Each check finds the faults that it is for, and nothing in the boards of default settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mnemoscope.alerts import Pack
from mnemoscope.dashboards import Board, lint
from mnemoscope.dashboards.lints import CHECKS, Subject
from mnemoscope.linting.check import Check
from mnemoscope.model import links
from mnemoscope.model.settings import Settings

Document = dict[str, Any]
MATCHERS = '{cluster=~"$cluster", job=~"$job", instance=~"$instance"}'
READY = f"mnemo_service_ready{MATCHERS}"


def shown(document: Document, key: str) -> Document:
    return next(p for p in document["panels"] if p["id"] == links.panel_id(key))


def asks(expr: str, key: str = "lock-wait") -> Callable[[Document], None]:
    def change(document: Document) -> None:
        shown(document, key)["targets"][0]["expr"] = expr

    return change


def sets(key: str, entry: str, value: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        shown(document, key)[entry] = value

    return change


def drops(key: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        document["panels"].remove(shown(document, key))

    return change


def moves(key: str, **sides: int) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        shown(document, key)["gridPos"].update(sides)

    return change


def annotates(expr: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        document["annotations"]["list"][1]["expr"] = expr

    return change


def links_to(url: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        shown(document, "lock-wait")["fieldConfig"]["defaults"]["links"] = [{"title": "there", "url": url}]

    return change


def unsourced_target(document: Document) -> None:
    shown(document, "lock-wait")["targets"][0]["datasource"] = {"type": "prometheus", "uid": "mine"}


def no_unit(document: Document) -> None:
    shown(document, "lock-wait")["fieldConfig"]["defaults"]["unit"] = ""


def same_ids(document: Document) -> None:
    shown(document, "lock-hold")["id"] = links.panel_id("lock-wait")


def nested_same_ids(document: Document) -> None:
    document["panels"][0]["panels"] = [dict(shown(document, "lock-wait"), gridPos={"x": 0, "y": 900, "w": 1, "h": 1})]


def no_job_variable(document: Document) -> None:
    document["templating"]["list"] = [v for v in document["templating"]["list"] if v["name"] != "job"]


def bad_variable_query(document: Document) -> None:
    document["templating"]["list"][1]["definition"] = "label_values(mnemo_no_such, cluster)"


def no_runbook(document: Document) -> None:
    shown(document, "lock-wait")["links"] = []


def long_uid(document: Document) -> None:
    document["uid"] = "dual-memory" * 4


FAULTS: list[tuple[str, Callable[[Document], None], str]] = [
    ("unparsable-query", asks("rate(x["), "not PromQL"),
    ("unparsable-query", annotates("sum("), "not PromQL"),
    ("unparsable-query", asks("sum(", "memory-weight"), "not PromQL"),  # a bar gauge
    ("unknown-name", asks(f"mnemo_lock_wait{MATCHERS}"), "unknown metric or record"),
    ("unknown-name", asks(READY.replace("}", ', lok="x"}')), "has no label 'lok'"),
    (
        "unknown-name",
        asks(READY.replace("mnemo_service_ready", "job:mnemo_no_such:rate5m")),
        "job:mnemo_no_such:rate5m",
    ),
    ("unknown-name", annotates(f"mnemo_no_such{MATCHERS}"), "mnemo_no_such"),
    ("unknown-name", bad_variable_query, "mnemo_no_such"),
    (
        "unknown-name",
        asks(f'rate(mnemo_cache_lookups_total{MATCHERS[:-1]}, result="hot"}}[$__rate_interval])'),
        "never 'hot'",
    ),
    ("counter-without-rate", asks(f"sum(mnemo_lock_contended_total{MATCHERS})"), "take a rate"),
    ("counter-without-rate", asks(f"mnemo_lock_wait_duration_seconds_count{MATCHERS}"), "take a rate"),
    ("counter-without-rate", asks(f"max_over_time(mnemo_lock_deadlocks_total{MATCHERS}[$__range])"), "take a rate"),
    ("counter-without-rate", asks(f"last_over_time(mnemo_lock_deadlocks_total{MATCHERS}[$__range])"), "take a rate"),
    ("missing-matcher", asks("mnemo_service_ready"), 'lacks the matcher instance=~"$instance"'),
    ("missing-matcher", asks(READY.replace('job=~"$job"', 'job="memory"')), 'job=~"$job"'),
    ("missing-matcher", asks('ALERTS{job=~"$job"}'), 'cluster=~"$cluster"'),
    ("hard-coded-range", asks(f"rate(mnemo_lock_contended_total{MATCHERS}[5m])"), "[5m]"),
    ("hard-coded-range", asks(f"max_over_time({READY}[$__range:1m])"), "[$__range:1m]"),
    ("no-data-source", sets("lock-wait", "datasource", None), "no data source"),
    ("no-data-source", unsourced_target, "query A: no data source"),
    ("no-data-source", sets("lock-wait", "targets", []), "no query"),
    ("no-words", sets("lock-wait", "title", ""), "no title"),
    ("no-words", sets("lock-wait", "description", ""), "no description"),
    ("no-unit", no_unit, "no unit"),
    ("duplicate-id", same_ids, "is used 2 times"),
    ("duplicate-id", nested_same_ids, "is used 2 times"),
    ("overlap", moves("lock-hold", x=0), "overlaps"),
    ("overlap", moves("lock-hold", x=23), "of 24"),
    ("uid", long_uid, "longer than 40"),
    ("uid", long_uid, "unknown uid"),
    ("no-variable", no_job_variable, "no variable 'job'"),
    ("alert-panel", drops("lock-wait"), "alert LockWaitHigh leads to panel 'lock-wait', which is not there"),
    ("alert-panel", no_job_variable, "alert LockWaitHigh sets variable 'job'"),
    ("alert-panel", no_runbook, "no link to the runbook of alert LockWaitHigh"),
    ("unknown-link", links_to("/d/nowhere?x=1"), "unknown board 'nowhere'"),
    ("unknown-link", links_to("http://localhost:3000/d/nowhere"), "unknown board 'nowhere'"),
    ("unknown-link", links_to("/d/slo-compliance?viewPanel=7"), "panel 7, which is not on slo-compliance"),
]


@pytest.fixture(scope="session")
def subject(boards: list[Board], pack: Pack) -> Subject:
    return Subject(tuple(boards), pack, Settings())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_finds_its_example_and_nothing_in_sound_boards(check: Check[Subject], subject: Subject) -> None:
    assert list(check.run(subject)) == []
    found = list(check.run(check.failing(subject)))
    assert found
    assert {finding.check for finding in found} == {check.name}


@pytest.mark.parametrize(("name", "change", "message"), FAULTS)
def test_a_fault_is_found_by_the_check_that_is_for_it(
    name: str, change: Callable[[Document], None], message: str, subject: Subject
) -> None:
    (check,) = (check for check in CHECKS if check.name == name)
    found = list(check.run(subject.with_changed_board(change)))
    assert any(message in finding.message for finding in found), found


def test_a_heatmap_is_parsed_like_any_other_panel(boards: list[Board], pack: Pack) -> None:
    document = boards[1].json()
    asks("sum by (le) (", "fan-distribution")(document)
    found = lint([boards[0], replace(boards[1], document=document), *boards[2:]], pack, Settings())
    assert [(p.check, p.where) for p in found] == [("unparsable-query", "cognitive-metrics / Fan, distribution / A")]


def test_alert_whose_board_is_missing_altogether_is_found(boards: list[Board], pack: Pack) -> None:
    found = lint(boards[1:], pack, Settings())
    missing = [p for p in found if p.where == "alert LockWaitHigh"]
    assert [p.check for p in missing] == ["alert-panel"]


def test_range_within_a_label_value_is_no_range(boards: list[Board], pack: Pack) -> None:
    document = boards[0].json()
    asks(READY.replace("}", ', pod=~"memory-[0-9]+"}'), "ready")(document)
    assert lint([replace(boards[0], document=document), *boards[1:]], pack, Settings()) == []


def test_problem_reads_as_place_message_and_check(boards: list[Board], pack: Pack) -> None:
    document = boards[0].json()
    sets("lock-wait", "description", "")(document)
    found = lint([replace(boards[0], document=document), *boards[1:]], pack, Settings())
    assert [str(p) for p in found] == ["dual-memory / Lock wait, p99: no description [no-words]"]
