"""The check reference: one Markdown page with every check of `mnemoscope check` and its reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mnemoscope.alerts import lints as rule_lints
from mnemoscope.dashboards import lints as board_lints
from mnemoscope.linting.check import Check
from mnemoscope.runbooks import lints as page_lints

_INTRODUCTION = """\
# Check reference

<!-- Written by `mnemoscope generate` from the lists of checks; do not edit. -->

The checks that `mnemoscope check` runs on rules, boards and runbook pages. A finding shows the name of its check in
brackets. `silences` in `mnemoscope.yaml` takes that name.
"""
_SECTIONS: tuple[tuple[str, Iterable[Check[Any]]], ...] = (
    ("Rules", rule_lints.CHECKS),
    ("Boards", board_lints.CHECKS),
    ("Runbook pages", page_lints.CHECKS),
)


def render() -> str:
    """Return the page; it ends in a line end."""
    return _INTRODUCTION + "".join(_section(title, checks) for title, checks in _SECTIONS)


def _section(title: str, checks: Iterable[Check[Any]]) -> str:
    rows = "".join(f"| `{check.name}` | {check.reason} |\n" for check in checks)
    return f"\n## {title}\n\n| check | why |\n|---|---|\n{rows}"
