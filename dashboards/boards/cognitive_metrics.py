"""How well the memory learns: consolidation, concepts, the fan effect, patterns."""

from __future__ import annotations

from mnemoscope.alerts import record_names
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model.settings import Settings
from mnemoscope.promql import ratio

from ..board import Board, Section, assemble
from ..panels.constructors import gauge, heatmap, timeseries
from ..panels.query import Query
from ..panels.style import GREY, PER_SECOND, zones
from ..view import View

UID = "cognitive-metrics"


def build(settings: Settings) -> Board:
    """The board for one site."""
    view = View(settings)
    return assemble(
        settings,
        UID,
        "Consolidation, concept quality, semantic health and the fan effect of an agent-memory service.",
        [_concepts(view), _fan(view), _consolidation(view), _patterns(view)],
    )


def _buckets(view: View, metric: c.Metric) -> Query:
    return Query(view.rate(metric, "le", part="bucket"), "{{le}}")


def _concepts(view: View) -> Section:
    limit = view.settings.threshold("concept_quality")
    return Section(
        "Concepts",
        [
            timeseries(
                "concept-quality",
                "Concept quality, mean",
                "Mean quality of the concepts formed. Below the yellow line concepts mislead recall; hold the rollout.",
                Unit.RATIO,
                Query(view.mean(c.CONCEPT_QUALITY), "mean"),
                steps=zones(limit),
                maximum=1,
            ),
            heatmap(
                "concept-quality-distribution",
                "Concept quality, distribution",
                "Where the qualities lie. Two bands mean that one kind of episode consolidates badly, "
                "which the mean hides.",
                Unit.RATIO,
                _buckets(view, c.CONCEPT_QUALITY),
                width=8,
            ),
            gauge(
                "semantic-health",
                "Semantic health",
                "Share of concepts whose quality is above the limit, of the worst instance.",
                Unit.RATIO,
                Query(view.gauge(c.SEMANTIC_HEALTH, how="min"), "health"),
                steps=zones(limit),
                width=4,
            ),
            timeseries(
                "recall-diversity",
                "Diversity of recall",
                "Mean diversity of one recall's results. Falling towards 0, recall returns the same memory many times.",
                Unit.RATIO,
                Query(view.mean(c.RECALL_DIVERSITY), "mean"),
                maximum=1,
                width=4,
            ),
        ],
    )


def _fan(view: View) -> Section:
    settings = view.settings
    return Section(
        "Fan effect",
        [
            timeseries(
                "fan",
                "Fan",
                "Associations that the concepts of one recall activate. The grey line is what the alert "
                "judges; "
                "above the yellow one, prune weak associations.",
                Unit.COUNT,
                *view.quantiles(c.FAN_ASSOCIATIONS, qs=(0.5, 0.95)),
                Query(
                    view.record(record_names.quantile(settings, "job", c.FAN_ASSOCIATIONS, 95)),
                    "p95 judged {{job}}",
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
                _buckets(view, c.FAN_ASSOCIATIONS),
                width=8,
            ),
            timeseries(
                "fan-latency",
                "Spreading activation by fan, p95",
                "What a high fan costs. If only `high` is slow, the fan is the cause; if all are, the store is.",
                Unit.SECONDS,
                *view.quantiles(c.FAN_RECALL_DURATION, "fan", qs=(0.95,)),
            ),
        ],
    )


def _consolidation(view: View) -> Section:
    runs = view.rate(c.CONSOLIDATION_DURATION)
    outcome = c.CONSOLIDATION_DURATION.label("outcome")
    return Section(
        "Consolidation",
        [
            timeseries(
                "consolidation-outcome",
                "Consolidation runs",
                "Runs a second, by how they ended. While runs fail, episodes pile up unconsolidated.",
                PER_SECOND,
                Query(view.rate(c.CONSOLIDATION_DURATION, "outcome"), "{{outcome}}", label=outcome),
                width=6,
            ),
            timeseries(
                "consolidation-throughput",
                "Throughput",
                "Episodes worked through and concepts formed, a second.",
                PER_SECOND,
                Query(view.rate(c.CONSOLIDATION_EPISODES), "episodes"),
                Query(view.rate(c.CONCEPT_FORMED), "concepts", line="dash"),
                width=6,
            ),
            timeseries(
                "consolidation-yield",
                "Episodes a run",
                "Episodes that one run works through; falling at equal load, runs come too often.",
                Unit.COUNT,
                Query(ratio(view.rate(c.CONSOLIDATION_EPISODES), runs), "episodes a run"),
                width=6,
            ),
            timeseries(
                "consolidation-duration",
                "Duration of a run",
                "Time of one consolidation run.",
                Unit.SECONDS,
                *view.quantiles(c.CONSOLIDATION_DURATION),
                width=6,
            ),
        ],
    )


def _patterns(view: View) -> Section:
    return Section(
        "Patterns",
        [
            timeseries(
                "pattern-errors",
                "Pattern extractions that failed",
                "Share of extractions that ended in an error, by strategy.",
                Unit.RATIO,
                Query(view.error_ratio(c.PATTERN_EXTRACTION_DURATION, "strategy"), "{{strategy}}", many=True),
            ),
            timeseries(
                "pattern-heuristics",
                "Heuristics updated",
                "Heuristics changed by what was learned, a second. None for long while episodes complete: "
                "learning is off.",
                PER_SECOND,
                Query(view.rate(c.PATTERN_HEURISTICS_UPDATED), "updated"),
            ),
            timeseries(
                "pattern-latency",
                "Pattern extraction, p95",
                "Time to extract patterns from one episode, by strategy.",
                Unit.SECONDS,
                *view.quantiles(c.PATTERN_EXTRACTION_DURATION, "strategy", qs=(0.95,)),
            ),
        ],
    )
