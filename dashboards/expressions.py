"""The queries of panels: catalog metrics, narrowed by the board's variables.

Panels over scraped series narrow by cluster, job and instance. Panels over recording rules leave the instance
out: records have aggregated it away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mnemoscope import promql
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Kind, Metric
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Matcher, Part

from .panels.query import Query
from .panels.style import Line

RATE = "$__rate_interval"
RANGE = "$__range"


_LINES: dict[float, Line] = {0.5: "dot", 0.95: "dash", 0.99: "solid"}


@dataclass(frozen=True, slots=True)
class Expressions:
    """Expressions over what the board's variables select."""

    settings: Settings

    @property
    def live(self) -> promql.Queries:
        """Selectors of scraped series."""
        return self._narrowed("cluster", "job", "instance")

    @property
    def recorded(self) -> promql.Queries:
        """Selectors of records, which carry no instance."""
        return self._narrowed("cluster", "job")

    def variable_labels(self) -> dict[str, str]:
        """The label behind each variable, as this site calls it.

        On the board the variable bears the label's name, because that is what links from alerts set.
        """
        return {"cluster": self.settings.cluster_label, "job": "job", "instance": self.settings.instance_labels[0]}

    def _narrowed(self, *variables: str) -> promql.Queries:
        site = self.settings.queries
        labels = self.variable_labels()
        return promql.Queries(site.prefix, (*site.matchers, *(narrowing(labels[v]) for v in variables)))

    def rate(self, metric: Metric, *keep: str, part: Part = "", **equals: str) -> str:
        """Events per second; of a histogram, its observations."""
        part = part or ("count" if metric.kind is Kind.HISTOGRAM else "")
        return _sum(keep, self.live.rate(metric, RATE, part=part, **equals))

    def total(self, metric: Metric, *keep: str, **equals: str) -> str:
        """Number of events in the time range of the board, as a whole number."""
        part: Part = "count" if metric.kind is Kind.HISTOGRAM else ""
        return f"round({_sum(keep, self.live.increase(metric, RANGE, part=part, **equals))})"

    def seen(self, metric: Metric, *keep: str) -> str:
        """How many processes had any event in the time range; for a counter whose series begin with their first event.

        An increase leaves out the event with which a series begins, and of most faults there is no second.
        """
        return _sum(keep, f"present_over_time({self.live.series(metric)}[{RANGE}])")

    def gauge(self, metric: Metric, *keep: str, how: Literal["sum", "max", "min", "avg"] = "sum", **equals: str) -> str:
        """A gauge, aggregated over the processes."""
        return _sum(keep, self.live.series(metric, part="", **equals), how)

    def quantile(self, q: float, metric: Metric, *keep: str, **equals: str) -> str:
        """A quantile over all selected processes: of their buckets together, never a mean of quantiles."""
        return promql.quantile(q, self.rate(metric, *keep, "le", part="bucket", **equals))

    def quantiles(
        self, metric: Metric, *keep: str, qs: Iterable[float] = (0.5, 0.95, 0.99), **equals: str
    ) -> list[Query]:
        """One query a quantile; line styles tell them apart."""
        return [
            Query(
                self.quantile(q, metric, *keep, **equals),
                " ".join((f"p{q * 100:g}", *(f"{{{{{label}}}}}" for label in keep))),
                line=_LINES.get(q, "solid"),
                many=bool(keep),
                exemplar=True,
            )
            for q in qs
        ]

    def mean(self, metric: Metric, *keep: str, **equals: str) -> str:
        """The mean of a histogram's observations: sum over count, never a mean of means."""
        return promql.ratio(
            self.rate(metric, *keep, part="sum", **equals), self.rate(metric, *keep, part="count", **equals)
        )

    def error_ratio(self, metric: Metric, *keep: str) -> str:
        """Share of a histogram's observations whose outcome is `error`; 0 where there were none."""
        return share(self.rate(metric, *keep, outcome="error"), self.rate(metric, *keep))

    def hit_ratio(self, *keep: str) -> str:
        """Share of cache lookups that hit; absent while there are none, for 0 would be an alarm."""
        hits, lookups = self.rate(c.CACHE_LOOKUPS, *keep, result="hit"), self.rate(c.CACHE_LOOKUPS, *keep)
        return promql.ratio(f"({or_zero(hits, lookups)})", lookups)

    def record(self, name: str, *matchers: Matcher) -> str:
        """A record's series."""
        return self.recorded.record(name, *matchers)


def narrowing(label: str) -> Matcher:
    """The matcher that narrows `label` to what its variable selects."""
    return Matcher(label, "=~", f"${label}")


def share(part: str, whole: str) -> str:
    """`part / whole`, and 0 where the part has no series yet or the whole stands still."""
    return f"{promql.ratio(part, whole)} or 0 * {whole}"


def or_zero(counter: str, anchor: str) -> str:
    """`counter`, or 0 as long as `anchor` is there.

    For a counter with open labels: it has no series before its first event, and an empty panel would not say
    whether all is well or nothing is scraped.
    """
    return f"{counter} or 0 * {anchor}"


def or_none(counter: str, anchor: str, label: str) -> str:
    """As `or_zero`, for a counter split by `label`: before its first event, one series called `none`."""
    nothing = f'label_replace(0 * {anchor}, "{label}", "none", "", "")'
    return f"{counter} or ({nothing} unless on () {counter})"


def _sum(keep: Iterable[str], expression: str, function: str = "sum") -> str:
    labels = tuple(keep)
    return promql.by(labels, expression, function) if labels else f"{function}({expression})"
