"""Each step of a diagnosis has something to paste, and states what to do for each result."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..page import Page, Step
from ._subject import BASH, PROMQL, Subject
from .reference import REFERENCE

NAME = "diagnosis"

_MARKDOWN_LINK = "]("


def _run(subject: Subject) -> Iterator[Finding]:
    for page in subject.alert_pages:
        for line, message in _of_page(page):
            yield Finding(subject.place(page, line), NAME, message)


def _of_page(page: Page) -> Iterator[tuple[int, str]]:
    steps = page.steps.get("Diagnosis", ())
    if not steps:
        yield 1, "the diagnosis has no numbered steps"
    for step in steps:
        if not any(fence.language in (PROMQL, BASH) and fence.text.strip() for fence in step.fences):
            yield step.line, f"step {step.number} has no query or command to paste ({PROMQL}, {BASH})"
        if not step.answers:
            yield step.line, f"step {step.number} does not state what to do: add a line that begins with `If`"
        for message in _answers(step):
            yield step.line, message


def _answers(step: Step) -> Iterator[str]:
    for answer in step.answers:
        if ":" not in answer:
            yield f"step {step.number}: write the answer as `If …: …`, not {_short(answer)!r}"
        elif not REFERENCE.search(answer) and _MARKDOWN_LINK not in answer:
            yield f"step {step.number}: {_short(answer)!r} leads nowhere; name a step, a mitigation or another page"


def _short(text: str) -> str:
    first = text.splitlines()[0]
    return first if len(first) <= 60 else first[:57] + "..."


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a page whose answers are not written as `If …: …`."""
    return subject.with_changed_page(lambda text: text.replace("- If ", "- When "))


CHECK = Check(
    name=NAME,
    reason="A step without an answer leaves an engineer on call with a number and no next step.",
    run=_run,
    failing=_failing,
)
