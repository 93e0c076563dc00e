"""The settings of a site reach every rule, and no default survives."""

from __future__ import annotations

import re

import pytest
import yaml
from alert_samples import DEFAULTS, OVERRIDES

from mnemoscope import promql
from mnemoscope.alerts import alert_names, build, render_rules, render_tests
from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import Settings, from_mapping

pytestmark = pytest.mark.slow

LEFTOVERS = ("mnemo_", "mnemo.", "cluster", "instance_", "pod", "[5m]) >", 'job="memory"', "localhost")


def test_no_default_survives_overrides() -> None:
    # The header names the project, a sentence may say "instance", and objectives keep their own 5 minutes.
    text = "".join(render_rules(build(OVERRIDES), OVERRIDES).values())
    exprs = "\n".join(rule["expr"] for rule in _rules(OVERRIDES))

    assert not [word for word in LEFTOVERS if word in exprs]
    assert not [r["expr"] for r in _rules(OVERRIDES) if "[5m]" in r["expr"] and "_slo_" not in r.get("record", "")]
    assert not re.search(r"\b(cluster|instance|pod)\b", exprs)
    assert "localhost" not in text
    assert "$labels.cluster" not in text
    assert "$labels.instance" not in text


def test_every_selector_carries_the_sites_own_matchers() -> None:
    for rule in _rules(OVERRIDES):
        for selector in promql.selectors(rule["expr"]):
            assert ("tenant", "blue") in {(m.label, m.value) for m in selector.matchers}, rule["expr"]


def _rules(settings: Settings) -> list[dict[str, str]]:
    files = render_rules(build(settings), settings).values()
    return [rule for text in files for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def test_labels_severity_and_for_of_one_alert_can_be_changed() -> None:
    rules = {(r.get("alert"), r["labels"]["severity"]): r for r in _rules(OVERRIDES) if "alert" in r}

    assert rules["LockWaitHigh", "info"]["for"] == "3s"
    assert ("LockWaitHigh", "critical") not in rules
    assert rules["IndexWriteSlow", "warning"]["labels"] == {"team": "recall", "page": "yes", "severity": "warning"}


def test_a_disabled_alert_has_neither_rules_nor_tests() -> None:
    settings = from_mapping({"alerts": {"LockWaitHigh": {"enabled": False}}})

    assert set(alert_names()) - set(build(settings).alert_names()) == {"LockWaitHigh"}
    assert "LockWaitHigh.test.yaml" not in render_tests(settings)


def test_an_override_of_an_unknown_alert_names_the_nearest() -> None:
    with pytest.raises(MnemoscopeError, match=r"alerts\.LockWaitHihg: no such alert; did you mean LockWaitHigh"):
        build(from_mapping({"alerts": {"LockWaitHihg": {"enabled": False}}}))


def test_a_limit_that_nothing_can_pass_is_refused() -> None:
    with pytest.raises(MnemoscopeError, match=r"thresholds\.lock_wait_p99: LockWaitHigh can never fire above 5"):
        build(from_mapping({"thresholds": {"lock_wait_p99": {"red": 5}}}))


def test_a_limit_that_no_event_at_all_reaches_is_refused_unless_its_alert_is_off() -> None:
    none = {"thresholds": {"lock_deadlocks": {"yellow": 0}}}

    with pytest.raises(MnemoscopeError, match=r"thresholds\.lock_deadlocks: DeadlockDetected would always fire from 0"):
        build(from_mapping(none))
    off = from_mapping({**none, "alerts": {"DeadlockDetected": {"enabled": False}}})
    assert "DeadlockDetected" not in build(off).alert_names()


def test_a_target_too_low_to_burn_is_refused_unless_its_alert_is_off() -> None:
    low = {"objectives": {"storage_success": {"target": 0.9}}}

    with pytest.raises(MnemoscopeError, match=r"objectives\.storage_success\.target: 0\.9 lets no alert fire over 1h"):
        build(from_mapping(low))
    off = from_mapping({**low, "alerts": {"StorageSuccessBudgetBurn": {"enabled": False}}})
    assert "StorageSuccessBudgetBurn" not in build(off).alert_names()


def test_burn_rate_limits_are_exact_decimals() -> None:
    rules = build(DEFAULTS).rules_of("AvailabilityBudgetBurn")

    assert [str(rule.limit.normalize()) for rule in rules if rule.limit] == ["0.0144", "0.006", "0.003", "0.001"]
    assert [(rule.labels["long_window"], rule.labels["short_window"], rule.for_, rule.severity) for rule in rules] == [
        ("1h", "5m", "2m", "critical"),
        ("6h", "30m", "15m", "critical"),
        ("1d", "2h", "1h", "warning"),
        ("3d", "6h", "3h", "warning"),
    ]


def test_the_same_settings_give_the_same_text() -> None:
    assert render_rules(build(DEFAULTS), DEFAULTS) == render_rules(build(DEFAULTS), DEFAULTS)
    assert render_tests(DEFAULTS) == render_tests(DEFAULTS)
    assert all("expr: |-\n" in text for text in render_rules(build(DEFAULTS), DEFAULTS).values())
