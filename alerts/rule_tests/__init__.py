"""Rule tests: what goes in, and what fires when; every alert and every record has some.

Moments and values derive from the rule's own `for` and limit, so the tests of a site with overrides are as
strict as those of the defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mnemoscope.linting.finding import Finding
from mnemoscope.model.settings import Settings

from .. import render
from ..model import Alert, Pack
from ..pack import build
from . import (
    burn_rate as scenarios_budgets,
)
from . import (
    locks as scenarios_faults,
)
from . import (
    recording as scenarios_records,
)
from . import (
    targets as scenarios_absence,
)
from . import (
    thresholds as scenarios_zones,
)
from .model import Scenario
from .series import Clock, duration

Key = tuple[str, tuple[tuple[str, str], ...]]

SOURCES: tuple[Callable[[Settings, Pack], Iterator[Scenario]], ...] = (
    scenarios_zones.scenarios,
    scenarios_budgets.scenarios,
    scenarios_faults.scenarios,
    scenarios_absence.scenarios,
    scenarios_records.scenarios,
)

RULES_FOLDER = "../rules"
"""Where the rule files lie, seen from the test files."""


def scenarios(settings: Settings, pack: Pack | None = None) -> tuple[Scenario, ...]:
    """Every scenario of the pack."""
    pack = pack or build(settings)
    return tuple(scenario for source in SOURCES for scenario in source(settings, pack))


def render_tests(settings: Settings, pack: Pack | None = None) -> dict[str, str]:
    """File name to promtool test file: one file an alert, and one for each group of records."""
    pack = pack or build(settings)
    by_file: dict[str, list[Scenario]] = {}
    for scenario in scenarios(settings, pack):
        by_file.setdefault(f"{scenario.file}.test.yaml", []).append(scenario)
    return {name: _file(settings, pack, found) for name, found in sorted(by_file.items())}


def uncovered(pack: Pack, found: Iterable[Scenario]) -> list[Finding]:
    """Rules without a test: an alert needs a scenario in which it fires and one in which it does not."""
    firing: set[Key] = set()
    silent: set[Key] = set()
    queried: set[str] = set()
    for scenario in found:
        queried.update(query.record for query in scenario.queries)
        for check in scenario.checks:
            fired = {_key(f.rule) for f in check.firing}
            firing |= fired
            silent |= {_key(rule) for rule in pack.rules_of(check.alert)} - fired
    problems = [
        Finding(_title(rule), "test-coverage", f"no scenario in which it {what}")
        for rule in pack.alerts()
        for what, seen in (("fires", firing), ("stays silent", silent))
        if _key(rule) not in seen
    ]
    return problems + [
        Finding(record.name, "test-coverage", "no scenario tests the record")
        for record in pack.records()
        if record.name not in queried
    ]


def _key(rule: Alert) -> Key:
    return rule.name, tuple(sorted(render.labels(rule).items()))


def _title(rule: Alert) -> str:
    return f"{rule.name} ({', '.join(f'{k}={v}' for k, v in sorted(render.labels(rule).items()))})"


def _file(settings: Settings, pack: Pack, found: Sequence[Scenario]) -> str:
    clock = found[0].clock or Clock.of(settings)
    data: dict[str, Any] = {
        "rule_files": [f"{RULES_FOLDER}/{name}" for name in (render.RECORDS_FILE, render.ALERTS_FILE)],
        "evaluation_interval": duration(clock.evaluation),
        # Records before the alerts that read them; promtool's own order is random.
        "group_eval_order": [group.name for group in pack.groups],
        "tests": [_test(settings, clock, scenario) for scenario in found],
    }
    return render.dump(data)


def _test(settings: Settings, clock: Clock, scenario: Scenario) -> Mapping[str, Any]:
    test: dict[str, Any] = {
        "name": scenario.name,
        "interval": duration(clock.scrape),
        "input_series": [{"series": s.series, "values": s.values} for s in scenario.series],
    }
    if scenario.checks:
        test["alert_rule_test"] = [
            {
                "eval_time": duration(check.at),
                "alertname": check.alert,
                "exp_alerts": [firing.as_promtool(settings) for firing in check.firing],
            }
            for check in scenario.checks
        ]
    if scenario.queries:
        test["promql_expr_test"] = [
            {
                "expr": query.expr,
                "eval_time": duration(query.at),
                "exp_samples": [{"labels": labels, "value": value} for labels, value in query.samples],
            }
            for query in scenario.queries
        ]
    return test
