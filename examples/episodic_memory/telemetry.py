"""Measurements without a decorator: series that must exist before their first event, and facts about the instance."""

from __future__ import annotations

import mnemoscope as scope
from mnemoscope import catalog as m

from .backup import OBJECT_STORE
from .cache import CACHE
from .config import Config
from .database import BACKEND
from .index import CONCEPTS, EPISODES
from .limits import EPISODES_PER_DAY
from .patterns import STRATEGIES
from .semantic import CHANGES

# `increase()` misses the first event of a counter that appears with it, but not of one that starts at zero.
_FROM_THE_START = (
    m.INDEX_MISSING,
    m.CACHE_STALE_READS,
    m.CACHE_INVALIDATIONS,
    m.CACHE_EVICTIONS,
    m.STORAGE_DIVERGENCE,
    m.STORAGE_RECONCILIATIONS,
    m.STORAGE_COMPENSATIONS,
    m.STORAGE_POOL_EXHAUSTED,
    m.STORAGE_CORRUPTION,
    m.STORAGE_FORMAT_UNSUPPORTED,
    m.STORAGE_WAL_REPLAY_DURATION,
    m.STORAGE_COMPACTION_DURATION,
    m.STORAGE_BACKUP_DURATION,
    m.STORAGE_RESTORE_DURATION,
    m.COMPLETION_REJECTIONS,
    m.EPISODE_CREATED,
    m.EPISODE_STEP_BATCH_SIZE,
    m.EPISODE_STEP_FLUSH_DURATION,
    m.RECALL_DURATION,
    m.RECALL_RESULTS,
    m.RECALL_EMPTY,
    m.RECALL_FALLBACKS,
    m.RECALL_DIVERSITY,
    m.MEMORY_SEMANTIC_TIMEOUTS,
    m.CONCEPT_QUALITY,
    m.FAN_ASSOCIATIONS,
    m.FAN_RECALL_DURATION,
    m.PATTERN_HEURISTICS_UPDATED,
    m.LIMIT_REJECTIONS,
    m.LIMIT_QUOTA_EXCEEDED,
    m.LIMIT_RATE_LIMITED,
    m.SERVICE_AUTHENTICATION_DURATION,
    m.SERVICE_SHUTDOWN_DURATION,
    m.SERVICE_SHUTDOWN_IN_FLIGHT,
)


def describe(config: Config) -> None:
    """Export the facts that are known before the service starts."""
    scope.declare(
        *_FROM_THE_START,
        backend=BACKEND,
        cache=CACHE,
        index=EPISODES,
        pool=BACKEND,
        quota=EPISODES_PER_DAY,
    )
    scope.declare(m.STORAGE_UPLOAD_DURATION, backend=OBJECT_STORE)
    # The two locks that one thread holds together.
    scope.declare(m.LOCK_ORDER_INVERSIONS, first=CHANGES, second=CONCEPTS)
    for strategy in STRATEGIES:
        scope.declare(m.PATTERN_EXTRACTION_DURATION, strategy=strategy)
    scope.gauge(m.ROLLOUT_INFO, track=config.track, stage=config.stage, version=config.version).set(1)
    for flag, on in config.flags.items():
        scope.gauge(m.ROLLOUT_FEATURE_FLAG, flag=flag).set(int(on))
    scope.gauge(m.MEMORY_WEIGHT, memory="episodic").set(config.episodic_weight)
    scope.gauge(m.MEMORY_WEIGHT, memory="semantic").set(config.semantic_weight)
    scope.gauge(m.MEMORY_COHORT_SAMPLING).set(config.cohort)
