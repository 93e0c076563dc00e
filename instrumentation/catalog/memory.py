"""Metrics of completions, recall, the two memories, consolidation and patterns."""

from __future__ import annotations

from typing import get_args

from .declare import AKI, COUNT, LATEST, M17, MAX, MIN, PLAN, RATIO, SLM, counter, gauge, histogram
from .labels import INDEX, MEMORY, OUTCOME, RECALL_PATH, FanSize
from .model import Label

# The limits of recall, 100 and 500 ms, and the target of vector search, 25 ms, are bounds.
_RECALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.35, 0.5, 0.75, 1, 2.5)
_COMPLETION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_CONSOLIDATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SCORE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9, 1)
_FAN_BUCKETS = (1, 2, 5, 10, 20, 35, 50, 75, 100, 200, 500)

COMPLETION_DURATION = histogram(
    "completion.duration",
    "Time to complete an episode",
    labels=(OUTCOME,),
    buckets=_COMPLETION_BUCKETS,
    sources=(SLM, PLAN),
)
COMPLETION_IN_FLIGHT = gauge("completion.in_flight", "Completions that are running now", sources=(SLM,))
COMPLETION_IN_FLIGHT_PEAK = gauge(
    "completion.in_flight.peak",
    "Most completions that ran at the same time in the last 30 to 60 seconds",
    sources=(SLM,),
)
COMPLETION_LIMIT = gauge("completion.limit", "Completions that the semaphore lets run at the same time", sources=(SLM,))
COMPLETION_QUEUE_DEPTH = gauge("completion.queue.depth", "Completions that are waiting for a permit", sources=(SLM,))
COMPLETION_REJECTIONS = counter(
    "completion.rejections", "Completions turned away because the queue was full", sources=(SLM,)
)
EPISODE_CREATED = counter("episode.created", "Episodes created", sources=(PLAN,))
EPISODE_STEP_BATCH_SIZE = histogram(
    "episode.step_batch.size",
    "Steps written in one batch",
    COUNT,
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
    sources=(PLAN,),
)
EPISODE_STEP_FLUSH_DURATION = histogram(
    "episode.step_flush.duration",
    "Time to flush one batch of steps",
    labels=(OUTCOME,),
    buckets=_COMPLETION_BUCKETS,
    sources=(PLAN,),
)

RECALL_DURATION = histogram(
    "recall.duration",
    "Time of one recall",
    labels=(RECALL_PATH, OUTCOME),
    buckets=_RECALL_BUCKETS,
    sources=(SLM, AKI, M17),
)
RECALL_VECTOR_SEARCH_DURATION = histogram(
    "recall.vector_search.duration",
    "Time of one vector search",
    labels=(INDEX, OUTCOME),
    buckets=_RECALL_BUCKETS,
    sources=(AKI,),
)
RECALL_FALLBACKS = counter("recall.fallbacks", "Hierarchical recalls that fell back to flat", sources=(SLM,))
RECALL_EMPTY = counter("recall.empty", "Recalls that found nothing", labels=(RECALL_PATH,), sources=(SLM,))
RECALL_RESULTS = histogram(
    "recall.results",
    "Memories that one recall returned",
    COUNT,
    labels=(RECALL_PATH,),
    buckets=(0, 1, 2, 5, 10, 20, 50, 100),
    sources=(SLM,),
)
RECALL_DIVERSITY = histogram(
    "recall.diversity", "Diversity score of one recall's results, 0 to 1", RATIO, buckets=_SCORE_BUCKETS, sources=(SLM,)
)

MEMORY_WEIGHT = gauge(
    "memory.weight",
    "Weight of a memory in blended recall; 0.7 episodic and 0.3 semantic by default",
    RATIO,
    labels=(MEMORY,),
    sources=(M17,),
    across=LATEST,
)
MEMORY_ITEMS = gauge(
    "memory.items", "Items a memory holds: episodes, or concepts", labels=(MEMORY,), sources=(M17,), across=MAX
)
MEMORY_SEMANTIC_TIMEOUTS = counter(
    "memory.semantic.timeouts",
    "Blended recalls that continued without semantic memory because it exceeded its 100 ms",
    sources=(M17,),
)
MEMORY_COHORT_SAMPLING = gauge(
    "memory.cohort.sampling", "Share of users in the dual-memory cohort", RATIO, sources=(M17,), across=LATEST
)

CONSOLIDATION_DURATION = histogram(
    "consolidation.duration",
    "Time of one consolidation run",
    labels=(OUTCOME,),
    buckets=_CONSOLIDATION_BUCKETS,
    sources=(M17,),
)
CONSOLIDATION_EPISODES = counter("consolidation.episodes", "Episodes that consolidation has processed", sources=(M17,))
CONCEPT_FORMED = counter("concept.formed", "Concepts that consolidation formed", sources=(M17,))
CONCEPT_QUALITY = histogram(
    "concept.quality", "Quality of a concept when it is formed, 0 to 1", RATIO, buckets=_SCORE_BUCKETS, sources=(M17,)
)
SEMANTIC_HEALTH = gauge(
    "semantic.health", "Share of concepts whose quality is above the limit", RATIO, sources=(M17,), across=MIN
)
FAN_ASSOCIATIONS = histogram(
    "fan.associations",
    "Associations that the concepts of one recall activated",
    COUNT,
    buckets=_FAN_BUCKETS,
    sources=(M17,),
)
FAN_RECALL_DURATION = histogram(
    "fan.recall.duration",
    "Time of spreading activation, by the size of the fan",
    labels=(Label("fan", "size of the fan", get_args(FanSize)),),
    buckets=_RECALL_BUCKETS,
    sources=(M17,),
)

PATTERN_EXTRACTION_DURATION = histogram(
    "pattern.extraction.duration",
    "Time to extract patterns from an episode",
    labels=(Label("strategy", "name of the extraction strategy", example="decision_point"), OUTCOME),
    buckets=_COMPLETION_BUCKETS,
    sources=(PLAN,),
)
PATTERN_HEURISTICS_UPDATED = counter(
    "pattern.heuristics.updated", "Heuristics that extracted patterns changed", sources=(PLAN,)
)
