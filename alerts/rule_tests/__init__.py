"""Rule tests for promtool: which series go in, and which alerts fire when. Every alert and every record has some.

Moments and values derive from the rule's own `for` and limit, so the tests of a site with overrides are as strict as
those of the defaults. Beside each module of `rules/` there is one here with its scenarios.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mnemoscope.linting.finding import Finding
from mnemoscope.model.settings import Settings

from .. import render
from ..model import Alert, Pack
from ..pack import build
from . import burn_rate, locks, recording, targets, thresholds
from .clock import Clock, as_duration
from .scenario import Scenario

RuleKey = tuple[str, tuple[tuple[str, str], ...]]
"""Name and labels of a rule."""

RULES_FOLDER = "../rules"
"""The folder of the rule files, relative to the test files."""


def scenarios(settings: Settings, pack: Pack | None = None) -> tuple[Scenario, ...]:
    """Return every scenario of the pack."""
    pack = pack or build(settings)
    return tuple(
        scenario
        for module in (thresholds, burn_rate, locks, targets, recording)
        for scenario in module.scenarios(settings, pack)
    )


def render_tests(settings: Settings, pack: Pack | None = None) -> dict[str, str]:
    """Return test files by name: one for each alert, and one for each group of records."""
    pack = pack or build(settings)
    by_file: dict[str, list[Scenario]] = {}
    for scenario in scenarios(settings, pack):
        by_file.setdefault(f"{scenario.file}.test.yaml", []).append(scenario)
    return {name: _file(settings, pack, found) for name, found in sorted(by_file.items())}


def uncovered(pack: Pack, found: Iterable[Scenario]) -> list[Finding]:
    """Return the rules without a test: an alert needs a scenario in which it fires and one in which it is silent."""
    firing: set[RuleKey] = set()
    silent: set[RuleKey] = set()
    queried: set[str] = set()
    for scenario in found:
        queried.update(query.record for query in scenario.queries)
        for check in scenario.checks:
            fired = {_key(firing_alert.rule) for firing_alert in check.firing}
            firing |= fired
            silent |= {_key(rule) for rule in pack.rules_of(check.alert)} - fired
    problems = [
        Finding(_title(rule), "test-coverage", f"no scenario in which it {state}")
        for rule in pack.alerts()
        for state, seen in (("fires", firing), ("stays silent", silent))
        if _key(rule) not in seen
    ]
    return problems + [
        Finding(record.name, "test-coverage", "no scenario tests the record")
        for record in pack.records()
        if record.name not in queried
    ]


def _key(rule: Alert) -> RuleKey:
    return rule.name, tuple(sorted(render.labels(rule).items()))


def _title(rule: Alert) -> str:
    return f"{rule.name} ({', '.join(f'{k}={v}' for k, v in sorted(render.labels(rule).items()))})"


def _file(settings: Settings, pack: Pack, found: Sequence[Scenario]) -> str:
    clock = found[0].clock or Clock.of(settings)
    data: dict[str, Any] = {
        "rule_files": [f"{RULES_FOLDER}/{name}" for name in (render.RECORDS_FILE, render.ALERTS_FILE)],
        "evaluation_interval": as_duration(clock.evaluation),
        # Records before the alerts that read them; promtool's own order is random.
        "group_eval_order": [group.name for group in pack.groups],
        "tests": [_test(settings, clock, scenario) for scenario in found],
    }
    return render.dump(data)


def _test(settings: Settings, clock: Clock, scenario: Scenario) -> Mapping[str, Any]:
    test: dict[str, Any] = {
        "name": scenario.name,
        "interval": as_duration(clock.scrape),
        "input_series": [{"series": each.name, "values": each.values} for each in scenario.series],
    }
    if scenario.checks:
        test["alert_rule_test"] = [
            {
                "eval_time": as_duration(check.at),
                "alertname": check.alert,
                "exp_alerts": [firing.as_promtool(settings) for firing in check.firing],
            }
            for check in scenario.checks
        ]
    if scenario.queries:
        test["promql_expr_test"] = [
            {
                "expr": query.expr,
                "eval_time": as_duration(query.at),
                "exp_samples": [{"labels": labels, "value": value} for labels, value in query.samples],
            }
            for query in scenario.queries
        ]
    return test
