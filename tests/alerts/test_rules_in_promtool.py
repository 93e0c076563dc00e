"""The generated rules and their tests, under the real promtool."""

from __future__ import annotations

from pathlib import Path

import pytest
from alert_samples import SITES, write

from mnemoscope.alerts import build, render_rules, render_tests
from mnemoscope.alerts import promtool as runner
from mnemoscope.errors import MnemoscopeError

pytestmark = [pytest.mark.prometheus, pytest.mark.slow]


@pytest.mark.parametrize("site", SITES)
def test_promtool_accepts_the_rules(site: str, promtool: list[str], tmp_path: Path) -> None:
    settings = SITES[site]
    files = write(render_rules(build(settings), settings), tmp_path / "rules")

    assert runner.check_rules(promtool, files).count("SUCCESS") == 2


@pytest.mark.slow
@pytest.mark.parametrize("site", SITES)
def test_every_generated_rule_test_passes(site: str, promtool: list[str], tmp_path: Path) -> None:
    settings = SITES[site]
    write(render_rules(build(settings), settings), tmp_path / "rules")
    tests = write(render_tests(settings), tmp_path / "rule-tests")

    assert runner.test_rules(promtool, tests).count("SUCCESS") == len(tests)


def test_a_broken_rule_is_reported_with_its_file_and_reason(promtool: list[str], tmp_path: Path) -> None:
    good = "groups: [{name: a, rules: [{record: 'a:b:c', expr: '1'}]}]"
    bad = "groups: [{name: a, rules: [{record: 'a:b:c', expr: 'sum by ('}]}]"
    files = write({"a.yaml": good, "b.yaml": bad}, tmp_path)

    with pytest.raises(MnemoscopeError, match=r"promtool check rules: .*b\.yaml: .*parse error") as failed:
        runner.check_rules(promtool, files)
    assert failed.value.exit_code == 1


def test_a_failing_rule_test_is_reported_with_its_file_and_reason(promtool: list[str], tmp_path: Path) -> None:
    write({"r.yaml": "groups: [{name: a, rules: [{alert: Never, expr: 'vector(1) > 2'}]}]"}, tmp_path)
    check = "{eval_time: 1m, alertname: Never, exp_alerts: [{exp_labels: {x: y}}]}"
    test = f"rule_files: [r.yaml]\ntests: [{{interval: 1m, input_series: [], alert_rule_test: [{check}]}}]"
    files = write({"t.yaml": test}, tmp_path / "t")
    (tmp_path / "t" / "r.yaml").write_text((tmp_path / "r.yaml").read_text())

    with pytest.raises(MnemoscopeError, match=r"promtool test rules: .*t\.yaml: .*Never") as failed:
        runner.test_rules(promtool, files)
    assert failed.value.exit_code == 1


def test_a_callable_may_make_the_command_line(promtool: list[str], tmp_path: Path) -> None:
    files = write({"a.yaml": "groups: [{name: a, rules: [{record: 'a:b:c', expr: '1'}]}]"}, tmp_path)

    assert "1 rules found" in runner.check_rules(lambda *words: [*promtool, *words], files)


def test_a_promtool_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MnemoscopeError, match="no-such-tool: cannot be run"):
        runner.check_rules(tmp_path / "no-such-tool", [tmp_path / "a.yaml"])


def test_no_files_at_all_are_not_taken_for_success(tmp_path: Path) -> None:
    with pytest.raises(MnemoscopeError, match="no files were given"):
        runner.test_rules(tmp_path / "promtool", [])
