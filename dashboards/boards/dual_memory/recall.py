"""Recall: whether it fails, how long it takes, and what it finds."""

from __future__ import annotations

from mnemoscope.alerts import record_names
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.promql import Matcher

from ...board import Section
from ...expressions import Expressions, share
from ...panels.constructors import timeseries
from ...panels.layer import Panel
from ...panels.query import Query
from ...panels.style import GREY, PER_SECOND, RED, zones


def section(expressions: Expressions) -> Section:
    """Return the section."""
    return Section("Recall", [*_errors_and_latency(expressions), *_load_and_results(expressions)])


def _errors_and_latency(expressions: Expressions) -> list[Panel]:
    settings, limit = expressions.settings, expressions.settings.threshold
    record = record_names.quantile(settings, "job_path", c.RECALL_DURATION, 99)
    return [
        timeseries(
            "recall-errors",
            "Recalls that failed",
            "Share of recalls that ended in an error, by path. If it is above 0, check storage and index.",
            Unit.RATIO,
            Query(
                expressions.error_ratio(c.RECALL_DURATION, "path"), "{{path}}", label=c.RECALL_DURATION.label("path")
            ),
        ),
        timeseries(
            "recall-latency",
            "Recall latency",
            "Time of one recall over all paths. The dashed lines are the yellow and the red limit of p99.",
            Unit.SECONDS,
            *expressions.quantiles(c.RECALL_DURATION),
            steps=zones(limit("recall_p99")),
        ),
        timeseries(
            "blended-recall",
            "Blended recall latency",
            "Time of a recall that queries both memories. The grey line is the value that the alert checks. If only "
            "this panel rises, check the weights and the semantic timeouts.",
            Unit.SECONDS,
            *expressions.quantiles(c.RECALL_DURATION, path="blended"),
            Query(
                expressions.record(record, Matcher("path", "=", "blended")),
                "p99 of the alert {{job}}",
                color=GREY,
                line="dash",
            ),
            steps=zones(limit("blended_recall_p99")),
        ),
    ]


def _load_and_results(expressions: Expressions) -> list[Panel]:
    limit = expressions.settings.threshold
    recalls = expressions.rate(c.RECALL_DURATION, "path")
    hierarchical = expressions.rate(c.RECALL_DURATION, path="hierarchical")
    return [
        timeseries(
            "recall-rate",
            "Recalls",
            "Recalls per second by path: how hierarchical and flat retrieval share the load.",
            PER_SECOND,
            Query(recalls, "{{path}}", label=c.RECALL_DURATION.label("path")),
            stack=True,
        ),
        timeseries(
            "recall-empty",
            "Recalls without an answer",
            "Share of recalls that found nothing, by path, and share of hierarchical recalls that fell back to flat. "
            "If it rises after a deployment, memories are stored but not indexed.",
            Unit.RATIO,
            Query(
                share(expressions.rate(c.RECALL_EMPTY, "path"), recalls),
                "empty {{path}}",
                label=c.RECALL_EMPTY.label("path"),
            ),
            Query(
                share(expressions.rate(c.RECALL_FALLBACKS), hierarchical), "fell back to flat", color=RED, line="dash"
            ),
        ),
        timeseries(
            "vector-search",
            "Vector search latency",
            "Time of the vector search within a recall, p95 by index. If recall is slow and this search is not, the "
            "time is spent in locks or storage.",
            Unit.SECONDS,
            *expressions.quantiles(c.RECALL_VECTOR_SEARCH_DURATION, "index", qs=(0.95,)),
            steps=zones(limit("vector_search_p95")),
        ),
    ]
