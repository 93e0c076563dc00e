"""Episodic and semantic memory at a glance: the board an on-call engineer opens first.

The first row answers "is it broken?", every following one "is it this part?", in the order in which a recall
or a completion meets them.
"""

from __future__ import annotations

from mnemoscope.alerts.rules import locks as faults
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model.settings import Settings

from ..board import Board, Section, assemble
from ..expressions import Expressions
from ..panels.constructors import stat
from ..panels.query import Query
from ..panels.style import GREEN, RED, zones
from . import memory_sections, platform_sections

UID = "dual-memory"


def build(settings: Settings) -> Board:
    """The board for one site."""
    expressions = Expressions(settings)
    return assemble(
        settings,
        UID,
        "Recall, blending, locks, index, caches, storage and completions of an agent-memory service.",
        [
            _glance(expressions),
            memory_sections.recall(expressions),
            memory_sections.blending(expressions),
            memory_sections.locks(expressions),
            memory_sections.index(expressions),
            memory_sections.caches(expressions),
            *platform_sections.storage(expressions),
            platform_sections.completions(expressions),
            platform_sections.limits(expressions),
            platform_sections.service(expressions),
        ],
    )


def _glance(expressions: Expressions) -> Section:
    limit = expressions.settings.threshold
    return Section(
        "At a glance",
        [
            stat(
                "ready",
                "Ready",
                "Whether every selected instance takes requests; ask /ready of one that does not for the reason.",
                Unit.COUNT,
                Query(expressions.gauge(c.SERVICE_READY, how="min"), "ready"),
                texts={"0": ("not ready", RED), "1": ("ready", GREEN)},
                trend=False,
            ),
            stat(
                "storage-error-ratio-now",
                "Storage errors",
                "Share of storage operations that failed. Beyond red, roll back.",
                Unit.RATIO,
                Query(expressions.error_ratio(c.STORAGE_OPERATION_DURATION), "errors"),
                steps=zones(limit("storage_error_ratio")),
            ),
            stat(
                "cache-hit-ratio-now",
                "Cache hits",
                "Share of cache lookups that hit, over all caches.",
                Unit.RATIO,
                Query(expressions.hit_ratio(), "hits"),
                steps=zones(limit("cache_hit_ratio")),
            ),
            stat(
                "completions-peak-now",
                "Peak completions",
                "Most completions that ran at once on one instance within the last minute.",
                Unit.COUNT,
                Query(expressions.gauge(c.COMPLETION_IN_FLIGHT_PEAK, how="max"), "peak"),
                steps=zones(limit("concurrent_completions")),
            ),
            stat(
                faults.DEADLOCK_PANEL,
                "Deadlocks",
                "Deadlocks in the time range; there must be none.",
                Unit.COUNT,
                Query(expressions.total(c.LOCK_DEADLOCKS), "deadlocks"),
                steps=zones(limit("lock_deadlocks")),
                decimals=0,
                trend=False,
                alerts=(faults.DEADLOCK,),
            ),
            stat(
                "lock-wait-now",
                "Lock wait, p99",
                "99 % of acquisitions of any lock waited at most this long.",
                Unit.SECONDS,
                Query(expressions.quantile(0.99, c.LOCK_WAIT_DURATION), "p99", exemplar=True),
                steps=zones(limit("lock_wait_p99")),
            ),
            stat(
                "index-write-now",
                "Index write, p99",
                "99 % of index writes took at most this long.",
                Unit.SECONDS,
                Query(expressions.quantile(0.99, c.INDEX_WRITE_DURATION), "p99", exemplar=True),
                steps=zones(limit("index_write_p99")),
            ),
            stat(
                "recall-now",
                "Recall, p99",
                "99 % of recalls, on any path, took at most this long.",
                Unit.SECONDS,
                Query(expressions.quantile(0.99, c.RECALL_DURATION), "p99", exemplar=True),
                steps=zones(limit("recall_p99")),
            ),
        ],
    )
