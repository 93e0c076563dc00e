"""Completions of episodes: how many run at once, how many fail, and how long they take."""

from __future__ import annotations

from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Unit

from ...board import Section
from ...expressions import Expressions, or_zero
from ...panels.constructors import timeseries
from ...panels.query import Query
from ...panels.style import PER_SECOND, RED, zones


def section(expressions: Expressions) -> Section:
    """Return the section."""
    limit = expressions.settings.threshold
    done = expressions.rate(c.COMPLETION_DURATION)
    return Section(
        "Completions",
        [
            timeseries(
                "completions-turned-away",
                "Completions that failed",
                "Completions per second that failed, or that were rejected because the queue was full.",
                PER_SECOND,
                Query(or_zero(expressions.rate(c.COMPLETION_DURATION, outcome="error"), done), "failed"),
                Query(or_zero(expressions.rate(c.COMPLETION_REJECTIONS), done), "rejected", line="dash"),
                width=6,
            ),
            timeseries(
                "completions-in-flight",
                "Concurrent completions",
                "Completions that run now, the peak of the last minute, the queue and the limit, of the busiest "
                "instance. The alert checks the peak.",
                Unit.COUNT,
                Query(expressions.gauge(c.COMPLETION_IN_FLIGHT_PEAK, how="max"), "peak"),
                Query(expressions.gauge(c.COMPLETION_IN_FLIGHT, how="max"), "now", line="dash"),
                Query(expressions.gauge(c.COMPLETION_QUEUE_DEPTH, how="max"), "queued", line="dot"),
                Query(expressions.gauge(c.COMPLETION_LIMIT, how="max"), "limit", color=RED, line="dash"),
                steps=zones(limit("concurrent_completions")),
                width=6,
            ),
            timeseries(
                "completions-rate",
                "Episodes",
                "Episodes created and completed per second. If more are created than completed for long, work piles "
                "up.",
                PER_SECOND,
                Query(expressions.rate(c.EPISODE_CREATED), "created"),
                Query(expressions.rate(c.COMPLETION_DURATION, outcome="ok"), "completed", line="dash"),
                width=6,
            ),
            timeseries(
                "completions-latency",
                "Completion latency",
                "Time to complete an episode, including the wait for a permit.",
                Unit.SECONDS,
                *expressions.quantiles(c.COMPLETION_DURATION),
                width=6,
            ),
        ],
    )
