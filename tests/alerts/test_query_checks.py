"""Queries are checked against the catalog: names that do not exist are found, and names that may exist pass."""

from __future__ import annotations

import pytest
from alert_samples import DEFAULTS, OVERRIDES

from mnemoscope.errors import MnemoscopeError
from mnemoscope.linting.queries import check_selectors, check_values

WAIT = "mnemo_lock_wait_duration_seconds"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("rate(mnemo_cache_lookup_total[5m])", "did you mean 'mnemo_cache_lookups_total'?"),
        (f'rate({WAIT}_bucket{{mod="read"}}[5m])', "has no label 'mod'; did you mean 'mode'?"),
        (WAIT, f"is a histogram; query {WAIT}_bucket"),
        (f"sum by (lokc) (rate({WAIT}_count[5m]))", "has the label 'lokc'"),
        ('up{colour="red"}', "up has no label 'colour'"),
        ('job:known:record{lock="x"}', "job:known:record has no label 'lock'"),
        ('{job="memory"}', "names no metric"),
    ],
)
def test_a_name_that_does_not_exist_is_found(expression: str, message: str) -> None:
    (found,) = check_selectors(expression, DEFAULTS, {"job:known:record": frozenset({"job"})})

    assert message in found


@pytest.mark.parametrize(
    "expression",
    [
        f'histogram_quantile(0.99, sum by (le, lock) (rate({WAIT}_bucket{{job=~"$job"}}[$__rate_interval])))',
        'ALERTS{alertname="LockWaitHigh", anything="x"}',
        'job:known:record{whatever="x"} / 2',
        "count by (cluster) (up == 1)",
        'label_replace(up, "zone", "$1", "instance", "(.*)") * on (zone) group_left () up',
    ],
)
def test_a_name_that_may_exist_passes(expression: str) -> None:
    assert check_selectors(expression, DEFAULTS, ["job:known:record"]) == []
    assert check_values(expression, DEFAULTS) == []


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ('rate(mnemo_cache_lookups_total{result="hat"}[5m])', "result is never 'hat'"),
        ('rate(mnemo_cache_lookups_total{result=~"hit|mist"}[5m])', "result is never 'mist'"),
        (f'rate({WAIT}_bucket{{le="0.3"}}[5m])', "has no bucket le='0.3'"),
    ],
)
def test_a_value_that_never_occurs_is_found(expression: str, message: str) -> None:
    (found,) = check_values(expression, DEFAULTS)

    assert message in found


@pytest.mark.parametrize("le", ["1", "1.0", "+Inf"])
def test_a_bound_may_be_written_either_way(le: str) -> None:
    assert check_values(f'rate({WAIT}_bucket{{le="{le}"}}[5m])', DEFAULTS) == []


def test_prefix_and_labels_follow_the_settings() -> None:
    expression = 'rate(acme_brain_cache_lookups_total{region="x", tenant="blue", node="a"}[5m])'

    assert check_selectors(expression, OVERRIDES) == []
    assert len(check_selectors(expression, DEFAULTS)) == 1


def test_an_expression_that_is_not_promql_is_an_error() -> None:
    with pytest.raises(MnemoscopeError, match="not PromQL"):
        check_selectors("sum by (", DEFAULTS)
