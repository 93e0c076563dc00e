"""A link to a board, or to a panel of one, leads to one that exists."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ._subject import Subject

NAME = "unknown-link"

_BOARD_LINK = re.compile(r"\A/d/([^/?#]+)(?:[^?#]*)?(?:\?([^#]*))?")
_VIEW_PANEL = re.compile(r"viewPanel=(\d+)")


def _run(subject: Subject) -> Iterator[Finding]:
    boards = {board.uid: board for board in subject.boards}
    for where, url in _urls(subject):
        for uid, query in _BOARD_LINK.findall(url.removeprefix(subject.settings.grafana_url)):
            target = boards.get(uid)
            if target is None:
                yield Finding(where, NAME, f"links to unknown board {uid!r}")
                continue
            for number in _VIEW_PANEL.findall(query):
                if int(number) not in target.keys:
                    yield Finding(where, NAME, f"links to panel {number}, which is not on {uid}")


def _urls(subject: Subject) -> Iterator[tuple[str, str]]:
    for board in subject.boards:
        for link in board.document.get("links", ()):
            yield f"{board.uid} / link {link.get('title')}", link.get("url") or ""
    for where, panel in subject.panels():
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        for link in [*panel.get("links", ()), *defaults.get("links", ())]:
            yield where, link.get("url") or ""


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a link to a board that does not exist."""
    return subject.with_changed_panel(lambda panel: panel.update(links=[{"title": "there", "url": "/d/no-such-board"}]))


CHECK = Check(
    name=NAME,
    reason="A link to a missing board shows an error page while an engineer looks for the cause.",
    run=_run,
    failing=_failing,
)
