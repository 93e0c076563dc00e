"""Every group has its own name, and between 1 and 20 rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..model import Group
from ._subject import Subject

NAME = "group-size"

MAX_RULES = 20


def _run(subject: Subject) -> Iterator[Finding]:
    names = Counter(group.name for group in subject.pack.groups)
    for group in subject.pack.groups:
        if not 0 < len(group.rules) <= MAX_RULES:
            yield Finding(group.name, NAME, f"{len(group.rules)} rules; a group has between 1 and {MAX_RULES}")
        if names[group.name] > 1:
            yield Finding(group.name, NAME, "another group has the same name")


CHECK = Check(
    name=NAME,
    reason="The rules of a group are evaluated one after the other, and must all finish within one interval.",
    run=_run,
    failing=lambda subject: subject.with_groups(Group("examples", ())),
)
