"""The shape of a check: what it finds, why that matters, and an example that it must find.

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
        reason: one or two sentences on why it matters, for the page that documents the checks.
        run: yields the findings in a subject.
        failing: returns a copy of a sound subject in which `run` must find something. Tests use it.
    """

    name: str
    reason: str
    run: Callable[[S], Iterable[Finding]]
    failing: Callable[[S], S]
