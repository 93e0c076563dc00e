"""Every panel has a title and a description."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject

NAME = "no-words"


def _run(subject: Subject) -> Iterator[Finding]:
    for where, panel in subject.panels():
        for part in ("title", "description"):
            if not panel.get(part):
                yield Finding(where, NAME, f"no {part}")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a panel that has no description."""
    return subject.with_changed_panel(lambda panel: panel.update(description=""))


CHECK = Check(
    name=NAME,
    reason="An engineer on call reads in the description what to conclude from the panel.",
    run=_run,
    failing=_failing,
)
