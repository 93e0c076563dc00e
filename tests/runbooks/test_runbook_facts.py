"""The block of facts shows the rules of a site, in words and as an expression."""

from __future__ import annotations

import pytest
from runbook_samples import ALERT, Folder, pack_of

from mnemoscope import alerts
from mnemoscope.alerts.model import Alert, Group, Pack
from mnemoscope.model import links
from mnemoscope.model.settings import Settings
from mnemoscope.runbooks import facts
from mnemoscope.runbooks.page import FACTS_BEGIN, FACTS_END, facts_span


def test_each_rule_is_a_row_with_its_limit_in_words() -> None:
    settings = Settings()

    block = facts.render(ALERT, pack_of(settings, ALERT), settings)

    assert "| warning | Lock wait, p99 above 50 ms | 5m | none |" in block
    assert "| critical | Lock wait, p99 above 1 s | 5m | none |" in block


def test_a_threshold_of_the_site_changes_the_limit_in_words() -> None:
    settings = Settings.model_validate({"thresholds": {"lock_wait_p99": {"yellow": "0.2"}}})

    block = facts.render(ALERT, pack_of(settings, ALERT), settings)

    assert "Lock wait, p99 above 200 ms" in block
    assert "Threshold `lock_wait_p99`: Lock wait, p99: yellow above 200 ms, red above 1 s" in block


def test_the_board_link_names_board_and_panel_at_the_address_of_the_site() -> None:
    settings = Settings(grafana_url="https://grafana.example/x")

    block = facts.render(ALERT, pack_of(settings, ALERT), settings)

    assert (
        f"(https://grafana.example/x/d/dual-memory?from=now-1h&to=now&viewPanel={links.panel_id('lock-wait')})" in block
    )


def test_burn_rate_rules_show_objective_share_and_windows() -> None:
    settings = Settings()

    block = facts.render("AvailabilityBudgetBurn", alerts.build(settings), settings)

    assert "more than 1.44 % of events bad" in block
    assert "`long_window=1h`, `short_window=5m`" in block
    assert (
        "Objective `availability`: 99.9 % of requests are answered without a fault of the service, over 30d." in block
    )
    assert block.count("```promql") == 4


def test_an_alert_without_a_limit_is_described_by_its_summary() -> None:
    rule = Alert(
        "Gone", "absent(up)", "2m", "critical", "It is gone.", "{{ $labels.job }}", "slo-compliance", "targets-up"
    )

    block = facts.render("Gone", Pack((Group("g", (rule,)),)), Settings())

    assert "| critical | It is gone | 2m | none |" in block


def test_the_facts_of_a_disabled_alert_state_that_it_is_disabled() -> None:
    settings = Settings.model_validate({"alerts": {ALERT: {"enabled": False}}})

    block = facts.render(ALERT, pack_of(settings), settings)

    assert "disabled in the settings of this site" in block
    assert facts_span(block) == (0, len(block))


def test_an_alert_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError, match="no rule of the pack is called Nothing"):
        facts.render("Nothing", pack_of(Settings(), ALERT), Settings())


@pytest.mark.parametrize("name", alerts.alert_names())
def test_the_expression_shown_is_the_expression_of_the_rule(name: str) -> None:
    settings = Settings(prefix="engram", selectors={"namespace": "memory"}, cluster_label="region")
    pack = alerts.build(settings)

    block = facts.render(name, pack, settings)

    shown = [part.partition("\n```")[0] for part in block.split("```promql\n")[1:]]
    assert shown == [rule.expr for rule in pack.rules_of(name)]
    assert block.startswith(FACTS_BEGIN)
    assert block.endswith(FACTS_END)


def test_the_index_lists_every_alert_with_its_limits_and_those_that_are_disabled() -> None:
    settings = Settings.model_validate({"alerts": {"FanEffectExcessive": {"enabled": False}}})

    block = facts.render_index(alerts.build(settings), settings)

    rows = [line for line in block.splitlines() if line.startswith("| [")]
    assert len(rows) == len(alerts.alert_names())
    assert any("(LockWaitHigh.md)" in row and "yellow above 50 ms, red above 1 s" in row for row in rows)
    assert "disabled" in rows[-1]
    assert "(FanEffectExcessive.md)" in rows[-1]


def test_a_page_that_only_the_table_of_the_index_links_to_is_in_the_index(folder: Folder) -> None:
    table = facts.render_index(folder.pack, folder.settings)
    folder.edit("- slow: [LockWaitHigh](LockWaitHigh.md)", table, "README")

    assert folder.lint() == []
