"""Findings that a site accepts for a time, as `silences` in its settings list them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from fnmatch import fnmatchcase

from mnemoscope.model.settings import Silence

from .finding import Finding

CHECK = "silence"
"""The name of the check that finds silences which no longer serve."""


class Silences:
    """The silences of one run of `mnemoscope check`.

    Args:
        silences: as the settings list them.
        today: the day of the run; a silence that ended before it silences nothing.
    """

    def __init__(self, silences: Sequence[Silence], today: date) -> None:
        self._in_force = [silence for silence in silences if silence.until >= today]
        self._expired = [silence for silence in silences if silence.until < today]
        self._used: set[Silence] = set()

    def remaining(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return the findings that no silence matches."""
        remaining = []
        for finding in findings:
            matching = [silence for silence in self._in_force if _matches(silence, finding)]
            self._used.update(matching)
            if not matching:
                remaining.append(finding)
        return remaining

    def findings(self) -> list[Finding]:
        """Return a finding for each silence that expired or that matched nothing; call it after all other steps."""
        expired = [
            _finding(silence, f"expired on {silence.until}; fix what it silenced and remove it, or set a later date")
            for silence in self._expired
        ]
        unused = [
            _finding(silence, "matches no finding; remove it")
            for silence in self._in_force
            if silence not in self._used
        ]
        return expired + unused


def _matches(silence: Silence, finding: Finding) -> bool:
    return silence.check == finding.check and fnmatchcase(finding.where, silence.where)


def _finding(silence: Silence, message: str) -> Finding:
    return Finding(f"silences: {silence.check} at {silence.where}", CHECK, message)
