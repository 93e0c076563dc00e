"""The index: whether writes reach it, how large it is, and how long a write takes."""

from __future__ import annotations

from mnemoscope.alerts import record_names
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit

from ...board import Section
from ...expressions import Expressions, or_zero
from ...panels.constructors import timeseries
from ...panels.query import Query
from ...panels.style import GREY, PER_SECOND, zones


def section(expressions: Expressions) -> Section:
    """Return the section."""
    settings, limit = expressions.settings, expressions.settings.threshold
    writes = expressions.rate(c.INDEX_WRITE_DURATION)
    return Section(
        "Index",
        [
            timeseries(
                "index-errors",
                "Index writes lost",
                "Index writes that failed, and entries stored but not indexed, per second. Recall cannot find them.",
                PER_SECOND,
                Query(or_zero(expressions.rate(c.INDEX_WRITE_DURATION, outcome="error"), writes), "failed"),
                Query(or_zero(expressions.rate(c.INDEX_MISSING), writes), "stored, not indexed", line="dash"),
                width=6,
            ),
            timeseries(
                "index-memory",
                "Index memory",
                "Memory of the largest index of all instances, by index. The dashed lines are 1 M and 10 M episodes.",
                Unit.BYTES,
                Query(expressions.gauge(c.INDEX_MEMORY, "index", how="max"), "{{index}}", many=True),
                steps=zones(limit("index_memory")),
                width=6,
            ),
            timeseries(
                "index-entries",
                "Index entries",
                "Entries on the instance that has most, by index. Compare them with the items held.",
                Unit.COUNT,
                Query(expressions.gauge(c.INDEX_ENTRIES, "index", how="max"), "{{index}}", many=True),
                width=6,
            ),
            timeseries(
                "index-write",
                "Index write, p99",
                "Time to write one entry, by index. The grey line is the value that the alert checks.",
                Unit.SECONDS,
                *expressions.quantiles(c.INDEX_WRITE_DURATION, "index", qs=(0.95, 0.99)),
                Query(
                    expressions.record(record_names.quantile(settings, "job_index", c.INDEX_WRITE_DURATION, 99)),
                    "alert value {{index}} {{job}}",
                    color=GREY,
                    line="dash",
                    many=True,
                ),
                steps=zones(limit("index_write_p99")),
                width=6,
            ),
        ],
    )
