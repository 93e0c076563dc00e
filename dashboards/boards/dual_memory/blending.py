"""How episodic and semantic memory share a blended recall."""

from __future__ import annotations

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit

from ...board import Section
from ...expressions import Expressions, share
from ...panels.constructors import bargauge, timeseries
from ...panels.query import Query


def section(expressions: Expressions) -> Section:
    """Return the section."""
    blended = expressions.rate(c.RECALL_DURATION, path="blended")
    return Section(
        "Blending and weights",
        [
            timeseries(
                "semantic-timeouts",
                "Blended recalls without semantic memory",
                "Share of blended recalls that continued without semantic memory because it took too long.",
                Unit.RATIO,
                Query(share(expressions.rate(c.MEMORY_SEMANTIC_TIMEOUTS), blended), "timed out"),
            ),
            bargauge(
                "memory-weight",
                "Weights",
                "Weight of each memory in a blended recall, mean of the instances. The defaults are 0.7 and 0.3.",
                Unit.RATIO,
                Query(expressions.gauge(c.MEMORY_WEIGHT, "memory", how="avg"), "{{memory}}"),
                maximum=1,
                width=4,
            ),
            timeseries(
                "memory-items",
                "Items held",
                "Episodes and concepts of the instance that holds most. Instances may share a store, so they are not "
                "added up.",
                Unit.COUNT,
                Query(
                    expressions.gauge(c.MEMORY_ITEMS, "memory", how="max"),
                    "{{memory}}",
                    label=c.MEMORY_ITEMS.label("memory"),
                ),
                width=6,
            ),
            timeseries(
                "cohort",
                "Dual-memory cohort",
                "Share of users served by dual memory: the lowest and the highest value of the instances. If they "
                "differ, the instances have different settings.",
                Unit.RATIO,
                Query(expressions.gauge(c.MEMORY_COHORT_SAMPLING, how="max"), "highest"),
                Query(expressions.gauge(c.MEMORY_COHORT_SAMPLING, how="min"), "lowest", line="dash"),
                maximum=1,
                width=6,
            ),
        ],
    )
