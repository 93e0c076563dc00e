"""Every panel has a title and a description."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from .subject import Subject

NAME = "no-words"


def run(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each panel without a title or description."""
    for where, panel in subject.panels():
        for part in ("title", "description"):
            if not panel.get(part):
                yield Finding(where, NAME, f"no {part}")


def failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a panel that has no description."""
    return subject.with_changed_panel(lambda panel: panel.update(description=""))


CHECK = Check(NAME, "An engineer on call reads in the description what to conclude from the panel.", run, failing)
