"""Every page belongs to an alert, except the general ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..page import parse
from ._subject import Subject

NAME = "page-without-alert"


def _run(subject: Subject) -> Iterator[Finding]:
    for page in subject.alert_pages:
        if not subject.has_alert(page.name):
            message = f"no alert is called {page.name}; remove the page or rename it to the alert's name"
            yield Finding(subject.file(page.name), NAME, message)


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a page of an alert that does not exist."""
    return replace(subject, pages={**subject.pages, "NoSuchAlert": parse("NoSuchAlert", "# NoSuchAlert\n")})


CHECK = Check(
    name=NAME,
    reason="A page that no alert leads to is not read, and becomes outdated.",
    run=_run,
    failing=_failing,
)
