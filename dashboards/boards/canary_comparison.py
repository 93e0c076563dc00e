"""Stable and canary side by side: the board that a release lead reads before the next stage.

All panels read records by release track. A track of one instance and a track of fifty are compared by their rates and
merged buckets.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from mnemoscope import promql
from mnemoscope.alerts import record_names
from mnemoscope.instrumentation import catalog as c
from mnemoscope.instrumentation.catalog import Metric, Unit
from mnemoscope.model.settings import Settings
from mnemoscope.promql import Matcher, Part

from ..board import Board, Section, assemble
from ..expressions import Expressions, or_zero, share
from ..panels.constructors import stat, state_timeline, table, text, timeseries
from ..panels.query import Query
from ..panels.style import BLUE, GREEN, ORANGE, PER_SECOND, QUANTILE_LINES, RED, YELLOW, Line, ThresholdStep, limits

UID = "canary-comparison"

WARN = Decimal("0.1")
FAIL = Decimal("0.25")

# Colour and line style of each track.
_TRACKS: dict[str, tuple[str, Line]] = {"stable": (BLUE, "solid"), "canary": (ORANGE, "dash")}

# What is compared: key, title, metric, name of one event.
_COMPARED: tuple[tuple[str, str, Metric, str], ...] = (
    ("request", "Requests", c.REQUEST_DURATION, "request"),
    ("recall", "Recall", c.RECALL_DURATION, "recall"),
    ("index-write", "Index writes", c.INDEX_WRITE_DURATION, "index write"),
    ("completion", "Completions", c.COMPLETION_DURATION, "completion"),
    ("storage", "Storage", c.STORAGE_OPERATION_DURATION, "storage operation"),
)

_GUIDE = """\
**Blue is stable. Orange and dashed is canary.** A change compares canary with stable: at +10 % hold the stage, at
+25 % roll back. Wait until the warm-up is over and both tracks have traffic. If only one panel moves, look for the
cause before you decide. `mnemoscope gate` gives the verdict with its statistics.
"""


def build(settings: Settings) -> Board:
    """Return the board for one site."""
    tracks = Tracks(Expressions(settings))
    return assemble(
        settings,
        UID,
        "Latency, throughput, errors and quality of the canary against stable.",
        [
            _verdict(tracks),
            _rollout(tracks.expressions),
            *(_comparison(tracks, *row) for row in _COMPARED),
            _quality(tracks),
        ],
    )


class Tracks:
    """Expressions over the records by release track."""

    def __init__(self, expressions: Expressions) -> None:
        self.expressions = expressions

    def sum(self, metric: Metric, track: str, part: Part = "", keep: tuple[str, ...] = (), **equals: str) -> str:
        """Return the recorded rate of one track."""
        wanted = {"track": track, **equals}
        name = record_names.by_track(self.expressions.settings, metric, part)
        selected = self.expressions.record(name, *(Matcher(label, "=", value) for label, value in wanted.items()))
        return promql.by(keep, selected) if keep else f"sum({selected})"

    def errors(self, metric: Metric, track: str) -> str:
        """Return the share of events that failed, or 0 if there were no events."""
        return share(self.sum(metric, track, "count", outcome="error"), self.sum(metric, track, "count"))

    def quantile(self, q: float, metric: Metric, track: str) -> str:
        """Return a latency quantile of one track."""
        return promql.quantile(q, self.sum(metric, track, "bucket", keep=("le",)))

    def mean(self, metric: Metric, track: str) -> str:
        """Return the mean of the observations of one track."""
        return promql.ratio(self.sum(metric, track, "sum"), self.sum(metric, track, "count"))

    def hits(self, track: str) -> str:
        """Return the cache hit ratio of one track."""
        hits, lookups = self.sum(c.CACHE_LOOKUPS, track, result="hit"), self.sum(c.CACHE_LOOKUPS, track)
        return promql.ratio(f"({or_zero(hits, lookups)})", lookups)


def _change(canary: str, stable: str) -> str:
    """Return the relative change from stable to canary: 0.1 is 10 % more."""
    return f"{promql.ratio(canary, stable)} - 1"


def _both(make: Callable[[str], str], legend: str) -> list[Query]:
    return [
        Query(make(track), legend.format(track=track), color=color, line=line)
        for track, (color, line) in _TRACKS.items()
    ]


def _verdict(tracks: Tracks) -> Section:
    errors = tracks.expressions.settings.threshold("storage_error_ratio")
    return Section(
        "Canary against stable",
        [
            text(
                "canary-guide", "How to read this board", "Colours, limits, and where the verdict is.", _GUIDE, rows=4
            ),
            timeseries(
                "canary-error-change",
                "Error ratio, canary minus stable",
                "Error ratio of canary minus error ratio of stable. The dashed lines are the limits of the rollout "
                "plan for failures.",
                Unit.RATIO,
                *_error_differences(tracks),
                steps=limits(errors.yellow, errors.red),
                signed=True,
            ),
            timeseries(
                "canary-quality-change",
                "Quality, change",
                "Change of concept quality, diversity and cache hits. A fall is a regression.",
                Unit.RATIO,
                *_quality_changes(tracks),
                # A fall is the regression here.
                steps=(ThresholdStep(RED), ThresholdStep(YELLOW, -float(FAIL)), ThresholdStep(GREEN, -float(WARN))),
                signed=True,
            ),
            timeseries(
                "canary-latency-change",
                "Latency p99, change",
                "Change of p99 of each kind of work. The dashed lines are +10 % and +25 %.",
                Unit.RATIO,
                *_latency_changes(tracks),
                steps=limits(WARN, FAIL),
                signed=True,
            ),
        ],
    )


def _error_differences(tracks: Tracks) -> list[Query]:
    return [
        Query(f"({tracks.errors(metric, 'canary')}) - ({tracks.errors(metric, 'stable')})", title, line=line)
        for (_, title, metric, _), line in zip(_COMPARED, _DISTINCT, strict=True)
    ]


def _latency_changes(tracks: Tracks) -> list[Query]:
    return [
        Query(_change(*(tracks.quantile(0.99, metric, track) for track in ("canary", "stable"))), title, line=line)
        for (_, title, metric, _), line in zip(_COMPARED, _DISTINCT, strict=True)
    ]


def _quality_changes(tracks: Tracks) -> list[Query]:
    def mean(metric: Metric) -> str:
        return _change(tracks.mean(metric, "canary"), tracks.mean(metric, "stable"))

    return [
        Query(mean(c.CONCEPT_QUALITY), "concept quality", line="solid"),
        Query(mean(c.RECALL_DIVERSITY), "recall diversity", line="dash"),
        Query(_change(tracks.hits("canary"), tracks.hits("stable")), "cache hit ratio", line="dot"),
    ]


# Line styles of the kinds of work that one panel compares.
_DISTINCT: tuple[Line, ...] = ("solid", "dash", "dot", "solid", "dash")


def _rollout(expressions: Expressions) -> Section:
    released = expressions.live.series(c.ROLLOUT_INFO)
    on = {"0": ("off", BLUE), "0.5": ("differs", RED), "1": ("on", GREEN)}
    flags = expressions.gauge(c.ROLLOUT_FEATURE_FLAG, "flag", how="avg")
    # If instances disagree, the mean lies between 0 and 1. It is shown as one state, 0.5.
    agreed = f"({flags} == 0) or ({flags} == 1) or (0.5 + 0 * {flags})"
    return Section(
        "Rollout",
        [
            table(
                "rollout-instances",
                "Releases",
                "Which version runs on which track, at which stage, on how many instances.",
                Unit.COUNT,
                Query(promql.by(("track", "stage", "version"), released, "count"), ""),
                columns={"track": "Track", "stage": "Stage (% of users)", "version": "Version", "Value": "Instances"},
                width=10,
                rows=7,
            ),
            stat(
                "rollout-share",
                "Canary's share of requests",
                "Share of the requests that canary answers. Compare it with the stage.",
                Unit.RATIO,
                Query(_canary_share(expressions), "canary"),
                width=4,
            ),
            state_timeline(
                "rollout-flags",
                "Feature flags",
                "State of each flag over all instances. After a change, all instances must agree within seconds.",
                Unit.COUNT,
                Query(agreed, "{{flag}}"),
                steps=(ThresholdStep(BLUE), ThresholdStep(RED, 0.25), ThresholdStep(GREEN, 0.75)),
                texts=on,
                width=10,
                rows=7,
            ),
        ],
    )


def _canary_share(expressions: Expressions) -> str:
    name = record_names.by_track(expressions.settings, c.REQUEST_DURATION, "count")
    return share(
        f"sum({expressions.record(name, Matcher('track', '=', 'canary'))})", f"sum({expressions.record(name)})"
    )


def _comparison(tracks: Tracks, key: str, title: str, metric: Metric, event: str) -> Section:
    quantiles = [
        Query(tracks.quantile(q, metric, track), f"{track} p{q * 100:g}", color=color, line=line)
        for q, line in QUANTILE_LINES.items()
        for track, (color, _) in _TRACKS.items()
    ]
    return Section(
        title,
        [
            timeseries(
                f"canary-{key}-errors",
                f"{title}: errors",
                f"Share of events ({event}) that failed, by track.",
                Unit.RATIO,
                *_both(lambda track: tracks.errors(metric, track), "{track}"),
            ),
            timeseries(
                f"canary-{key}-rate",
                f"{title}: throughput",
                f"Events ({event}) per second, by track. Compare them with the share of users that the stage gives "
                "canary.",
                PER_SECOND,
                *_both(lambda track: tracks.sum(metric, track, "count"), "{track}"),
            ),
            timeseries(
                f"canary-{key}-latency",
                f"{title}: latency",
                f"Time of one {event} at p50 (dotted), p95 (dashed) and p99, by track.",
                Unit.SECONDS,
                *quantiles,
            ),
        ],
    )


def _quality(tracks: Tracks) -> Section:
    return Section(
        "Quality",
        [
            timeseries(
                "canary-concept-quality",
                "Concept quality, mean",
                "Mean quality of the concepts that were formed, by track.",
                Unit.RATIO,
                *_both(lambda track: tracks.mean(c.CONCEPT_QUALITY, track), "{track}"),
                maximum=1,
            ),
            timeseries(
                "canary-diversity",
                "Recall diversity, mean",
                "Mean diversity of the results of one recall, by track.",
                Unit.RATIO,
                *_both(lambda track: tracks.mean(c.RECALL_DIVERSITY, track), "{track}"),
                maximum=1,
            ),
            timeseries(
                "canary-cache",
                "Cache hit ratio",
                "Share of cache lookups that hit, by track. A canary that started recently has a cold cache.",
                Unit.RATIO,
                *_both(tracks.hits, "{track}"),
                maximum=1,
            ),
        ],
    )
