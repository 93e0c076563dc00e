"""Every record is written before it is read."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope import promql
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..model import Record
from ._subject import Subject, title

NAME = "dependency"


def _run(subject: Subject) -> Iterator[Finding]:
    places = _places(subject)
    for at, group in enumerate(subject.pack.groups):
        for index, rule in enumerate(group.rules):
            for selector in promql.selectors(rule.expr):
                place = places.get(selector.name)
                if place is None and ":" in selector.name:
                    yield Finding(title(rule), NAME, f"no rule writes {selector.name}")
                elif place is not None and place >= (at, index):
                    yield Finding(title(rule), NAME, f"{selector.name} is written later; move it before this rule")
                elif place is not None and isinstance(rule, Record) and place[0] != at:
                    message = f"{selector.name} is written in another group; keep a chain in one group"
                    yield Finding(title(rule), NAME, message)


def _places(subject: Subject) -> dict[str, tuple[int, int]]:
    """Return the group and the place in it of every record, by name."""
    return {
        rule.name: (at, index)
        for at, group in enumerate(subject.pack.groups)
        for index, rule in enumerate(group.rules)
        if isinstance(rule, Record)
    }


CHECK = Check(
    name=NAME,
    reason=(
        "Rules of one group are evaluated in order; groups run beside each other."
        " A record that is read too early is one evaluation old, or absent."
    ),
    run=_run,
    failing=lambda subject: subject.with_record("job:none:such"),
)
