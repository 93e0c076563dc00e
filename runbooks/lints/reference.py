"""Steps and mitigations are numbered from 1, and each one that an answer refers to exists."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..page import Page
from ._subject import Subject

NAME = "reference"

REFERENCE = re.compile(r"\b(step|mitigation) (\d+)", re.IGNORECASE)
_SECTIONS = {"step": "Diagnosis", "mitigation": "Mitigation"}


def _run(subject: Subject) -> Iterator[Finding]:
    for page in subject.alert_pages:
        for line, message in _of_page(page):
            yield Finding(subject.place(page, line), NAME, message)


def _of_page(page: Page) -> Iterator[tuple[int, str]]:
    for section in _SECTIONS.values():
        for expected, step in enumerate(page.steps.get(section, ()), start=1):
            if step.number != expected:
                yield step.line, f"{section}: the item is number {step.number} and should be {expected}"
                break
    for step in page.steps.get("Diagnosis", ()):
        for answer in step.answers:
            for kind, number in REFERENCE.findall(answer):
                section = _SECTIONS[kind.lower()]
                if int(number) not in [target.number for target in page.steps.get(section, ())]:
                    yield step.line, f"step {step.number} refers to {kind} {number}, which {section} does not have"


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a page whose first step has the number 7."""
    return subject.with_changed_page(lambda text: re.sub(r"(?m)^1\. ", "7. ", text, count=1))


CHECK = Check(
    name=NAME,
    reason="A reference to a step that does not exist ends the diagnosis.",
    run=_run,
    failing=_failing,
)
