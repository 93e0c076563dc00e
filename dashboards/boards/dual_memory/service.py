"""The service: its requests, and the resources of its processes."""

from __future__ import annotations

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.promql import ratio

from ...board import Section
from ...expressions import Expressions, or_zero
from ...panels.constructors import timeseries
from ...panels.layer import Panel
from ...panels.query import Query
from ...panels.style import BLUE, PER_SECOND, RED, REQUESTS, zones


def section(expressions: Expressions) -> Section:
    """Return the section."""
    return Section("Service", [*_requests(expressions), *_process(expressions)])


def _requests(expressions: Expressions) -> list[Panel]:
    instance = expressions.settings.instance_labels[0]
    return [
        timeseries(
            "request-errors",
            "Request error ratio",
            "Share of requests that failed because of the service.",
            Unit.RATIO,
            Query(expressions.error_ratio(c.REQUEST_DURATION), "errors", color=RED),
            width=6,
        ),
        timeseries(
            "request-rate",
            "Requests",
            "Requests per second, by route.",
            REQUESTS,
            Query(expressions.rate(c.REQUEST_DURATION, "route"), "{{route}}", many=True),
            width=6,
        ),
        timeseries(
            "request-latency",
            "Request latency",
            "Time to answer a request, over all routes.",
            Unit.SECONDS,
            *expressions.quantiles(c.REQUEST_DURATION),
            width=6,
        ),
        timeseries(
            "request-in-flight",
            "Requests in flight",
            "Requests whose answer is not complete, by instance. If it only grows, requests hang.",
            Unit.COUNT,
            Query(expressions.gauge(c.REQUEST_IN_FLIGHT, instance), _legend(instance), many=True),
            width=6,
        ),
    ]


def _process(expressions: Expressions) -> list[Panel]:
    limit = expressions.settings.threshold
    instance = expressions.settings.instance_labels[0]
    used, available = (expressions.gauge(metric, instance) for metric in (c.SERVICE_MEMORY, c.SERVICE_MEMORY_LIMIT))
    dropped = expressions.rate(c.INSTRUMENTATION_DROPPED)
    return [
        timeseries(
            "service-uptime",
            "Uptime",
            "Time since each instance started. A saw-tooth is a crash loop.",
            Unit.SECONDS,
            Query(expressions.gauge(c.SERVICE_UPTIME, instance, how="max"), _legend(instance), many=True),
            width=6,
        ),
        timeseries(
            "service-memory",
            "Memory of its limit",
            "Resident memory as a share of what the process may use, by instance.",
            Unit.RATIO,
            Query(ratio(used, available), _legend(instance), many=True),
            steps=zones(limit("memory_ratio")),
            width=6,
        ),
        timeseries(
            "service-files",
            "Open files",
            "Open file descriptors, by instance.",
            Unit.COUNT,
            Query(expressions.gauge(c.SERVICE_OPEN_FILES, instance), _legend(instance), many=True),
            steps=zones(limit("open_files")),
            width=6,
        ),
        timeseries(
            "instrumentation-dropped",
            "Recordings dropped",
            "Recordings per second that the instrumentation refused. The boards do not include them.",
            PER_SECOND,
            Query(or_zero(dropped, f"sum({expressions.live.series(c.INSTRUMENTATION_SERIES)})"), "dropped", color=BLUE),
            width=6,
        ),
    ]


def _legend(label: str) -> str:
    return f"{{{{{label}}}}}"
