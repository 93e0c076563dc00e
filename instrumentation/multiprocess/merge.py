"""Several processes' values as one: counters and histograms are added up, gauges as their metric says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from ..catalog import Across, Kind, Metric
from ..snapshot import Exemplar, Family, HistogramPoint, NumberPoint, ordered
from .cellfile import CellFile, Key
from .image import Image
from .layout import SUM_PARTS

Row = tuple[Any, ...]


def _latest(rows: list[Row]) -> float:
    return float(max((when, value) for value, when in rows)[1])


_GAUGES: dict[Across, Callable[[list[Row]], float]] = {
    Across.SUM: lambda rows: math.fsum(value for value, _ in rows),
    Across.MAX: lambda rows: float(max(value for value, _ in rows)),
    Across.MIN: lambda rows: float(min(value for value, _ in rows)),
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


class Merged:
    """The values of several files.

    Attributes:
        started: Unix time from which the oldest of them counts; infinity before the first.
    """

    def __init__(self) -> None:
        self.started = math.inf
        self._rows: dict[Key, list[Row]] = {}
        self._exemplars: dict[Key, dict[int, Exemplar]] = {}

    def add(self, file: CellFile, data: bytes, *, alive: bool, lenient: bool) -> None:
        """Add the file's values, or none of them.

        Raises:
            RejectedError: they cannot be read.
        """
        values = file.values(data, lenient)
        exemplars = file.exemplars(data)
        self.started = min(self.started, file.started)
        rows = self._rows
        for key, row in values:
            metric = key[0]
            if metric.kind is Kind.GAUGE and not (row[0] == row[0] and (alive or metric.across is Across.LATEST)):
                continue  # NaN: the process has no value now; or the gauge went with its process
            present = rows.get(key)
            if present is None:
                rows[key] = [row]
            else:
                present.append(row)
        for key, bucket, exemplar in exemplars:
            kept = self._exemplars.setdefault(key, {})
            if bucket not in kept or kept[bucket].timestamp <= exemplar.timestamp:
                kept[bucket] = exemplar

    def families(self) -> tuple[Family, ...]:
        """Everything as a snapshot shows it."""
        points: dict[Metric, list[NumberPoint | HistogramPoint]] = {}
        for key, rows in self._rows.items():
            points.setdefault(key[0], []).append(self._point(key, rows))
        return ordered(Family(metric, tuple(sorted(found))) for metric, found in points.items())

    def _point(self, key: Key, rows: list[Row]) -> NumberPoint | HistogramPoint:
        metric, labels = key
        kept = self._exemplars.get(key)
        if metric.kind is Kind.GAUGE:
            return NumberPoint(labels, _GAUGES[metric.across](rows))
        if metric.kind is Kind.COUNTER:
            return NumberPoint(labels, math.fsum(chain.from_iterable(rows)), kept[0] if kept else None)
        counts, parts = _columns(rows)
        exemplars = tuple(kept.get(i) for i in range(len(counts))) if kept else ()
        return HistogramPoint(labels, counts, math.fsum(parts), exemplars)

    def write(self, image: Image, admit: Callable[[Metric, tuple[str, ...]], tuple[str, ...]]) -> None:
        """Put everything that outlives a process into `image`.

        `admit` says under which labels a series is kept, so that the archive is bounded as a registry is.
        """
        kept: dict[Key, tuple[list[Row], dict[int, Exemplar]]] = {}
        for (metric, labels), rows in self._rows.items():
            key = (metric, admit(metric, labels))
            together, exemplars = kept.setdefault(key, ([], {}))
            together += rows
            exemplars.update(self._exemplars.get((metric, labels), {}))
        for (metric, labels), (rows, exemplars) in kept.items():
            cell = image.series(metric, labels)
            image.set(cell, _archived(metric, rows))
            image.set_exemplars(cell, exemplars)


def _columns(rows: list[Row]) -> tuple[tuple[int, ...], Iterator[float]]:
    """The counts of each bucket, added up, and the parts of all sums."""
    columns = list(zip(*rows, strict=True))
    return tuple(map(sum, columns[:-SUM_PARTS])), chain.from_iterable(columns[-SUM_PARTS:])


def _archived(metric: Metric, rows: list[Row]) -> Row:
    if metric.kind is Kind.COUNTER:
        return exact(list(chain.from_iterable(rows)))
    if metric.kind is Kind.HISTOGRAM:
        counts, parts = _columns(rows)
        return (*counts, *exact(list(parts)))
    return _latest(rows), max(when for _, when in rows)
