"""A link to a board names a board of the pack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding
from mnemoscope.model import links

from ._subject import Subject

NAME = "board"

_BOARD_PATH = re.compile(r"/d/([^/?#]+)")


def _run(subject: Subject) -> Iterator[Finding]:
    for page in subject.pages.values():
        for link in page.links:
            found = _BOARD_PATH.search(urlsplit(link.target).path)
            if found and found[1] not in links.BOARDS:
                boards = ", ".join(links.BOARDS)
                message = f"the link {link.target} names no board of the pack; the boards are {boards}"
                yield Finding(subject.place(page, link.line), NAME, message)


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a link to a board that does not exist."""
    return subject.with_line("See [the board](https://grafana.example/d/no-such-board).")


CHECK = Check(
    name=NAME,
    reason="A link to a missing board shows an error page while an engineer looks for the cause.",
    run=_run,
    failing=_failing,
)
