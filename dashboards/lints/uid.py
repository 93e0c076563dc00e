"""The uid of a board is one that alerts and runbooks link to."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding
from mnemoscope.model import links

from ._subject import Subject

NAME = "uid"

MAX_UID = 40
"""The longest uid that Grafana stores."""


def _run(subject: Subject) -> Iterator[Finding]:
    for board in subject.boards:
        uid = board.document.get("uid") or ""
        if len(uid) > MAX_UID:
            yield Finding(board.uid, NAME, f"uid {uid!r} is longer than {MAX_UID} characters")
        if uid not in links.BOARDS:
            yield Finding(board.uid, NAME, f"unknown uid {uid!r}; known are {', '.join(links.BOARDS)}")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a board that no alert links to."""
    return subject.with_changed_board(lambda document: document.update(uid="no-such-board"))


CHECK = Check(
    name=NAME,
    reason="Links from alerts and runbooks name a board by its uid. They break when the uid changes.",
    run=_run,
    failing=_failing,
)
