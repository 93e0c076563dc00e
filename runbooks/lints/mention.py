"""Each metric or record that the text or a command of a page names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mnemoscope.instrumentation.catalog import CATALOG
from mnemoscope.linting import queries
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..page import Fence, Page
from ._subject import PROMQL, Subject

NAME = "mention"


def _run(subject: Subject) -> Iterator[Finding]:
    prefix = subject.settings.prefix
    known = set(queries.known_series(subject.settings, subject.records))
    known |= {metric.prometheus_name(prefix) for metric in CATALOG}
    word = re.compile(rf"(?<![A-Za-z0-9_:])(?:[a-z_]+:)?{re.escape(prefix)}_[a-z][A-Za-z0-9_:]*")
    for page in subject.pages.values():
        for number, line in _lines(page):
            for name in word.findall(line):
                if name not in known:
                    yield Finding(subject.place(page, number), NAME, f"{name} is not a metric or record of this pack")


def _lines(page: Page) -> Iterator[tuple[int, str]]:
    """Yield the lines outside the facts and the queries, with their numbers."""
    text = page.text if page.facts is None else page.text.replace(page.facts, "\n" * page.facts.count("\n"))
    queried = {line for fence in page.fences if fence.language == PROMQL for line in _lines_of(fence)}
    for number, line in enumerate(text.splitlines(), start=1):
        if number not in queried:
            yield number, line


def _lines_of(fence: Fence) -> range:
    return range(fence.line, fence.line + fence.text.count("\n") + 2)


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a page that names a metric that no service exports."""
    return subject.with_line(f"Look at `{subject.settings.prefix}_no_such_metric`.")


CHECK = Check(
    name=NAME,
    reason="A misspelt or renamed metric cannot be looked up.",
    run=_run,
    failing=_failing,
)
