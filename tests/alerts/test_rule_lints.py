"""Every check finds its own example and further mistakes, and nothing in the shipped rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from alert_samples import DEFAULTS, SITES

from mnemoscope.alerts import Alert, Group, Pack, Record, build
from mnemoscope.alerts.lints import CHECKS, Subject, lint
from mnemoscope.alerts.rule_tests import scenarios, uncovered
from mnemoscope.linting.check import Check

pytestmark = pytest.mark.slow

SAMPLE = next(build(DEFAULTS).alerts())


def alert(expr: str, **changes: object) -> Alert:
    return replace(SAMPLE, expr=expr, **{"description": "{{ $value }} is much", **changes})  # type: ignore[arg-type]  # any field


def pack(*rules: Record | Alert) -> Pack:
    return Pack((Group("g", rules),))


def record(expr: str, name: str = "job:x:y") -> Record:
    return Record(name, expr)


WAIT = "mnemo_lock_wait_duration_seconds"
LINK = {"variables": ()}
BROKEN: dict[str, tuple[str, Pack]] = {
    "unknown label": ("unknown-selector", pack(record('rate(mnemo_cache_lookups_total{colour="red"}[5m])'))),
    "unknown grouping": ("unknown-selector", pack(record("sum by (colour) (rate(mnemo_cache_lookups_total[5m]))"))),
    "no such bucket": ("impossible-value", pack(record(f'rate({WAIT}_bucket{{le="0.3"}}[5m])'))),
    "total of any series": (
        "counter-without-rate",
        pack(record("max_over_time(mnemo_lock_deadlocks_total[5m]) unless mnemo_lock_waiters")),
    ),
    "total of another series": (
        "counter-without-rate",
        pack(
            record("max_over_time(mnemo_lock_deadlocks_total[5m]) unless present_over_time(mnemo_lock_waiters[5m])"),
        ),
    ),
    "total of known series": (
        "counter-without-rate",
        pack(
            record("max_over_time(mnemo_lock_stalls_total[5m]) and present_over_time(mnemo_lock_stalls_total[5m])"),
        ),
    ),
    "delta of counter": ("rate-of-gauge", pack(record("delta(mnemo_cache_lookups_total[5m])"))),
    "comparison that keeps all": ("no-comparison", pack(alert("mnemo_lock_waiters > bool 3", **LINK))),
    "label unknown to absent": ("template-label", pack(alert('absent(up{job="memory"})'))),
    "two records": ("duplicate", pack(record("1"), record("2"))),
    "two alerts": ("duplicate", pack(alert("mnemo_lock_waiters > 3"), alert("mnemo_lock_waiters > 4"))),
    "same expression": (
        "duplicate",
        pack(alert("mnemo_lock_waiters > 3"), alert("mnemo_lock_waiters > 3", severity="critical")),
    ),
    "written later": ("dependency", pack(record("job:b:c", "job:a:c"), record("1", "job:b:c"))),
    "written elsewhere": (
        "dependency",
        Pack((Group("a", (record("1", "job:b:c"),)), Group("b", (record("job:b:c", "job:a:c"),)))),
    ),
    "too many": ("group-size", pack(*(record("1", f"job:a{n}:b") for n in range(21)))),
    "two groups of a name": ("group-size", Pack((Group("a", (record("1"),)), Group("a", (record("1", "a:b:c"),))))),
}


@pytest.mark.parametrize("check", CHECKS, ids=[check.name for check in CHECKS])
@pytest.mark.parametrize("site", ["defaults", "overrides"])
def test_a_check_finds_its_own_example_and_nothing_in_the_shipped_rules(check: Check[Subject], site: str) -> None:
    sound = Subject(build(SITES[site]), SITES[site])

    assert list(check.run(sound)) == []
    assert {finding.check for finding in check.run(check.failing(sound))} == {check.name}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_mistake_is_found_by_its_check(mistake: str) -> None:
    check, broken = BROKEN[mistake]

    assert check in {finding.check for finding in lint(broken, DEFAULTS)}


def test_an_expression_that_cannot_be_read_is_the_only_finding() -> None:
    found = lint(pack(record("sum by ("), record("rate(mnemo_nothing_total[5m])")), DEFAULTS)

    assert [finding.check for finding in found] == ["syntax"]


@pytest.mark.parametrize("site", SITES)
def test_the_shipped_rules_have_no_problems(site: str) -> None:
    assert lint(build(SITES[site]), SITES[site]) == []


@pytest.mark.parametrize("site", SITES)
def test_every_rule_is_tested_in_both_directions(site: str) -> None:
    settings = SITES[site]

    assert uncovered(build(settings), scenarios(settings)) == []


def test_a_rule_without_a_scenario_is_found() -> None:
    whole = build(DEFAULTS)
    more = Pack((*whole.groups, Group("more", (alert("mnemo_lock_waiters > 3", name="Untested"), record("1")))))

    found = [str(finding) for finding in uncovered(more, scenarios(DEFAULTS))]
    assert len(found) == 3
    assert "no scenario in which it fires" in found[0]
    assert "no scenario in which it stays silent" in found[1]
    assert "job:x:y: no scenario tests the record" in found[2]
