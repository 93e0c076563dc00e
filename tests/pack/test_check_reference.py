"""The check reference lists every check of the three packages of lints with its reason."""

from __future__ import annotations

from types import ModuleType

import pytest

from mnemoscope.alerts import lints as rule_lints
from mnemoscope.dashboards import lints as board_lints
from mnemoscope.generation import check_reference
from mnemoscope.linting.check import Check
from mnemoscope.runbooks import lints as page_lints


@pytest.mark.parametrize("lints", [rule_lints, board_lints, page_lints], ids=lambda lints: lints.__name__)
def test_every_check_is_one_row(lints: ModuleType) -> None:
    rows = check_reference.render().splitlines()

    for check in check_reference.checks(lints):
        assert f"| `{check.name}` | {check.reason} |" in rows


def test_only_checks_are_listed() -> None:
    lints = ModuleType("lints")
    check: Check[object] = Check(
        "short-range", "A missed scrape leaves no data.", lambda _: (), lambda subject: subject
    )
    lints.CHECKS = (check,)  # type: ignore[attr-defined]

    assert list(check_reference.checks(lints)) == [check]
    assert list(check_reference.checks(ModuleType("none"))) == []
