"""The board, panel and variables that the link of an alert names exist, and the panel links to the alert's runbook."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.alerts.model import Alert, Pack
from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding
from mnemoscope.model import links

from ..board import Board, raw_panels
from ._subject import Subject, place, variable_names

NAME = "alert-panel"


def _run(subject: Subject) -> Iterator[Finding]:
    boards = {board.uid: board for board in subject.boards}
    for alert in _distinct(subject.pack):
        if alert.board in boards:
            yield from _of_alert(alert, boards[alert.board], subject)
        else:
            yield Finding(f"alert {alert.name}", NAME, f"no board {alert.board!r} to link to")


def _of_alert(alert: Alert, board: Board, subject: Subject) -> Iterator[Finding]:
    panel = next((panel for panel in raw_panels(board) if panel.get("id") == links.panel_id(alert.panel)), None)
    if panel is None:
        yield Finding(board.uid, NAME, f"alert {alert.name} leads to panel {alert.panel!r}, which is not there")
        return
    for name in alert.variables:
        if name not in variable_names(board):
            yield Finding(board.uid, NAME, f"alert {alert.name} sets variable {name!r}, which is not there")
    page = links.runbook_url(subject.settings.runbook_base_url, alert.name)
    if page not in {link.get("url") for link in panel.get("links", ())}:
        yield Finding(place(board, panel), NAME, f"no link to the runbook of alert {alert.name}")


def _distinct(pack: Pack) -> list[Alert]:
    """Return one rule for each name, board and panel."""
    return list({(alert.name, alert.board, alert.panel): alert for alert in pack.alerts()}.values())


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` whose first board has no panels."""
    return subject.with_changed_board(lambda document: document["panels"].clear())


CHECK = Check(
    name=NAME,
    reason="The link in a notification must open the panel that shows the problem.",
    run=_run,
    failing=_failing,
)
