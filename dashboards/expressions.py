"""PromQL expressions for panels: metrics of the catalog, narrowed by the variables of the board.

Expressions over scraped series are narrowed by cluster, job and instance. Expressions over records are narrowed by
cluster and job only: recording rules aggregate the instance away.
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
from .panels.style import QUANTILE_LINES

RATE_INTERVAL = "$__rate_interval"
RANGE = "$__range"


@dataclass(frozen=True, slots=True)
class Expressions:
    """PromQL expressions over the series that the variables of a board select.

    In all methods, `keep` names the labels to keep in the result, and `equals` fixes the value of a label.
    """

    settings: Settings

    @property
    def live(self) -> promql.Queries:
        """Selectors of scraped series."""
        return self._narrowed("cluster", "job", "instance")

    @property
    def recorded(self) -> promql.Queries:
        """Selectors of records, which have no instance label."""
        return self._narrowed("cluster", "job")

    def variable_labels(self) -> dict[str, str]:
        """Return the label behind each variable, by the name that this site gives it.

        On the board the variable has the name of the label, because links from alerts set variables by that name.
        """
        return {"cluster": self.settings.cluster_label, "job": "job", "instance": self.settings.instance_labels[0]}

    def _narrowed(self, *variables: str) -> promql.Queries:
        site = self.settings.queries
        labels = self.variable_labels()
        return promql.Queries(site.prefix, (*site.matchers, *(variable_matcher(labels[v]) for v in variables)))

    def rate(self, metric: Metric, *keep: str, part: Part = "", **equals: str) -> str:
        """Return events per second. For a histogram, these are its observations."""
        part = part or ("count" if metric.kind is Kind.HISTOGRAM else "")
        return _sum(keep, self.live.rate(metric, RATE_INTERVAL, part=part, **equals))

    def total(self, metric: Metric, *keep: str, **equals: str) -> str:
        """Return the number of events in the time range of the board, as a whole number."""
        part: Part = "count" if metric.kind is Kind.HISTOGRAM else ""
        return f"round({_sum(keep, self.live.increase(metric, RANGE, part=part, **equals))})"

    def processes_with_events(self, metric: Metric, *keep: str) -> str:
        """Return how many processes had an event in the time range.

        Use it for a counter whose series begin with their first event. `increase` ignores that first event, and most
        faults happen only once.
        """
        return _sum(keep, f"present_over_time({self.live.series(metric)}[{RANGE}])")

    def gauge(self, metric: Metric, *keep: str, how: Literal["sum", "max", "min", "avg"] = "sum", **equals: str) -> str:
        """Return a gauge, aggregated over the processes by the function `how`."""
        return _sum(keep, self.live.series(metric, part="", **equals), how)

    def quantile(self, q: float, metric: Metric, *keep: str, **equals: str) -> str:
        """Return a quantile of the merged buckets of all selected processes."""
        return promql.quantile(q, self.rate(metric, *keep, "le", part="bucket", **equals))

    def quantiles(
        self, metric: Metric, *keep: str, qs: Iterable[float] = (0.5, 0.95, 0.99), **equals: str
    ) -> list[Query]:
        """Return one query for each quantile, each with its own line style."""
        return [
            Query(
                self.quantile(q, metric, *keep, **equals),
                " ".join((f"p{q * 100:g}", *(f"{{{{{label}}}}}" for label in keep))),
                line=QUANTILE_LINES.get(q, "solid"),
                many=bool(keep),
                exemplar=True,
            )
            for q in qs
        ]

    def mean(self, metric: Metric, *keep: str, **equals: str) -> str:
        """Return the mean of the observations of a histogram: the total sum divided by the total count."""
        return promql.ratio(
            self.rate(metric, *keep, part="sum", **equals), self.rate(metric, *keep, part="count", **equals)
        )

    def error_ratio(self, metric: Metric, *keep: str) -> str:
        """Return the share of observations with the outcome `error`, or 0 if there were no observations."""
        return share(self.rate(metric, *keep, outcome="error"), self.rate(metric, *keep))

    def hit_ratio(self, *keep: str) -> str:
        """Return the share of cache lookups that hit. Without lookups it is absent, because 0 would look bad."""
        hits, lookups = self.rate(c.CACHE_LOOKUPS, *keep, result="hit"), self.rate(c.CACHE_LOOKUPS, *keep)
        return promql.ratio(f"({or_zero(hits, lookups)})", lookups)

    def record(self, name: str, *matchers: Matcher) -> str:
        """Return the series of the record `name`."""
        return self.recorded.record(name, *matchers)


def variable_matcher(label: str) -> Matcher:
    """Return the matcher that narrows `label` to the values selected in its variable."""
    return Matcher(label, "=~", f"${label}")


def share(part: str, whole: str) -> str:
    """Return `part / whole`, or 0 if `part` has no series yet or `whole` is 0."""
    return f"{promql.ratio(part, whole)} or 0 * {whole}"


def or_zero(counter: str, anchor: str) -> str:
    """Return `counter`, or 0 while `counter` has no series and `anchor` has.

    Use it for a counter whose label values are not known beforehand: it has no series before its first event. An empty
    panel would not show whether there were no events or no scrapes.
    """
    return f"{counter} or 0 * {anchor}"


def or_none(counter: str, anchor: str, label: str) -> str:
    """Return `counter`, or one series whose `label` is `none` while `counter` has no series and `anchor` has."""
    nothing = f'label_replace(0 * {anchor}, "{label}", "none", "", "")'
    return f"{counter} or ({nothing} unless on () {counter})"


def _sum(keep: Iterable[str], expression: str, function: str = "sum") -> str:
    labels = tuple(keep)
    return promql.by(labels, expression, function) if labels else f"{function}({expression})"
