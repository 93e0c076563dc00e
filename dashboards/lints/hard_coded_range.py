"""Ranges of queries follow the zoom of the board."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mnemoscope.linting.check import Check
from mnemoscope.linting.finding import Finding

from ..expressions import RANGE, RATE_INTERVAL
from ._subject import Subject

NAME = "hard-coded-range"

_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_RANGES = re.compile(r"\[([^\]]*)\]")


def _run(subject: Subject) -> Iterator[Finding]:
    for where, expression in subject.expressions():
        for written in _RANGES.findall(_QUOTED.sub('""', expression)):
            if written not in (RATE_INTERVAL, RANGE):
                yield Finding(where, NAME, f"hard-coded range [{written}]; use {RATE_INTERVAL}")


def _failing(subject: Subject) -> Subject:
    """Return a copy of `subject` with a query over five minutes."""
    return subject.with_query("rate(up[5m])")


CHECK = Check(
    name=NAME,
    reason="A fixed range skips events when the board is zoomed out, and is empty when it is shorter than two scrapes.",
    run=_run,
    failing=_failing,
)
