"""The service around the memory: requests, limits, process, rollout, and the instrumentation itself."""

from __future__ import annotations

from typing import get_args

from .declare import AKI, BYTES, M17, MAX, MIN, MNEMOSCOPE, PLAN, SECONDS, SLM, counter, gauge, histogram
from .labels import OUTCOME, ROUTE, STAGE, TRACK, AuthenticationOutcome, DropReason, InputLimit, ShutdownPhase
from .model import Label

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10)
_METRIC = Label("metric", "name of the metric or probe concerned", example="lock.wait.duration")
_PHASE = Label("phase", "moment of the shutdown", get_args(ShutdownPhase))

REQUEST_DURATION = histogram(
    "request.duration",
    "Time to answer a request; an error is the service's own fault, never the caller's",
    SECONDS,
    labels=(ROUTE, OUTCOME),
    buckets=_REQUEST_BUCKETS,
    sources=(AKI, PLAN),
)
REQUEST_IN_FLIGHT = gauge(
    "request.in_flight", "Requests that have arrived and are not yet answered to the last byte", sources=(PLAN, SLM)
)
LIMIT_REJECTIONS = counter(
    "limit.rejections",
    "Inputs refused because they passed a limit",
    labels=(Label("limit", "the limit that was passed", get_args(InputLimit)),),
    sources=(SLM, PLAN),
)
LIMIT_QUOTA_EXCEEDED = counter(
    "limit.quota_exceeded",
    "Requests refused because a quota was used up",
    labels=(Label("quota", "name of the quota", example="episodes_per_day"),),
    sources=(PLAN,),
)
LIMIT_RATE_LIMITED = counter("limit.rate_limited", "Requests refused because they came too fast", sources=(PLAN,))
SERVICE_UPTIME = gauge("service.uptime", "Time since the process was instrumented", SECONDS, sources=(AKI,), across=MAX)
SERVICE_READY = gauge(
    "service.ready", "One when the service takes requests, zero when it does not", sources=(AKI,), across=MIN
)
SERVICE_SHUTDOWN_DURATION = gauge(
    "service.shutdown.duration",
    "Time the graceful shutdown has taken, to its end once it ended",
    SECONDS,
    sources=(AKI,),
    across=MAX,
)
SERVICE_SHUTDOWN_IN_FLIGHT = gauge(
    "service.shutdown.in_flight",
    "Requests in flight when the shutdown began and when it ended",
    labels=(_PHASE,),
    sources=(AKI,),
)
SERVICE_OPEN_FILES = gauge("service.open_files", "File descriptors the process has open", sources=(AKI,), across=MAX)
SERVICE_MEMORY = gauge("service.memory", "Resident memory of the process", BYTES, sources=(AKI,))
SERVICE_MEMORY_LIMIT = gauge("service.memory.limit", "Memory the process may use", BYTES, sources=(AKI,), across=MAX)
SERVICE_AUTHENTICATION_DURATION = histogram(
    "service.authentication.duration",
    "Time of one authentication",
    SECONDS,
    labels=(Label("outcome", "how it ended", get_args(AuthenticationOutcome)),),
    buckets=_REQUEST_BUCKETS,
    sources=(AKI,),
)

ROLLOUT_INFO = gauge(
    "rollout.info",
    "Always one; its labels say which release the instance runs and for whom",
    labels=(TRACK, STAGE, Label("version", "version of the service", example="1.4.0")),
    sources=(M17, SLM),
    across=MAX,
)
ROLLOUT_FEATURE_FLAG = gauge(
    "rollout.feature_flag",
    "One when the instance has the flag on, zero when it has it off",
    labels=(Label("flag", "name of the flag", example="blended_recall"),),
    sources=(M17, SLM),
    across=MAX,
)

INSTRUMENTATION_DROPPED = counter(
    "instrumentation.dropped",
    "Recordings that were refused, so that the host was spared",
    labels=(
        _METRIC,
        Label("reason", "why it was refused", get_args(DropReason)),
    ),
    sources=(MNEMOSCOPE,),
)
INSTRUMENTATION_SERIES = gauge(
    "instrumentation.series", "Label sets in use, over all metrics", sources=(MNEMOSCOPE,), across=MAX
)
INSTRUMENTATION_SCRAPE_DURATION = histogram(
    "instrumentation.scrape.duration",
    "Time to collect and render one scrape",
    SECONDS,
    labels=(Label("format", "format of the scrape, or otlp for a push", example="text"),),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
    sources=(MNEMOSCOPE,),
)
INSTRUMENTATION_EXPORTS = counter(
    "instrumentation.exports",
    "Pushes to an OTLP endpoint",
    labels=(Label("outcome", "how it ended", ("ok", "error")),),
    sources=(MNEMOSCOPE,),
)
INSTRUMENTATION_FILES_REJECTED = counter(
    "instrumentation.files_rejected",
    "Files of multi-process mode, or metrics in them, that could not be used and were left out",
    labels=(
        Label(
            "reason",
            "what was wrong with it",
            ("empty", "foreign", "version", "truncated", "corrupt", "mismatch", "unreadable"),
        ),
    ),
    sources=(MNEMOSCOPE,),
)
