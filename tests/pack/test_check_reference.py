"""The check reference lists every check of the three packages of lints with its reason."""

from __future__ import annotations

from mnemoscope.alerts import lints as rule_lints
from mnemoscope.dashboards import lints as board_lints
from mnemoscope.generation import check_reference
from mnemoscope.runbooks import lints as page_lints


def test_every_check_is_one_row() -> None:
    rows = check_reference.render().splitlines()

    for check in (*rule_lints.CHECKS, *board_lints.CHECKS, *page_lints.CHECKS):
        assert f"| `{check.name}` | {check.reason} |" in rows
