"""What is no decorator: series that must exist before their first event, and facts about this instance."""

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

# A counter that appears with its first event shows no increase then; at zero from the start, it does.
_FROM_THE_START = (
    m.INDEX_MISSING,
    m.CACHE_STALE,
    m.CACHE_INVALIDATIONS,
    m.CACHE_EVICTIONS,
    m.STORAGE_DIVERGENCE,
    m.STORAGE_RECONCILIATIONS,
    m.STORAGE_COMPENSATIONS,
    m.POOL_EXHAUSTED,
    m.CORRUPTION,
    m.FORMAT_UNSUPPORTED,
    m.WAL_REPLAY,
    m.COMPACTION,
    m.BACKUP,
    m.RESTORE,
    m.COMPLETIONS_REJECTED,
    m.EPISODES_CREATED,
    m.STEP_BATCH_SIZE,
    m.STEP_FLUSH,
    m.RECALL_RESULTS,
    m.RECALL_EMPTY,
    m.RECALL_FALLBACKS,
    m.RECALL_DIVERSITY,
    m.SEMANTIC_TIMEOUTS,
    m.CONCEPT_QUALITY,
    m.FAN,
    m.FAN_LATENCY,
    m.HEURISTICS_UPDATED,
    m.INPUT_REJECTED,
    m.QUOTA_EXCEEDED,
    m.RATE_LIMITED,
    m.AUTHENTICATION,
    m.SHUTDOWN_DURATION,
    m.SHUTDOWN_IN_FLIGHT,
)


def describe(config: Config) -> None:
    """Exports what is known before the service does anything."""
    scope.declare(
        *_FROM_THE_START,
        backend=BACKEND,
        cache=CACHE,
        index=EPISODES,
        pool=BACKEND,
        quota=EPISODES_PER_DAY,
    )
    scope.declare(m.UPLOAD, backend=OBJECT_STORE)
    scope.declare(m.LOCK_INVERSIONS, first=CHANGES, second=CONCEPTS)  # the locks that are held one within the other
    for strategy in STRATEGIES:
        scope.declare(m.PATTERN_EXTRACTION, strategy=strategy)
    scope.gauge(m.ROLLOUT_INFO, track=config.track, stage=config.stage, version=config.version).set(1)
    for flag, on in config.flags.items():
        scope.gauge(m.FEATURE_FLAG, flag=flag).set(int(on))
    scope.gauge(m.MEMORY_WEIGHT, memory="episodic").set(config.episodic_weight)
    scope.gauge(m.MEMORY_WEIGHT, memory="semantic").set(config.semantic_weight)
    scope.gauge(m.COHORT_RATE).set(config.cohort)
