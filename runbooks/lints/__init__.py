"""Checks of the runbook pages. Each module is one check; `CHECKS` lists them."""

from __future__ import annotations

from pathlib import Path

from mnemoscope.alerts.model import Pack
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding
from mnemoscope.model.settings import Settings

from .. import loader
from . import (
    alert_without_page,
    board,
    diagnosis,
    facts,
    headings,
    link,
    mention,
    page_not_in_index,
    page_without_alert,
    placeholder,
    query,
    reference,
)
from ._subject import Subject

CHECKS: tuple[Check[Subject], ...] = (
    alert_without_page.CHECK,
    page_without_alert.CHECK,
    page_not_in_index.CHECK,
    headings.CHECK,
    facts.CHECK,
    diagnosis.CHECK,
    reference.CHECK,
    query.CHECK,
    mention.CHECK,
    link.CHECK,
    board.CHECK,
    placeholder.CHECK,
)


def lint(pages_dir: Path, pack: Pack, settings: Settings) -> list[Finding]:
    """Return the findings of every check in the pages of `pages_dir`, in the order of `CHECKS`.

    Raises:
        MnemoscopeError: a page cannot be read.
    """
    subject = Subject(pages_dir, loader.load(pages_dir), pack, settings)
    return [finding for check in CHECKS for finding in check.run(subject)]


__all__ = ["CHECKS", "Subject", "lint"]
