"""The check reference: one Markdown page with every check of `mnemoscope check` and its reason."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

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
_SECTIONS = (("Rules", rule_lints), ("Boards", board_lints), ("Runbook pages", page_lints))


def render() -> str:
    """Return the page; it ends in a line end."""
    return _INTRODUCTION + "".join(_section(title, list(checks(lints))) for title, lints in _SECTIONS)


def checks(lints: ModuleType) -> Iterator[Check[object]]:
    """Yield the checks that a package of lints lists as `CHECKS`."""
    # Some packages list functions or nothing; remove this filter when all of them list `Check` objects.
    for check in getattr(lints, "CHECKS", ()):
        if isinstance(check, Check):
            yield check


def _section(title: str, found: list[Check[object]]) -> str:
    if not found:
        return ""
    rows = "".join(f"| `{check.name}` | {check.reason} |\n" for check in found)
    return f"\n## {title}\n\n| check | why |\n|---|---|\n{rows}"
