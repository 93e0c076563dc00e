"""Links of an alert: stable panel ids, and addresses that work in a browser and in a rule template."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from mnemoscope.model.links import dashboard_url, panel_id, runbook_url


def test_a_panels_id_never_changes() -> None:
    # Old alerts in old incidents link to it, so this number must never change.
    assert panel_id("lock-wait") == 566_489


def test_a_link_names_board_panel_variables_and_time() -> None:
    url = dashboard_url("https://g.example/", "dual-memory", "lock-wait", {"lock": "a b&c", "job": "{{ $labels.job }}"})
    parts = urlsplit(url)
    assert parts.path == "/d/dual-memory"
    assert parse_qs(parts.query) == {
        "from": ["now-1h"],
        "to": ["now"],
        "viewPanel": [str(panel_id("lock-wait"))],
        "var-lock": ["a b&c"],
        "var-job": ["{{ $labels.job }}"],
    }


def test_a_link_to_a_board_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError):
        dashboard_url("https://g.example", "dual-memories", "lock-wait")


def test_a_runbook_link_names_the_alerts_page() -> None:
    assert runbook_url("https://r.example/pages/", "LockWaitHigh") == "https://r.example/pages/LockWaitHigh.md"
