"""The rule tests fail for every alert that is broken in one of several ways."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from alert_samples import DEFAULTS, OVERRIDES, lay_out, mutated, only

from mnemoscope.alerts import Alert, Pack, alert_names, build
from mnemoscope.alerts import promtool as runner
from mnemoscope.alerts.rules.locks import DEADLOCK, INVERSION
from mnemoscope.alerts.rules.targets import ABSENT, DOWN
from mnemoscope.errors import MnemoscopeError
from mnemoscope.model import units
from mnemoscope.model.settings import Settings
from mnemoscope.model.signals import Peak
from mnemoscope.model.thresholds import THRESHOLDS

pytestmark = [pytest.mark.prometheus, pytest.mark.slow]

WORD_MUTANTS = {
    ABSENT: (("== 1", "== 0"), ("unless", "and"), ("absent_over_time", "count_over_time")),
    DOWN: (("== 0", "== 1"), ("== 1", "== 0"), ("and on", "unless on")),
    DEADLOCK: (
        (">=", "<"),
        (">=", ">"),
        (">= ", ">= 1 + "),
        ("unless", "and"),
        ("\n  or\n", "\n  and\n"),
        ("present_over_time", "absent_over_time"),
        ("max_over_time", "min_over_time"),
        ("[1h] offset 1h", "[1m] offset 1h"),
        ("[1h]", "[30m]"),
        ("[1h]", "[3h]"),
        ("offset 1h", "offset 2h"),
        ("increase", "idelta"),
        ("instance, pod", "pod"),
        ("round", "abs"),
    ),
    INVERSION: (
        ("> 0", "> 1"),
        ("> 0", ">= 0"),
        ("unless", "and"),
        ("\n  or\n", "\n  and\n"),
        ("[1h] offset 1h", "[1m] offset 1h"),
        ("[1h]", "[30m]"),
        ("[1h]", "[3h]"),
        ("offset 1h", "offset 2h"),
        ("max_over_time", "present_over_time"),
        ("increase", "rate"),
        ("instance, pod", "pod"),
    ),
}


EXACT = tuple(t.alert.name for t in THRESHOLDS if t.alert and isinstance(t.alert.signal, Peak))
"""Alerts on gauges. A quotient of rates may be off by the last bit, so that `>=` and `>` give the same result."""

# Objectives share the code of their rules, so one with a latency bound and one without are enough.
ALERTS = [name for name in alert_names() if not name.startswith(("RecallLatency", "StorageSuccess"))]


def mutants(rule: Alert, settings: Settings) -> Iterator[str]:
    """Yield other expressions, each of which is wrong."""
    if rule.name in WORD_MUTANTS:
        yield from (rule.expr.replace(*change) for change in WORD_MUTANTS[rule.name])
        return
    assert rule.limit is not None
    limit = units.number(rule.limit)
    sign = re.compile(rf"([<>]) (?={re.escape(limit)}(?:\n|$))")
    yield sign.sub(lambda found: "< " if found[1] == ">" else "> ", rule.expr)
    if rule.name in EXACT:
        yield sign.sub(lambda found: f"{found[1]}= ", rule.expr)
    for factor in ("0.7", "1.3"):
        moved = units.number(rule.limit * Decimal(factor))
        yield re.sub(rf"(?<=[<>] ){re.escape(limit)}(?=\n|$)", moved, rule.expr)
    for least in (settings.min_events, settings.min_bad_events):
        if rule.expr.endswith(f">= {least}"):
            yield rule.expr.replace(f">= {least}", ">= 0")


def survivors(pack: Pack, settings: Settings, alert: str, promtool: list[str], folder: Path) -> list[str]:
    """Return the mutants that no test notices."""

    def survives(job: tuple[int, Alert, str]) -> str:
        number, rule, expr = job
        assert expr != rule.expr, f"not a mutant: {expr}"
        path = lay_out(folder / str(number), settings, pack, mutated(pack, rule, expr), alert)
        try:
            runner.test_rules(promtool, [path])
        except MnemoscopeError as error:
            noticed = "alertname: " in str(error)
        else:
            noticed = False
        return "" if noticed else expr

    jobs = [(rule, expr) for rule in pack.rules_of(alert) for expr in mutants(rule, settings)]
    assert len(jobs) >= 3
    with ThreadPoolExecutor(2) as pool:
        return [expr for expr in pool.map(survives, ((i, *job) for i, job in enumerate(jobs))) if expr]


@pytest.mark.parametrize("alert", ALERTS)
def test_a_broken_rule_fails_its_tests(alert: str, promtool: list[str], tmp_path: Path) -> None:
    pack = only(build(DEFAULTS), alert)
    runner.test_rules(promtool, [lay_out(tmp_path / "whole", DEFAULTS, pack, pack, alert)])

    assert survivors(pack, DEFAULTS, alert, promtool, tmp_path) == []


@pytest.mark.parametrize("alert", ["LockWaitHigh", "CacheHitRatioLow", "CompletionConcurrencyHigh", ABSENT])
def test_a_broken_rule_fails_its_tests_with_overrides_too(alert: str, promtool: list[str], tmp_path: Path) -> None:
    pack = only(build(OVERRIDES), alert)

    left = survivors(pack, OVERRIDES, alert, promtool, tmp_path)
    # The limit is no bucket bound, so interpolation does not meet it to the last bit.
    assert [expr for expr in left if ":p99_" not in expr or ">= 0.0" not in expr] == []
