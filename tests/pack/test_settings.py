"""Settings: every mistake is one line that names the place; overrides change thresholds and objectives."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import Settings, from_mapping, load


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"prefx": "x"}, "prefx: unknown setting"),
        ({"prefix": "9x"}, "prefix: prefix '9x'"),
        ({"scrape_interval": "15"}, "scrape_interval: '15' is not a duration"),
        ({"scrape_interval": "2m"}, "rate_window (5m) must be at least four times scrape_interval (2m)"),
        ({"grafana_url": "grafana"}, "grafana_url: 'grafana' is not an http or https address"),
        ({"alerts": {"LockWaitHigh": {"fro": "5m"}}}, "alerts.LockWaitHigh.fro: unknown setting"),
        ({"alerts": {"LockWaitHigh": {"severity": "page"}}}, "alerts.LockWaitHigh.severity:"),
        ({"alert_labels": {"my-team": "x"}}, "'my-team' is not a label name"),
        ({"thresholds": {"recall_p98": {}}}, "thresholds.recall_p98 is unknown; known are lock_wait_p99"),
        ({"thresholds": {"recall_p99": {"yellow": 2}}}, "red (0.5) must be above yellow (2)"),
        ({"thresholds": {"recall_p99": {"yellow": "fast"}}}, "thresholds.recall_p99.yellow:"),
        ({"objectives": {"availability": {"target": 99.9}}}, "target 99.9 must lie between 0 and 1"),
        ({"objectives": {"recall_latency": {"within": 0.12}}}, "0.12 s is no bucket bound of recall.duration"),
        ({"min_events": 0}, "min_events:"),
        ({"silences": [{"check": "link", "where": "*", "until": "2030-01-01"}]}, "silences.0.reason: Field required"),
        ({"silences": [{"check": "link", "where": "*", "reason": "x", "until": "soon"}]}, "silences.0.until:"),
    ],
)
def test_a_mistake_is_one_line_that_names_its_place(data: dict[str, Any], message: str) -> None:
    with pytest.raises(MnemoscopeError) as caught:
        from_mapping(data, where="mnemoscope.yaml")
    text = str(caught.value)
    assert text.startswith("mnemoscope.yaml: ")
    assert message in text
    assert "\n" not in text
    assert caught.value.exit_code == 2


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(MnemoscopeError, match=r"prefix: .*; scrape_interval: "):
        from_mapping({"prefix": "9", "scrape_interval": "x"})


def test_an_overridden_limit_is_exact_and_leaves_the_others_alone() -> None:
    settings = from_mapping({"thresholds": {"storage_error_ratio": {"yellow": 0.0001}}})
    assert settings.threshold("storage_error_ratio").yellow == Decimal("0.0001")
    assert settings.threshold("storage_error_ratio").red == Decimal("0.01")
    assert settings.threshold("recall_p99") == Settings().threshold("recall_p99")


def test_an_overridden_objective_moves_its_description() -> None:
    settings = from_mapping({"objectives": {"recall_latency": {"target": 0.95, "within": 0.25}}})
    assert settings.all_objectives()[0].description.startswith("95 % of recalls that succeed take at most 250 ms")


def test_a_file_is_read_and_its_absence_means_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load() == Settings()
    (tmp_path / "mnemoscope.yaml").write_text("prefix: acme\nselectors: {namespace: memory}\n")
    settings = load()
    assert str(settings.queries.up()) == 'up{namespace="memory"}'
    assert settings.queries.prefix == "acme"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a: [", "not YAML"), (b"- a", "expected a mapping"), (b"\xff\xfe\x00", "cannot be read|not YAML")],
)
def test_a_file_that_is_no_settings_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(MnemoscopeError, match=message):
        load(path)


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MnemoscopeError, match=r"absent\.yaml: cannot be read"):
        load(tmp_path / "absent.yaml")


def test_an_empty_file_means_defaults(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing yet\n")
    assert load(path) == Settings()
