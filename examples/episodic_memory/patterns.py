"""Patterns in the steps of an episode, found by several strategies, that may help with the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import mnemoscope as scope
from mnemoscope import catalog as m

from .model import Step


def _tool_sequence(steps: Sequence[Step]) -> Iterator[str]:
    """Yield each pair of different tools that follow each other."""
    for first, second in pairwise(steps):
        if first.tool != second.tool:
            yield f"{first.tool} then {second.tool}"


def _decision_point(steps: Sequence[Step]) -> Iterator[str]:
    """Yield the tool that follows a step with a condition in its text."""
    for step, following in pairwise(steps):
        words = f" {step.action} {step.observation} ".lower()
        if any(f" {word} " in words for word in ("if", "otherwise", "unless", "either")):
            yield f"after a condition in {step.tool}: {following.tool}"


Strategy = Callable[[Sequence[Step]], Iterator[str]]
STRATEGIES: Mapping[str, Strategy] = {"tool_sequence": _tool_sequence, "decision_point": _decision_point}


def extract(steps: Sequence[Step]) -> set[tuple[str, str]]:
    """Return every pattern in the steps, as pairs of strategy and pattern."""
    found: set[tuple[str, str]] = set()
    for name, strategy in STRATEGIES.items():
        with scope.timed(m.PATTERN_EXTRACTION_DURATION, strategy=name):
            found |= {(name, pattern) for pattern in strategy(steps)}
    return found
