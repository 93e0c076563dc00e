"""No two panels of a board share an id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from .subject import Subject, panels_and_rows, title

NAME = "duplicate-id"


def run(subject: Subject) -> Iterator[Finding]:
    """Yield a finding for each id that is missing or used twice, rows included."""
    for board in subject.boards:
        counted = Counter(panel.get("id") for panel in panels_and_rows(board))
        for number, count in counted.items():
            if number is None or count > 1:
                titles = ", ".join(title(panel) for panel in panels_and_rows(board) if panel.get("id") == number)
                yield Finding(board.uid, NAME, f"panel id {number} is used {count} times: {titles}")


def failing(subject: Subject) -> Subject:
    """Return a copy of `subject` whose first two panels share an id."""

    def share_id(document: dict[str, Any]) -> None:
        first, second, *_ = document["panels"]
        second["id"] = first["id"]

    return subject.with_changed_board(share_id)


CHECK = Check(
    NAME, "A link from an alert names a panel by its id. With two of one id it may open either.", run, failing
)
