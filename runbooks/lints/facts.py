"""The block of facts stands above the text of its page and agrees with the rules."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from .. import facts
from ..page import FACTS_END, Page
from ._subject import Subject

NAME = "facts"


def _run(subject: Subject) -> Iterator[Finding]:
    for page in subject.alert_pages:
        for line, message in _of_page(page, subject):
            yield Finding(subject.place(page, line), NAME, message)


def _of_page(page: Page, subject: Subject) -> Iterator[tuple[int, str]]:
    if page.facts is None:
        yield 1, "the marks of the block of facts are missing, doubled or out of order"
        return
    line = page.text.count("\n", 0, page.text.index(page.facts)) + 1
    first_section = next((heading.line for heading in page.headings if heading.level == 2), line)
    if line > first_section:
        yield line, "the block of facts must stand between the title and the first section"
    if subject.has_alert(page.name):
        block = facts.render(page.name, subject.pack, subject.settings)
        if page.facts.replace("\r\n", "\n") != block:
            yield line, "the block of facts is stale; run `mnemoscope generate`"


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a page that lost the mark at the end of its facts."""
    return subject.with_changed_page(lambda text: text.replace(FACTS_END, ""))


CHECK = Check(
    name=NAME,
    reason="A stale block shows another limit or expression than the alert that fired.",
    run=_run,
    failing=_failing,
)
