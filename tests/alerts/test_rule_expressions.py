"""Rules and expected annotations that the shipped alerts do not need, but a further alert may."""

from __future__ import annotations

from dataclasses import replace

import pytest
from alert_samples import DEFAULTS

from mnemoscope import alerts, catalog
from mnemoscope.alerts.rule_tests.expected import expand
from mnemoscope.alerts.rule_tests.signals import feed
from mnemoscope.alerts.rules import recording
from mnemoscope.alerts.rules.recording import RecordedQuantile


def test_two_quantiles_of_one_metric_share_the_record_of_its_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    both = tuple(RecordedQuantile(catalog.RECALL_DURATION, percent, ("outcome",)) for percent in (95, 99))
    monkeypatch.setattr(recording, "QUANTILES", both)

    assert [record.name for record in recording.groups(DEFAULTS)[0].rules] == [
        "job_path:mnemo_recall_duration_seconds_bucket:rate5m",
        "job_path:mnemo_recall_duration_seconds:p95_rate5m",
        "job_path:mnemo_recall_duration_seconds:p99_rate5m",
    ]


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5"), (1000, "1000"), (1536, "1.5ki"), (2.1e9, "1.956Gi")])
def test_a_size_is_shown_with_a_binary_prefix(value: float, text: str) -> None:
    assert expand("{{ $value | humanize1024 }}", {}, value) == text


def test_a_template_action_that_is_not_covered_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot expand"):
        expand("{{ if $value }}much{{ end }}", {}, 1)


def test_a_threshold_without_counters_has_no_feed() -> None:
    threshold = replace(DEFAULTS.threshold("lock_wait_p99"), alert=None)

    with pytest.raises(ValueError, match="lock_wait_p99"):
        feed(DEFAULTS, threshold, {})


def test_a_panel_knows_the_alerts_that_link_to_it_in_order() -> None:
    assert alerts.alerts_of_panel("slo-compliance", "targets-up") == ("MemoryServiceAbsent", "MemoryInstanceDown")
    assert alerts.alerts_of_panel("dual-memory", "targets-up") == ()
