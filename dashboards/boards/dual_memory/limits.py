"""What the service refused, and which limit was exceeded."""

from __future__ import annotations

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit

from ...board import Section
from ...expressions import Expressions, share
from ...panels.constructors import timeseries
from ...panels.query import Query
from ...panels.style import PER_SECOND


def section(expressions: Expressions) -> Section:
    """Return the section."""
    requests = expressions.rate(c.REQUEST_DURATION)
    return Section(
        "Limits",
        [
            timeseries(
                "limits-input",
                "Inputs refused",
                "Inputs per second that exceeded a limit, by limit.",
                PER_SECOND,
                Query(
                    expressions.rate(c.LIMIT_REJECTIONS, "limit"),
                    "{{limit}}",
                    label=c.LIMIT_REJECTIONS.label("limit"),
                ),
                width=12,
            ),
            timeseries(
                "limits-rate",
                "Requests refused",
                "Share of requests refused because a quota was used up or because they came too fast.",
                Unit.RATIO,
                Query(share(expressions.rate(c.LIMIT_QUOTA_EXCEEDED), requests), "quota used up"),
                Query(share(expressions.rate(c.LIMIT_RATE_LIMITED), requests), "too fast", line="dash"),
                width=12,
            ),
        ],
    )
