"""The page of an alert is called as the alert, and has the five sections once each, in order, with text."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..page import SECTIONS, Page
from ._subject import Subject

NAME = "headings"


def _run(subject: Subject) -> Iterator[Finding]:
    for page in subject.alert_pages:
        for line, message in _of_page(page):
            yield Finding(subject.place(page, line), NAME, message)


def _of_page(page: Page) -> Iterator[tuple[int, str]]:
    titles = [heading.text for heading in page.headings if heading.level == 1]
    if titles != [page.name]:
        yield 1, f"the page must have one title, `# {page.name}`"
    sections = [heading for heading in page.headings if heading.level == 2]
    names = [section.text for section in sections]
    missing = [name for name in SECTIONS if name not in names]
    if missing:
        yield 1, f"no heading {', '.join(f'`## {name}`' for name in missing)}"
    elif names != list(SECTIONS):
        yield sections[0].line, f"the headings must be {', '.join(SECTIONS)}, once each and in this order"
    for section in sections:
        if not page.body(section):
            yield section.line, f"the section {section.text} is empty"


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a page that lacks a section."""
    return subject.with_changed_page(lambda text: text.replace("## Impact\n", ""))


CHECK = Check(
    name=NAME,
    reason="An engineer on call finds the diagnosis and the mitigation in the same place on every page.",
    run=_run,
    failing=_failing,
)
