"""The series that scrapes of all libraries show: histograms of 12 bounds, so 15 samples each."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from ..percall import scaled

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
HISTOGRAMS = scaled(700)
SAMPLES = HISTOGRAMS * (len(BOUNDS) + 3)  # and +Inf, count and sum


def children(count: int = HISTOGRAMS) -> list[str]:
    """Return the values of the one label."""
    return [f"shard-{number:04}" for number in range(count)]


def spread_durations() -> Iterator[float]:
    """Return durations without end that fall into many buckets of an index write: median 20 ms, the spread wide."""
    chance = random.Random(1)
    # More than a library can have learnt by heart when they come round again.
    return cycle([chance.lognormvariate(math.log(0.02), 1.0) for _ in range(20_000)])


def our_metric(name: str, bounds: tuple[float, ...]) -> Any:
    """Return a histogram of ours with these bounds and one open label, `shard`."""
    from mnemoscope import catalog

    return catalog.histogram(name, "Shards", labels=(catalog.Label("shard", "which one"),), buckets=bounds)


def recorded(page: bytes, word: str) -> float:
    """Count the observations that a page in the text format shows for the histograms with `word` in their names."""
    counts = (line.rsplit(b" ", 1) for line in page.splitlines() if b"_count{" in line and not line.startswith(b"#"))
    return sum(float(value) for series, value in counts if word.encode() in series.partition(b"{")[0])


def require_files(variable: str) -> None:
    """Make sure that recording went to the directory that an environment variable names.

    Raises:
        RuntimeError: it did not, and what is measured is not the multi-process mode.
    """
    if not any(Path(os.environ[variable]).iterdir()):
        raise RuntimeError(f"not built: recording writes nothing to the directory that {variable} names")
