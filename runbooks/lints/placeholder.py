"""No text is left to be written, and no command has a gap to fill in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject

NAME = "placeholder"

_PLACEHOLDERS = re.compile(
    r"\b(?:TODO|TBD|FIXME|XXX|lorem ipsum|coming soon|to be written|fill (?:me|this) in)\b", re.IGNORECASE
)
_GAP = re.compile(r"<[a-z][a-z _-]*>", re.IGNORECASE)


def _run(subject: Subject) -> Iterator[Finding]:
    for page in subject.pages.values():
        for number, line in enumerate(page.text.splitlines(), start=1):
            found = _PLACEHOLDERS.search(line)
            if found:
                message = f"{found[0]!r} is a placeholder; write what belongs there"
                yield Finding(subject.place(page, number), NAME, message)
        for fence in page.fences:
            for gap in _GAP.findall(fence.text):
                message = f"{gap} has to be filled in before the command runs; take it from a variable"
                yield Finding(subject.place(page, fence.line), NAME, message)


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a page that is not finished."""
    return subject.with_line("TODO")


CHECK = Check(
    name=NAME,
    reason="A tired engineer pastes a command as it stands, gap included.",
    run=_run,
    failing=_failing,
)
