"""The service around the memory: requests, limits, process, rollout, and the instrumentation itself."""

from __future__ import annotations

from typing import get_args

from .labels import OUTCOME, ROUTE, STAGE, TRACK, AuthenticationOutcome, DropReason, InputLimit, ShutdownPhase
from .model import Across, Area, Kind, Label, Metric, Source, Unit

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10)
_METRIC = Label("metric", "name of the metric or probe concerned", example="lock.wait.duration")
_PHASE = Label("phase", "moment of the shutdown", get_args(ShutdownPhase))

REQUEST_DURATION = Metric(
    "request.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time to answer a request; an error is the service's own fault, never the caller's",
    Area.SERVICE,
    (ROUTE, OUTCOME),
    _REQUEST_BUCKETS,
    (Source.AKI, Source.PLAN),
)
REQUESTS_IN_FLIGHT = Metric(
    "request.in_flight",
    Kind.GAUGE,
    Unit.COUNT,
    "Requests that have arrived and are not yet answered to the last byte",
    Area.SERVICE,
    (),
    (),
    (Source.PLAN, Source.SLM),
)
INPUT_REJECTED = Metric(
    "limit.rejections",
    Kind.COUNTER,
    Unit.COUNT,
    "Inputs refused because they passed a limit",
    Area.LIMITS,
    (Label("limit", "the limit that was passed", get_args(InputLimit)),),
    (),
    (Source.SLM, Source.PLAN),
)
QUOTA_EXCEEDED = Metric(
    "limit.quota.exceeded",
    Kind.COUNTER,
    Unit.COUNT,
    "Requests refused because a quota was used up",
    Area.LIMITS,
    (Label("quota", "name of the quota", example="episodes_per_day"),),
    (),
    (Source.PLAN,),
)
RATE_LIMITED = Metric(
    "limit.rate.limited",
    Kind.COUNTER,
    Unit.COUNT,
    "Requests refused because they came too fast",
    Area.LIMITS,
    (),
    (),
    (Source.PLAN,),
)
UPTIME = Metric(
    "service.uptime",
    Kind.GAUGE,
    Unit.SECONDS,
    "Time since the process was instrumented",
    Area.SERVICE,
    (),
    (),
    (Source.AKI,),
    across=Across.MAX,
)
READY = Metric(
    "service.ready",
    Kind.GAUGE,
    Unit.COUNT,
    "One when the service takes requests, zero when it does not",
    Area.SERVICE,
    (),
    (),
    (Source.AKI,),
    across=Across.MIN,
)
SHUTDOWN_DURATION = Metric(
    "service.shutdown.duration",
    Kind.GAUGE,
    Unit.SECONDS,
    "Time the graceful shutdown has taken, to its end once it ended",
    Area.SERVICE,
    (),
    (),
    (Source.AKI,),
    across=Across.MAX,
)
SHUTDOWN_IN_FLIGHT = Metric(
    "service.shutdown.in.flight",
    Kind.GAUGE,
    Unit.COUNT,
    "Requests in flight when the shutdown began and when it ended",
    Area.SERVICE,
    (_PHASE,),
    (),
    (Source.AKI,),
)
OPEN_FILES = Metric(
    "service.open.files",
    Kind.GAUGE,
    Unit.COUNT,
    "File descriptors the process has open",
    Area.SERVICE,
    (),
    (),
    (Source.AKI,),
    across=Across.MAX,
)
MEMORY_USED = Metric(
    "service.memory",
    Kind.GAUGE,
    Unit.BYTES,
    "Resident memory of the process",
    Area.SERVICE,
    (),
    (),
    (Source.AKI,),
)
MEMORY_LIMIT = Metric(
    "service.memory.limit",
    Kind.GAUGE,
    Unit.BYTES,
    "Memory the process may use",
    Area.SERVICE,
    (),
    (),
    (Source.AKI,),
    across=Across.MAX,
)
AUTHENTICATION = Metric(
    "service.authentication.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time of one authentication",
    Area.SERVICE,
    (Label("outcome", "how it ended", get_args(AuthenticationOutcome)),),
    _REQUEST_BUCKETS,
    (Source.AKI,),
)

ROLLOUT_INFO = Metric(
    "rollout.info",
    Kind.GAUGE,
    Unit.COUNT,
    "Always one; its labels say which release the instance runs and for whom",
    Area.ROLLOUT,
    (TRACK, STAGE, Label("version", "version of the service", example="1.4.0")),
    (),
    (Source.M17, Source.SLM),
    across=Across.MAX,
)
FEATURE_FLAG = Metric(
    "rollout.feature.flag",
    Kind.GAUGE,
    Unit.COUNT,
    "One when the instance has the flag on, zero when it has it off",
    Area.ROLLOUT,
    (Label("flag", "name of the flag", example="blended_recall"),),
    (),
    (Source.M17, Source.SLM),
    across=Across.MAX,
)

SELF_DROPPED = Metric(
    "instrumentation.dropped",
    Kind.COUNTER,
    Unit.COUNT,
    "Recordings that were refused, so that the host was spared",
    Area.SELF,
    (
        _METRIC,
        Label("reason", "why it was refused", get_args(DropReason)),
    ),
    (),
    (Source.MNEMOSCOPE,),
)
SELF_SERIES = Metric(
    "instrumentation.series",
    Kind.GAUGE,
    Unit.COUNT,
    "Label sets in use, over all metrics",
    Area.SELF,
    (),
    (),
    (Source.MNEMOSCOPE,),
    across=Across.MAX,
)
SELF_SCRAPE = Metric(
    "instrumentation.scrape.duration",
    Kind.HISTOGRAM,
    Unit.SECONDS,
    "Time to collect and render one scrape",
    Area.SELF,
    (Label("format", "what was rendered", ("text", "openmetrics", "json", "otlp")),),
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
    (Source.MNEMOSCOPE,),
)
SELF_EXPORTS = Metric(
    "instrumentation.exports",
    Kind.COUNTER,
    Unit.COUNT,
    "Pushes to an OTLP endpoint",
    Area.SELF,
    (Label("outcome", "how it ended", ("ok", "error")),),
    (),
    (Source.MNEMOSCOPE,),
)
SELF_FILES_REJECTED = Metric(
    "instrumentation.files.rejected",
    Kind.COUNTER,
    Unit.COUNT,
    "Files of multi-process mode, or metrics in them, that could not be used and were left out",
    Area.SELF,
    (
        Label(
            "reason",
            "what was wrong with it",
            ("empty", "foreign", "version", "truncated", "corrupt", "mismatch", "unreadable"),
        ),
    ),
    (),
    (Source.MNEMOSCOPE,),
)
