"""Panels lie within the columns of the board, and no panel covers another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..board import COLUMNS, Board
from ._subject import Subject, panels_and_rows, place, title

NAME = "overlap"


def _run(subject: Subject) -> Iterator[Finding]:
    for board in subject.boards:
        yield from _of_board(board)


def _of_board(board: Board) -> Iterator[Finding]:
    placed = [
        (panel, *(panel["gridPos"][side] for side in "xywh")) for panel in panels_and_rows(board) if "gridPos" in panel
    ]
    for panel, x, _, w, _ in placed:
        if x < 0 or x + w > COLUMNS:
            yield Finding(place(board, panel), NAME, f"reaches from column {x} to {x + w} of {COLUMNS}")
    for (first, ax, ay, aw, ah), (second, bx, by, bw, bh) in combinations(placed, 2):
        if ax < bx + bw and bx < ax + aw and ay < by + bh and by < ay + ah:
            yield Finding(place(board, second), NAME, f"overlaps {title(first)}")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a panel that reaches beyond the last column."""
    return subject.with_changed_panel(lambda panel: panel["gridPos"].update(x=COLUMNS - 1))


CHECK = Check(
    name=NAME,
    reason="Grafana moves panels that overlap, so that the board looks different after each edit.",
    run=_run,
    failing=_failing,
)
