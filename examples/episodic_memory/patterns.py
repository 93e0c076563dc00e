"""Patterns of an episode that may help the next one: each strategy reads the steps and names what it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import mnemoscope as scope
from mnemoscope import catalog as m

from .model import Step


def _tool_sequence(steps: Sequence[Step]) -> Iterator[str]:
    """Which tool follows which."""
    for first, second in pairwise(steps):
        if first.tool != second.tool:
            yield f"{first.tool} then {second.tool}"


def _decision_point(steps: Sequence[Step]) -> Iterator[str]:
    """What was done next where the words of a step weigh a condition."""
    for step, following in pairwise(steps):
        words = f" {step.action} {step.observation} ".lower()
        if any(f" {word} " in words for word in ("if", "otherwise", "unless", "either")):
            yield f"after a condition in {step.tool}: {following.tool}"


Strategy = Callable[[Sequence[Step]], Iterator[str]]
STRATEGIES: Mapping[str, Strategy] = {"tool_sequence": _tool_sequence, "decision_point": _decision_point}


def extract(steps: Sequence[Step]) -> set[tuple[str, str]]:
    """Every pattern of the steps, as strategy and pattern."""
    found: set[tuple[str, str]] = set()
    for name, strategy in STRATEGIES.items():
        with scope.timed(m.PATTERN_EXTRACTION_DURATION, strategy=name):
            found |= {(name, pattern) for pattern in strategy(steps)}
    return found
