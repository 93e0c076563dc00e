"""Every board has the variables that its queries and links use."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject, variable_names

NAME = "no-variable"


def _run(subject: Subject) -> Iterator[Finding]:
    for board in subject.boards:
        for name in ("datasource", *subject.variable_labels.values()):
            if name not in variable_names(board):
                yield Finding(board.uid, NAME, f"no variable {name!r}")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a board that has no variables."""
    return subject.with_changed_board(lambda document: document["templating"].update(list=[]))


CHECK = Check(
    name=NAME,
    reason="A query with a variable that the board lacks matches nothing.",
    run=_run,
    failing=_failing,
)
