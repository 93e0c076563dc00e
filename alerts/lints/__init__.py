"""Checks of rules that promtool does not make: rules that are valid and yet can never be right.

Each module holds one check. The list of checks follows pint's. Pint queries a running Prometheus; here the typed
catalog has most of the answers.
"""

from __future__ import annotations

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding
from mnemoscope.model.settings import Settings

from ..model import Pack
from . import (
    counter_without_rate,
    dependency,
    duplicate,
    group_size,
    impossible_value,
    nan_ratio,
    no_comparison,
    rate_of_gauge,
    short_range,
    syntax,
    template_label,
    unknown_selector,
)
from ._subject import Subject

CHECKS: tuple[Check[Subject], ...] = (
    syntax.CHECK,
    unknown_selector.CHECK,
    impossible_value.CHECK,
    counter_without_rate.CHECK,
    rate_of_gauge.CHECK,
    short_range.CHECK,
    no_comparison.CHECK,
    template_label.CHECK,
    duplicate.CHECK,
    dependency.CHECK,
    group_size.CHECK,
    nan_ratio.CHECK,
)
"""Every check of rules. The others need expressions that pass the first."""


def lint(pack: Pack, settings: Settings) -> list[Finding]:
    """Return everything that is wrong with the rules of `pack`; only the syntax, if an expression cannot be read."""
    subject = Subject(pack, settings)
    unreadable = list(syntax.CHECK.run(subject))
    return unreadable or [finding for check in CHECKS for finding in check.run(subject)]


__all__ = ["CHECKS", "Subject", "lint"]
