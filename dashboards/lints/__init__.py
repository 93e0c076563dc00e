"""Checks of the boards. Each module is one check; `CHECKS` lists them.

The checks read the finished document, not the code that made it: they check what Grafana gets.
"""

from __future__ import annotations

from collections.abc import Sequence

from mnemoscope.alerts.model import Pack
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding
from mnemoscope.model.settings import Settings

from ..board import Board
from . import (
    alert_panel,
    counter_without_rate,
    duplicate_id,
    hard_coded_range,
    missing_matcher,
    no_data_source,
    no_unit,
    no_variable,
    no_words,
    overlap,
    uid,
    unknown_link,
    unknown_name,
    unparsable_query,
)
from ._subject import Subject

CHECKS: tuple[Check[Subject], ...] = (
    unparsable_query.CHECK,
    unknown_name.CHECK,
    counter_without_rate.CHECK,
    missing_matcher.CHECK,
    hard_coded_range.CHECK,
    no_data_source.CHECK,
    no_words.CHECK,
    no_unit.CHECK,
    duplicate_id.CHECK,
    overlap.CHECK,
    uid.CHECK,
    no_variable.CHECK,
    alert_panel.CHECK,
    unknown_link.CHECK,
)


def lint(boards: Sequence[Board], pack: Pack, settings: Settings) -> list[Finding]:
    """Return the findings of every check in `boards`, in the order of `CHECKS`."""
    subject = Subject(tuple(boards), pack, settings)
    return [finding for check in CHECKS for finding in check.run(subject)]


__all__ = ["CHECKS", "Subject", "lint"]
