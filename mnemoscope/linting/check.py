"""A check: a name, a reason, a function that yields findings, and an example in which it must find something.

A package of lints has one module for each check. It ends with one `Check` object, which its `__init__` lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .finding import Finding

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Check(Generic[S]):
    """One check of rules, boards or runbook pages.

    Attributes:
        name: lower-case words joined by hyphens; every finding shows it in brackets.
        reason: one or two sentences on why the check matters; `generated/checks.md` shows them.
        run: yields the findings in a subject.
        failing: returns a copy of a correct subject in which `run` must find something. Tests use it.
    """

    name: str
    reason: str
    run: Callable[[S], Iterable[Finding]]
    failing: Callable[[S], S]
