"""The samples of a row: every figure in turn, round after round."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .measures import MEASURES, PLACES
from .spread import Summary, paired_ratios, summarise
from .targets import Row, Target
from .workers import Crew, NotMeasuredError


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a row: samples by measure and round, and the reasons why measures have none."""

    row: Row
    samples: Mapping[str, list[float]]
    failures: Mapping[str, str]

    def values(self, target: Target) -> list[float]:
        """Return the figure or the ratio that a target bounds, round by round; empty if it could not be measured."""
        needed = [self.samples.get(name, []) for name in (target.measure, target.over) if name]
        if not all(needed):
            return []
        return paired_ratios(*needed) if target.over else needed[0]

    def summary(self, target: Target) -> Summary | None:
        """Return the median and spread of the figure or ratio of a target, or None."""
        values = self.values(target)
        return summarise(values) if values else None

    def reason(self, target: Target) -> str:
        """Return why a target could not be measured."""
        found = [self.failures[name] for name in (target.measure, target.over) if name in self.failures]
        return found[0] if found else "the cost drowned in noise in every round"


def measure(row: Row, rounds: int, interpreters: Mapping[str, Path]) -> Result:
    """Prepare every figure of the row, then sample them in turn: A B C A B C and so on.

    A figure that fails is left out with all its samples, so that the samples of the others still pair.
    """
    failures: dict[str, str] = {}
    samples: dict[str, list[float]] = {}
    with Crew(PLACES, interpreters) as crew:
        for name in row.measures:
            with _noted(failures, name):
                crew.at(MEASURES[name].place).prepare(name, f"{__package__}.cases.{MEASURES[name].case}")
                samples[name] = []
        for _ in range(rounds_of(row, rounds)):
            for name in row.measures:
                if name not in failures:
                    with _noted(failures, name):
                        samples[name].append(crew.at(MEASURES[name].place).sample(name))
    return Result(row, {name: values for name, values in samples.items() if name not in failures}, failures)


def rounds_of(row: Row, rounds: int) -> int:
    """Return the number of rounds of a row; costly rows get fewer than the run has."""
    return max(1, round(rounds * row.share))


@contextmanager
def _noted(failures: dict[str, str], name: str) -> Iterator[None]:
    try:
        yield
    except NotMeasuredError as error:
        failures[name] = _WITHOUT_FOLDERS("", str(error))


# A report names no folder of its machine.
_WITHOUT_FOLDERS = re.compile(r"(?:/[^\s/:'\"]+)*/(?=[^\s/])").sub
