"""Every alert has a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject

NAME = "alert-without-page"


def _run(subject: Subject) -> Iterator[Finding]:
    for name in subject.alerts:
        if name not in subject.pages:
            message = f"the alert {name} has no page; `mnemoscope generate` writes one to start from"
            yield Finding(subject.file(name), NAME, message)


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` without the page of an alert."""
    gone = subject.alert_pages[0].name
    return replace(subject, pages={name: page for name, page in subject.pages.items() if name != gone})


CHECK = Check(
    name=NAME,
    reason="The `runbook_url` of an alert leads to its page.",
    run=_run,
    failing=_failing,
)
