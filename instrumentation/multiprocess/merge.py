"""The values of several processes, merged: counters and histograms are added up, gauges by the metric's `across`.

A process that records nothing, such as the master of a server, may still have set gauges when it loaded the
application. Children that it forks later inherit these settings and show them. The settings of such a parent are not
counted again.
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
    """A gauge's value in one process.

    Attributes:
        value: the value.
        changed: Unix time of its last change.
        replaceable_file: the id of the process' file if the process recorded nothing. Children that it forks later show
            the value instead.
    """

    value: float
    changed: float
    replaceable_file: bytes = NO_PARENT


def _latest(values: list[_GaugeValue]) -> float:
    return max(values, key=lambda gauge: (gauge.changed, gauge.value)).value


_MERGE_GAUGES: dict[Across, Callable[[list[_GaugeValue]], float]] = {
    Across.SUM: lambda values: math.fsum(gauge.value for gauge in values),
    Across.MAX: lambda values: max(gauge.value for gauge in values),
    Across.MIN: lambda values: min(gauge.value for gauge in values),
    Across.LATEST: _latest,
}


def exact(terms: list[float]) -> tuple[float, ...]:
    """Return `SUM_PARTS` floats that add up to the sum of `terms` without rounding.

    Adding floats in another order may change the last bit. Prometheus takes a counter that falls by one bit for a
    restart. So the archive keeps the sums of ended processes exactly.

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
        started: Unix time from which the oldest file counts; infinity before the first one.
    """

    def __init__(self) -> None:
        self.started = math.inf
        self._rows: dict[Key, list[Row]] = {}
        self._gauge_values: dict[Key, list[_GaugeValue]] = {}
        self._forked: dict[bytes, float] = {}
        """The start of the youngest living child of each process, by the id of the process' file."""
        self._exemplars: dict[Key, dict[int, Exemplar]] = {}

    def add(self, file: FileReader, data: bytes, *, alive: bool, lenient: bool) -> None:
        """Add all values of the file.

        Args:
            file: the parsed file.
            data: its bytes.
            alive: whether its process is alive. If not, most gauges are left out, and the log's entries are added.
            lenient: see `FileReader.values`.

        Raises:
            RejectedError: the file cannot be read; nothing was added.
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
        for (metric, labels), (value, changed) in gauges:
            # NaN means that the process has no value now. Most gauges end with their process.
            if value == value and (alive or metric.across is Across.LATEST):
                gauge = _GaugeValue(value, changed, NO_PARENT if recorded else file.id)
                self._gauge_values.setdefault((metric, labels), []).append(gauge)
        if not alive:
            for key, value in file.unpublished(data, values):
                rows[key].append(_row(key[0], value))
        for key, bucket, exemplar in exemplars:
            kept = self._exemplars.setdefault(key, {})
            if bucket not in kept or kept[bucket].timestamp <= exemplar.timestamp:
                kept[bucket] = exemplar

    def _gauges(self) -> Iterator[tuple[Key, list[_GaugeValue]]]:
        """Yield the values of each gauge that count, once all files are added."""
        for key, values in self._gauge_values.items():
            counting = [gauge for gauge in values if not self._is_replaced(gauge)]
            if counting:
                yield key, counting

    def _is_replaced(self, gauge: _GaugeValue) -> bool:
        """Return whether a living child shows the gauge's value, which it inherited."""
        file_id = gauge.replaceable_file
        return file_id is not NO_PARENT and gauge.changed <= self._forked.get(file_id, 0.0)

    def families(self) -> tuple[Family, ...]:
        """Return the merged values as the families of a snapshot."""
        points: dict[Metric, list[NumberPoint | HistogramPoint]] = {}
        for key, rows in self._rows.items():
            points.setdefault(key[0], []).append(self._point(key, rows))
        for (metric, labels), values in self._gauges():
            points.setdefault(metric, []).append(NumberPoint(labels, _MERGE_GAUGES[metric.across](values)))
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
        """Write every value that outlives its process to the contents of an archive.

        Args:
            contents: the archive's contents.
            limit_labels: returns the labels under which a series is kept, so that the cap on label sets holds.
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
        for (metric, labels), values in self._gauges():
            settings.setdefault((metric, limit_labels(metric, labels)), []).extend(values)
        for (metric, labels), values in settings.items():
            changed = max(gauge.changed for gauge in values)
            contents.set(contents.series(metric, labels), (_latest(values), changed))


def _parts(rows: list[Row]) -> Iterator[float]:
    """Return the parts of all sums."""
    return chain.from_iterable(row[-1 - SUM_PARTS : -1] for row in rows)


def _counts(rows: list[Row]) -> tuple[int, ...]:
    """Return the counts of each bucket, added up."""
    return tuple(map(sum, list(zip(*rows, strict=True))[: -1 - SUM_PARTS]))


def _row(metric: Metric, value: float) -> Row:
    """Return the row of a process with this single recording."""
    sums = (value, *(0.0,) * (SUM_PARTS - 1), 1)
    if metric.kind is Kind.COUNTER:
        return sums
    counts = [0] * (len(metric.buckets) + 1)
    counts[bisect_left(metric.buckets, value)] = 1
    return (*counts, *sums)
