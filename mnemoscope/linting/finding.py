"""The result of a check: one class for rules, boards, runbook pages and generated files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One error that a check found.

    Attributes:
        where: the file, the board and panel, or the rule with the error.
        check: name of the check.
        message: the error and, unless it is obvious, the fix.
    """

    where: str
    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.check}]"
