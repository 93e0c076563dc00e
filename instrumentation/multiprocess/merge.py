"""Several processes' values as one: counters and histograms are added up, gauges as their metric says.

The gauges of a process that has recorded nothing itself, such as the master of a server that loaded the application,
are settings that the processes it has forked since have inherited, and show. They are not counted beside those.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from ..catalog import Across, Kind, Metric
from ..recording.snapshot import Exemplar, Family, HistogramPoint, NumberPoint, ordered
from .file_contents import FileContents
from .file_format import NO_PARENT, SUM_PARTS
from .file_reader import FileReader, Key, Row


class _GaugeValue(NamedTuple):
    """What one process said of a gauge, and when. It stands for `heirs` too, if they were forked later."""

    value: float
    when: float
    heirs: bytes = NO_PARENT


def _latest(said: list[_GaugeValue]) -> float:
    return max(said, key=lambda one: (one.when, one.value)).value


_GAUGES: dict[Across, Callable[[list[_GaugeValue]], float]] = {
    Across.SUM: lambda said: math.fsum(one.value for one in said),
    Across.MAX: lambda said: max(one.value for one in said),
    Across.MIN: lambda said: min(one.value for one in said),
    Across.LATEST: _latest,
}


def exact(terms: list[float]) -> tuple[float, ...]:
    """`SUM_PARTS` floats that add up to the sum of `terms`, with nothing rounded away.

    Adding floats in another order may change the last bit, and Prometheus takes a counter that is one bit smaller
    for one that began again. So what the archive takes over from a dead process is kept whole.

    >>> exact([0.1] * 10) == (1.0, 5.551115123125783e-17, 0.0)
    True
    """
    parts: list[float] = []
    for _ in range(SUM_PARTS):
        part = math.fsum(chain(terms, (-part for part in parts)))
        parts.append(part)
    return tuple(parts)


class MergedValues:
    """The values of several files.

    Attributes:
        started: Unix time from which the oldest of them counts; infinity before the first.
    """

    def __init__(self) -> None:
        self.started = math.inf
        self._rows: dict[Key, list[Row]] = {}
        self._gauge_values: dict[Key, list[_GaugeValue]] = {}
        self._forked: dict[bytes, float] = {}
        """When each file's process has last forked one that is there; by the file's id."""
        self._exemplars: dict[Key, dict[int, Exemplar]] = {}

    def add(self, file: FileReader, data: bytes, *, alive: bool, lenient: bool) -> None:
        """Add the file's values, or none of them.

        Raises:
            RejectedError: they cannot be read.
        """
        values = file.values(data, lenient)
        exemplars = file.exemplars(data)
        self.started = min(self.started, file.started)
        if alive:
            self._forked[file.parent] = max(file.started, self._forked.get(file.parent, 0.0))
        rows, gauges, recorded = self._rows, [], 0
        for key, row in values:
            if key[0].kind is Kind.GAUGE:
                gauges.append((key, row))
                continue
            recorded += row[-1]
            present = rows.get(key)
            if present is None:
                rows[key] = [row]
            else:
                present.append(row)
        for (metric, labels), (value, when) in gauges:
            # NaN: the process has no value now. Most gauges go with their process.
            if value == value and (alive or metric.across is Across.LATEST):
                said = _GaugeValue(value, when, NO_PARENT if recorded else file.id)
                self._gauge_values.setdefault((metric, labels), []).append(said)
        if not alive:
            for key, value in file.unpublished(data, values):
                rows[key].append(_row(key[0], value))
        for key, bucket, exemplar in exemplars:
            kept = self._exemplars.setdefault(key, {})
            if bucket not in kept or kept[bucket].timestamp <= exemplar.timestamp:
                kept[bucket] = exemplar

    def _gauges(self) -> Iterator[tuple[Key, list[_GaugeValue]]]:
        """What counts of each gauge, now that all files are known."""
        for key, all_said in self._gauge_values.items():
            said = [one for one in all_said if one.heirs is NO_PARENT or one.when > self._forked.get(one.heirs, 0.0)]
            if said:
                yield key, said

    def families(self) -> tuple[Family, ...]:
        """Everything as a snapshot shows it."""
        points: dict[Metric, list[NumberPoint | HistogramPoint]] = {}
        for key, rows in self._rows.items():
            points.setdefault(key[0], []).append(self._point(key, rows))
        for (metric, labels), said in self._gauges():
            points.setdefault(metric, []).append(NumberPoint(labels, _GAUGES[metric.across](said)))
        return ordered(Family(metric, tuple(sorted(found))) for metric, found in points.items())

    def _point(self, key: Key, rows: list[Row]) -> NumberPoint | HistogramPoint:
        metric, labels = key
        kept = self._exemplars.get(key)
        if metric.kind is Kind.COUNTER:
            return NumberPoint(labels, math.fsum(_parts(rows)), kept[0] if kept else None)
        counts = _counts(rows)
        exemplars = tuple(kept.get(i) for i in range(len(counts))) if kept else ()
        return HistogramPoint(labels, counts, math.fsum(_parts(rows)), exemplars)

    def write(self, contents: FileContents, limit_labels: Callable[[Metric, tuple[str, ...]], tuple[str, ...]]) -> None:
        """Put everything that outlives a process into `contents`.

        `limit_labels` says under which labels a series is kept, so that the archive is bounded as a registry is.
        """
        kept: dict[Key, tuple[list[Row], dict[int, Exemplar]]] = {}
        for (metric, labels), rows in self._rows.items():
            together, exemplars = kept.setdefault((metric, limit_labels(metric, labels)), ([], {}))
            together += rows
            exemplars.update(self._exemplars.get((metric, labels), {}))
        for (metric, labels), (rows, exemplars) in kept.items():
            cell = contents.series(metric, labels)
            counts = () if metric.kind is Kind.COUNTER else _counts(rows)
            contents.set(cell, (*counts, *exact(list(_parts(rows))), 0))
            contents.set_exemplars(cell, exemplars)
        settings: dict[Key, list[_GaugeValue]] = {}
        for (metric, labels), said in self._gauges():
            settings.setdefault((metric, limit_labels(metric, labels)), []).extend(said)
        for (metric, labels), said in settings.items():
            contents.set(contents.series(metric, labels), (_latest(said), max(one.when for one in said)))


def _parts(rows: list[Row]) -> Iterator[float]:
    """The parts of all sums."""
    return chain.from_iterable(row[-1 - SUM_PARTS : -1] for row in rows)


def _counts(rows: list[Row]) -> tuple[int, ...]:
    """The counts of each bucket, added up."""
    return tuple(map(sum, list(zip(*rows, strict=True))[: -1 - SUM_PARTS]))


def _row(metric: Metric, value: float) -> Row:
    """One recording, as if it were all that a process has recorded."""
    sums = (value, *(0.0,) * (SUM_PARTS - 1), 1)
    if metric.kind is Kind.COUNTER:
        return sums
    counts = [0] * (len(metric.buckets) + 1)
    counts[bisect_left(metric.buckets, value)] = 1
    return (*counts, *sums)
