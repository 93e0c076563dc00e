"""Settings under which the rules are tested, and packs that are cut down to one alert."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mnemoscope import alerts
from mnemoscope.alerts import Alert, Group, Pack, Record, render_rules, render_tests
from mnemoscope.model.settings import Settings, from_mapping

DEFAULTS = Settings()

# Every default is overridden, so that a default that survives is visible.
OVERRIDES = from_mapping(
    {
        "prefix": "acme_brain",
        "selectors": {"tenant": "blue"},
        "cluster_label": "region",
        "instance_labels": ["node", "replica"],
        "job": "brain",
        "scrape_interval": "1s",
        "evaluation_interval": "1s",
        "rate_window": "10s",
        "min_events": 3,
        "min_bad_events": 2,
        "grafana_url": "https://boards.example.org/grafana",
        "runbook_base_url": "https://pages.example.org",
        "alert_labels": {"team": "recall"},
        "thresholds": {
            "lock_wait_p99": {"yellow": 0.03, "red": 0.07},
            "index_write_p99": {"yellow": 0.02, "red": 0.3},
            "cache_hit_ratio": {"yellow": 0.9, "red": 0.33},
            "concurrent_completions": {"yellow": 3, "red": 4},
            "storage_error_ratio": {"yellow": 0.02, "red": 0.5},
            "fan_p95": {"yellow": 12, "red": 35},
            "lock_deadlocks": {"yellow": 2, "red": 5},
        },
        "objectives": {"storage_success": {"target": 0.97}, "recall_latency": {"within": 0.05}},
        "alerts": {name: {"for": ("0s", "5s")[i % 2]} for i, name in enumerate(alerts.alert_names())}
        | {
            "LockWaitHigh": {"for": "3s", "severity": "info"},
            "IndexWriteSlow": {"for": "5s", "labels": {"page": "yes"}},
        },
    }
)

# Intervals that divide nothing, and limits that five in a hundred more, or fewer, turn into ties of four digits.
AWKWARD = from_mapping(
    {
        "scrape_interval": "15s",
        "evaluation_interval": "7s",
        "rate_window": "7m",
        "thresholds": {
            "cache_hit_ratio": {"yellow": 0.947, "red": 0.521},
            "storage_error_ratio": {"yellow": 0.0095, "red": 0.263},
        },
        # Promtool takes longest for alerts with windows of hours, whose tests have no values near a limit here.
        "alerts": {
            name: {"enabled": False}
            for name in alerts.alert_names()
            if name.endswith("BudgetBurn") or name in ("DeadlockDetected", "LockOrderInversion")
        },
    }
)

SITES = {"defaults": DEFAULTS, "overrides": OVERRIDES, "awkward": AWKWARD}


def write(files: dict[str, str], folder: Path) -> list[Path]:
    """Write the files into `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in sorted(files)]


def only(pack: Pack, alert: str) -> Pack:
    """Return the rules of one alert, and the groups of records that they read."""
    rules = pack.rules_of(alert)
    read = [
        group
        for group in pack.groups
        if any(isinstance(r, Record) and any(r.name in rule.expr for rule in rules) for r in group.rules)
    ]
    return Pack((*read, Group("alerts.one", rules)))


def mutated(pack: Pack, rule: Alert, expr: str) -> Pack:
    """Return `pack` with another expression in `rule`."""
    return Pack(
        tuple(
            replace(group, rules=tuple(replace(r, expr=expr) if r is rule else r for r in group.rules))
            for group in pack.groups
        )
    )


def lay_out(folder: Path, settings: Settings, tested: Pack, written: Pack, alert: str) -> Path:
    """Write the rules of `written` beside the tests of `tested`, and return the path of the alert's test file."""
    write(render_rules(written, settings), folder / "rules")
    name = f"{alert}.test.yaml"
    (path,) = write({name: render_tests(settings, tested)[name]}, folder / "rule-tests")
    return path
