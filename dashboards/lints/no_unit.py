"""Every panel that shows numbers has a unit."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject

NAME = "no-unit"


def _run(subject: Subject) -> Iterator[Finding]:
    for where, panel in subject.querying_panels():
        if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
            yield Finding(where, NAME, "no unit")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a panel that has no unit."""
    return subject.with_changed_panel(lambda panel: panel["fieldConfig"]["defaults"].update(unit=""))


CHECK = Check(
    name=NAME,
    reason="A number without a unit can be misread, for example seconds as milliseconds.",
    run=_run,
    failing=_failing,
)
