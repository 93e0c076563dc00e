"""No two panels of a board share an id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject, panels_and_rows, title

NAME = "duplicate-id"


def _run(subject: Subject) -> Iterator[Finding]:
    for board in subject.boards:
        counted = Counter(panel.get("id") for panel in panels_and_rows(board))
        for number, count in counted.items():
            if number is None or count > 1:
                titles = ", ".join(title(panel) for panel in panels_and_rows(board) if panel.get("id") == number)
                yield Finding(board.uid, NAME, f"panel id {number} is used {count} times: {titles}")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` whose first two panels share an id."""

    def share_id(document: dict[str, Any]) -> None:
        first, second, *_ = document["panels"]
        second["id"] = first["id"]

    return subject.with_changed_board(share_id)


CHECK = Check(
    name=NAME,
    reason="A link from an alert names a panel by its id. If two panels have this id, the link opens either.",
    run=_run,
    failing=_failing,
)
