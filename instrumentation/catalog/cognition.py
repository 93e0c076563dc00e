"""Completions, recall, the two memories and what is learned from them."""

from __future__ import annotations

from typing import get_args

from .labels import INDEX, MEMORY, OUTCOME, RECALL_PATH, FanSize
from .model import Across, Area, Kind, Label, Metric, Source, Unit

# Recall zones turn at 100 and 500 ms; vector search aims at 25 ms.
_RECALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1, 2.5)
_COMPLETION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_CONSOLIDATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SCORE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1)
_FAN_BUCKETS = (1, 2, 5, 10, 20, 35, 50, 75, 100, 200, 500)

COMPLETION_DURATION = Metric(
    "completion.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time to complete an episode",
    Area.COMPLETIONS,
    (OUTCOME,),
    _COMPLETION_BUCKETS,
    (Source.SLM, Source.PLAN),
)
COMPLETIONS_IN_FLIGHT = Metric(
    "completion.in.flight",
    Kind.GAUGE,
    Unit.COUNT,
    "Completions that run now",
    Area.COMPLETIONS,
    (),
    (),
    (Source.SLM,),
)
COMPLETIONS_PEAK = Metric(
    "completion.in.flight.peak",
    Kind.GAUGE,
    Unit.COUNT,
    "Most completions that ran at once in the last minute, so that no peak falls between two scrapes",
    Area.COMPLETIONS,
    (),
    (),
    (Source.SLM,),
)
COMPLETIONS_LIMIT = Metric(
    "completion.limit",
    Kind.GAUGE,
    Unit.COUNT,
    "Completions the semaphore lets run at once",
    Area.COMPLETIONS,
    (),
    (),
    (Source.SLM,),
)
COMPLETIONS_QUEUED = Metric(
    "completion.queue.depth",
    Kind.GAUGE,
    Unit.COUNT,
    "Completions that wait for a permit",
    Area.COMPLETIONS,
    (),
    (),
    (Source.SLM,),
)
COMPLETIONS_REJECTED = Metric(
    "completion.rejections",
    Kind.COUNTER,
    Unit.COUNT,
    "Completions turned away because the queue was full",
    Area.COMPLETIONS,
    (),
    (),
    (Source.SLM,),
)
EPISODES_CREATED = Metric(
    "episode.created",
    Kind.COUNTER,
    Unit.COUNT,
    "Episodes created",
    Area.COMPLETIONS,
    (),
    (),
    (Source.PLAN,),
)
STEP_BATCH_SIZE = Metric(
    "episode.step.batch.size",
    Kind.HISTOGRAM,
    Unit.COUNT,
    "Steps written in one batch",
    Area.COMPLETIONS,
    (),
    (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
    (Source.PLAN,),
)
STEP_FLUSH = Metric(
    "episode.step.flush.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time to flush one batch of steps",
    Area.COMPLETIONS,
    (OUTCOME,),
    _COMPLETION_BUCKETS,
    (Source.PLAN,),
)

RECALL_DURATION = Metric(
    "recall.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of one recall",
    Area.RECALL,
    (RECALL_PATH, OUTCOME),
    _RECALL_BUCKETS,
    (Source.SLM, Source.AKI, Source.M17),
)
VECTOR_SEARCH = Metric(
    "recall.vector.search.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of one vector search",
    Area.RECALL,
    (INDEX, OUTCOME),
    _RECALL_BUCKETS,
    (Source.AKI,),
)
RECALL_FALLBACKS = Metric(
    "recall.fallbacks",
    Kind.COUNTER,
    Unit.COUNT,
    "Hierarchical recalls that fell back to flat",
    Area.RECALL,
    (),
    (),
    (Source.SLM,),
)
RECALL_EMPTY = Metric(
    "recall.empty",
    Kind.COUNTER,
    Unit.COUNT,
    "Recalls that found nothing",
    Area.RECALL,
    (RECALL_PATH,),
    (),
    (Source.SLM,),
)
RECALL_RESULTS = Metric(
    "recall.results",
    Kind.HISTOGRAM,
    Unit.COUNT,
    "Memories one recall returned",
    Area.RECALL,
    (RECALL_PATH,),
    (0, 1, 2, 5, 10, 20, 50, 100),
    (Source.SLM,),
)
RECALL_DIVERSITY = Metric(
    "recall.diversity",
    Kind.HISTOGRAM,
    Unit.RATIO,
    "Diversity score of one recall's results, 0 to 1",
    Area.RECALL,
    (),
    _SCORE_BUCKETS,
    (Source.SLM,),
)

MEMORY_WEIGHT = Metric(
    "memory.weight",
    Kind.GAUGE,
    Unit.RATIO,
    "Weight of a memory in blended recall; 0.7 episodic and 0.3 semantic by default",
    Area.DUAL_MEMORY,
    (MEMORY,),
    (),
    (Source.M17,),
    across=Across.LATEST,
)
MEMORY_ITEMS = Metric(
    "memory.items",
    Kind.GAUGE,
    Unit.COUNT,
    "Items a memory holds: episodes, or concepts",
    Area.DUAL_MEMORY,
    (MEMORY,),
    (),
    (Source.M17,),
    across=Across.MAX,
)
SEMANTIC_TIMEOUTS = Metric(
    "memory.semantic.timeouts",
    Kind.COUNTER,
    Unit.COUNT,
    "Blended recalls that went on without semantic memory because it passed its 100 ms",
    Area.DUAL_MEMORY,
    (),
    (),
    (Source.M17,),
)
COHORT_RATE = Metric(
    "memory.cohort.sampling",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of users in the dual-memory cohort",
    Area.DUAL_MEMORY,
    (),
    (),
    (Source.M17,),
    across=Across.LATEST,
)

CONSOLIDATION_DURATION = Metric(
    "consolidation.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of one consolidation run",
    Area.COGNITIVE,
    (OUTCOME,),
    _CONSOLIDATION_BUCKETS,
    (Source.M17,),
)
CONSOLIDATED_EPISODES = Metric(
    "consolidation.episodes",
    Kind.COUNTER,
    Unit.COUNT,
    "Episodes that consolidation has worked through",
    Area.COGNITIVE,
    (),
    (),
    (Source.M17,),
)
CONCEPTS_FORMED = Metric(
    "concept.formed",
    Kind.COUNTER,
    Unit.COUNT,
    "Concepts that consolidation formed",
    Area.COGNITIVE,
    (),
    (),
    (Source.M17,),
)
CONCEPT_QUALITY = Metric(
    "concept.quality",
    Kind.HISTOGRAM,
    Unit.RATIO,
    "Quality of a concept when it is formed, 0 to 1",
    Area.COGNITIVE,
    (),
    _SCORE_BUCKETS,
    (Source.M17,),
)
SEMANTIC_HEALTH = Metric(
    "semantic.health",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of concepts whose quality is above the limit",
    Area.COGNITIVE,
    (),
    (),
    (Source.M17,),
    across=Across.MIN,
)
FAN = Metric(
    "fan.associations",
    Kind.HISTOGRAM,
    Unit.COUNT,
    "Associations that the concepts of one recall activated",
    Area.COGNITIVE,
    (),
    _FAN_BUCKETS,
    (Source.M17,),
)
FAN_LATENCY = Metric(
    "fan.recall.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of spreading activation, by the size of the fan",
    Area.COGNITIVE,
    (Label("fan", "size of the fan", get_args(FanSize)),),
    _RECALL_BUCKETS,
    (Source.M17,),
)

PATTERN_EXTRACTION = Metric(
    "pattern.extraction.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time to extract patterns from an episode",
    Area.PATTERNS,
    (Label("strategy", "name of the extraction strategy", example="decision_point"), OUTCOME),
    _COMPLETION_BUCKETS,
    (Source.PLAN,),
)
HEURISTICS_UPDATED = Metric(
    "pattern.heuristics.updated",
    Kind.COUNTER,
    Unit.COUNT,
    "Heuristics changed by what was learned",
    Area.PATTERNS,
    (),
    (),
    (Source.PLAN,),
)
