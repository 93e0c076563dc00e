"""How well the memory learns: consolidation, concepts, the fan effect, patterns."""

from __future__ import annotations

from mnemoscope.alerts import record_names
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model.settings import Settings
from mnemoscope.promql import ratio

from ..board import Board, Section, assemble
from ..expressions import Expressions
from ..panels.constructors import gauge, heatmap, timeseries
from ..panels.query import Query
from ..panels.style import GREY, PER_SECOND, zones

UID = "cognitive-metrics"


def build(settings: Settings) -> Board:
    """Return the board for one site."""
    expressions = Expressions(settings)
    return assemble(
        settings,
        UID,
        "Consolidation, concept quality, semantic health and the fan effect of an agent-memory service.",
        [_concepts(expressions), _fan(expressions), _consolidation(expressions), _patterns(expressions)],
    )


def _buckets(expressions: Expressions, metric: c.Metric) -> Query:
    return Query(expressions.rate(metric, "le", part="bucket"), "{{le}}")


def _concepts(expressions: Expressions) -> Section:
    limit = expressions.settings.threshold("concept_quality")
    return Section(
        "Concepts",
        [
            timeseries(
                "concept-quality",
                "Concept quality, mean",
                "Mean quality of the concepts that were formed. Below the yellow line, concepts mislead recall: hold "
                "the rollout.",
                Unit.RATIO,
                Query(expressions.mean(c.CONCEPT_QUALITY), "mean"),
                steps=zones(limit),
                maximum=1,
            ),
            heatmap(
                "concept-quality-distribution",
                "Concept quality, distribution",
                "Distribution of the quality. Two bands mean that one kind of episode consolidates badly. The mean "
                "hides this.",
                Unit.RATIO,
                _buckets(expressions, c.CONCEPT_QUALITY),
                width=8,
            ),
            gauge(
                "semantic-health",
                "Semantic health",
                "Share of concepts whose quality is above the limit, on the worst instance.",
                Unit.RATIO,
                Query(expressions.gauge(c.SEMANTIC_HEALTH, how="min"), "health"),
                steps=zones(limit),
                width=4,
            ),
            timeseries(
                "recall-diversity",
                "Diversity of recall",
                "Mean diversity of the results of one recall. Near 0, recall returns the same memory many times.",
                Unit.RATIO,
                Query(expressions.mean(c.RECALL_DIVERSITY), "mean"),
                maximum=1,
                width=4,
            ),
        ],
    )


def _fan(expressions: Expressions) -> Section:
    settings = expressions.settings
    return Section(
        "Fan effect",
        [
            timeseries(
                "fan",
                "Fan",
                "Associations that the concepts of one recall activate. The grey line is the value that the alert "
                "checks. Above the yellow line, prune weak associations.",
                Unit.COUNT,
                *expressions.quantiles(c.FAN_ASSOCIATIONS, qs=(0.5, 0.95)),
                Query(
                    expressions.record(record_names.quantile(settings, "job", c.FAN_ASSOCIATIONS, 95)),
                    "p95 of the alert {{job}}",
                    color=GREY,
                    line="dash",
                ),
                steps=zones(settings.threshold("fan_p95")),
            ),
            heatmap(
                "fan-distribution",
                "Fan, distribution",
                "How many recalls activate how many associations.",
                Unit.COUNT,
                _buckets(expressions, c.FAN_ASSOCIATIONS),
                width=8,
            ),
            timeseries(
                "fan-latency",
                "Spreading activation by fan, p95",
                "Time of spreading activation by fan. If only `high` is slow, the fan is the cause. If all are slow, "
                "the store is the cause.",
                Unit.SECONDS,
                *expressions.quantiles(c.FAN_RECALL_DURATION, "fan", qs=(0.95,)),
            ),
        ],
    )


def _consolidation(expressions: Expressions) -> Section:
    runs = expressions.rate(c.CONSOLIDATION_DURATION)
    outcome = c.CONSOLIDATION_DURATION.label("outcome")
    return Section(
        "Consolidation",
        [
            timeseries(
                "consolidation-outcome",
                "Consolidation runs",
                "Runs per second, by outcome. While runs fail, episodes are not consolidated and pile up.",
                PER_SECOND,
                Query(expressions.rate(c.CONSOLIDATION_DURATION, "outcome"), "{{outcome}}", label=outcome),
                width=6,
            ),
            timeseries(
                "consolidation-throughput",
                "Throughput",
                "Episodes processed and concepts formed, per second.",
                PER_SECOND,
                Query(expressions.rate(c.CONSOLIDATION_EPISODES), "episodes"),
                Query(expressions.rate(c.CONCEPT_FORMED), "concepts", line="dash"),
                width=6,
            ),
            timeseries(
                "consolidation-yield",
                "Episodes per run",
                "Episodes that one run processes. If it falls at equal load, runs are too frequent.",
                Unit.COUNT,
                Query(ratio(expressions.rate(c.CONSOLIDATION_EPISODES), runs), "episodes per run"),
                width=6,
            ),
            timeseries(
                "consolidation-duration",
                "Duration of a run",
                "Time of one consolidation run.",
                Unit.SECONDS,
                *expressions.quantiles(c.CONSOLIDATION_DURATION),
                width=6,
            ),
        ],
    )


def _patterns(expressions: Expressions) -> Section:
    return Section(
        "Patterns",
        [
            timeseries(
                "pattern-errors",
                "Pattern extractions that failed",
                "Share of extractions that ended in an error, by strategy.",
                Unit.RATIO,
                Query(expressions.error_ratio(c.PATTERN_EXTRACTION_DURATION, "strategy"), "{{strategy}}", many=True),
            ),
            timeseries(
                "pattern-heuristics",
                "Heuristics updated",
                "Heuristics changed by learning, per second. If it stays at 0 while episodes complete, learning is "
                "off.",
                PER_SECOND,
                Query(expressions.rate(c.PATTERN_HEURISTICS_UPDATED), "updated"),
            ),
            timeseries(
                "pattern-latency",
                "Pattern extraction, p95",
                "Time to extract patterns from one episode, by strategy.",
                Unit.SECONDS,
                *expressions.quantiles(c.PATTERN_EXTRACTION_DURATION, "strategy", qs=(0.95,)),
            ),
        ],
    )
