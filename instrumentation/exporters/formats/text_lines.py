"""Lines that the text format and OpenMetrics share: names, labels and numbers as prometheus_client writes them.

Only the numbers of a line change between scrapes. So the rest is built once per series and kept. The series lines of
both formats are the same, apart from exemplars; the lines above them differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import accumulate

from ...catalog import Kind, Metric
from ...recording.snapshot import Exemplar, HistogramPoint, NumberPoint
from ..exemplars import short

# Bounds on what is kept. The registry's cap on label sets is far below the second one, so a service evicts nothing.
_MAX_FAMILIES = 1024
_MAX_SERIES_PER_FAMILY = 4096
# Go, and so prometheus_client, writes larger numbers with an exponent.
_EXPONENT_FROM = 1_000_000
# A float holds every whole number up to this one, with all its digits.
_EXACT_UNTIL = 2**53


def go_string(value: float) -> str:
    """Return a number as Go writes it; Prometheus identifies a bucket by this text.

    >>> go_string(5), go_string(0.05), go_string(2_500_000), go_string(float("inf"))
    ('5.0', '0.05', '2.5e+06', '+Inf')
    """
    text = repr(float(value))
    point = text.find(".")
    if point < 0:
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(text, text)
    if point > 6 and text[0] != "-":
        mantissa = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.")
        return f"{mantissa}e+{point - 1:02d}"
    return text


def escape(value: str) -> str:
    """Return a label value, escaped to stand between double quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _exemplar_text(exemplar: Exemplar | None) -> str:
    """Return the exemplar as OpenMetrics writes it after a sample's number; empty if there is none."""
    exemplar = short(exemplar)
    if exemplar is None:
        return ""
    labels = ",".join(f'{name}="{escape(value)}"' for name, value in sorted(exemplar.labels))
    return f" # {{{labels}}} {go_string(exemplar.value)} {exemplar.timestamp}"


def unit_word(metric: Metric, family: str) -> str:
    """Return the unit for `# UNIT`; OpenMetrics requires that the family name ends with it."""
    for word in (metric.unit.suffix, "ratio"):
        if word and family.endswith(f"_{word}"):
            return word
    return ""


class FamilyLines:
    """The lines of one family.

    Attributes:
        text_head: `# HELP` and `# TYPE` of the text format.
        openmetrics_head: `# HELP`, `# TYPE` and `# UNIT` of OpenMetrics.
    """

    __slots__ = ("_histogram", "_metric", "_name", "_templates", "_with_sum", "openmetrics_head", "text_head")

    def __init__(self, prefix: str, metric: Metric) -> None:
        self._metric = metric
        self._name = metric.prometheus_name(prefix)
        self._histogram = metric.kind is Kind.HISTOGRAM
        # A sum that may shrink is not a counter. With buckets below zero, OpenMetrics forbids the sum and the count.
        self._with_sum = self._histogram and metric.buckets[0] >= 0
        self._templates: dict[tuple[str, ...], str] = {}
        family, kind = metric.family(prefix), metric.kind.value
        unit = unit_word(metric, family)
        plain_help = metric.help.replace("\\", r"\\").replace("\n", r"\n")
        self.text_head = f"# HELP {self._name} {plain_help}\n# TYPE {self._name} {kind}\n"
        self.openmetrics_head = f"# HELP {family} {escape(metric.help)}\n# TYPE {family} {kind}\n"
        if unit:
            self.openmetrics_head += f"# UNIT {family} {unit}\n"

    def series(self, points: Iterable[NumberPoint | HistogramPoint], *, exemplars: bool) -> Iterator[str]:
        """Yield the lines of each series, with or without exemplars."""
        for point in points:
            if isinstance(point, HistogramPoint):
                yield self._histogram_lines(point, exemplars)
            else:
                yield self._number_line(point, exemplars)

    def _number_line(self, point: NumberPoint, exemplars: bool) -> str:
        value = go_string(point.value)
        if exemplars and point.exemplar is not None and self._metric.kind is Kind.COUNTER:
            value += _exemplar_text(point.exemplar)
        return self._template(point.labels) % value

    def _histogram_lines(self, point: HistogramPoint, exemplars: bool) -> str:
        """Return the lines of the buckets, then of count and sum."""
        cumulative = list(accumulate(point.counts))
        write = _small if cumulative[-1] < _EXPONENT_FROM else _count
        values = [write(n) for n in cumulative]
        tail = [values[-1], go_string(point.sum)] if self._with_sum else []
        if exemplars and point.exemplars:
            values = [v + _exemplar_text(e) for v, e in zip(values, point.exemplars, strict=True)]
        return self._template(point.labels) % (*values, *tail)

    def _template(self, labels: tuple[str, ...]) -> str:
        template = self._templates.get(labels)
        if template is None:
            if len(self._templates) >= _MAX_SERIES_PER_FAMILY:
                self._templates.clear()
            template = self._templates[labels] = self._build(labels)
        return template

    def _build(self, values: tuple[str, ...]) -> str:
        """Return the lines of a series, with `%s` for each number."""
        pairs = dict(zip(self._metric.label_names, values, strict=True))
        if not self._histogram:
            return self._line("", pairs)
        bounds = (*self._metric.buckets, float("inf"))
        lines = [self._line("_bucket", {**pairs, "le": go_string(bound)}) for bound in bounds]
        if self._with_sum:
            lines += [self._line("_count", pairs), self._line("_sum", pairs)]
        return "".join(lines)

    def _line(self, suffix: str, pairs: dict[str, str]) -> str:
        # Sorted by name, `le` included, as in prometheus_client: a series has one spelling.
        labels = ",".join(f'{name}="{escape(value)}"' for name, value in sorted(pairs.items()))
        series = f"{self._name}{suffix}{{{labels}}}" if labels else f"{self._name}{suffix}"
        return series.replace("%", "%%") + " %s\n"


def _small(count: int) -> str:
    return f"{count}.0"


def _count(count: int) -> str:
    """Return the same as `go_string`, for a whole number that is not negative, at a third of the cost."""
    if count < _EXPONENT_FROM:
        return f"{count}.0"
    if count > _EXACT_UNTIL:
        return go_string(count)
    digits = str(count)
    return f"{digits[0]}.{digits[1:]}".rstrip("0.") + f"e+{len(digits) - 1:02d}"


@lru_cache(maxsize=_MAX_FAMILIES)
def family_lines(prefix: str, metric: Metric) -> FamilyLines:
    """Return the lines of a metric under a prefix; the same object at every call."""
    return FamilyLines(prefix, metric)
