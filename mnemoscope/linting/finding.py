"""What a check found wrong: one shape for rules, boards, runbooks and generated files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        where: file, board and panel, or rule that is wrong.
        check: name of the check that found it.
        message: what is wrong and, where it is not obvious, what to do.
    """

    where: str
    check: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message} [{self.check}]"
