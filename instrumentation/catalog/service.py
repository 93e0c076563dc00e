"""The service around the memory: requests, limits, process, rollout, and the instrumentation itself."""

from __future__ import annotations

from typing import get_args

from .declare import AKI, BYTES, M17, MAX, MIN, MNEMOSCOPE, PLAN, SECONDS, SLM, counter, gauge, histogram
from .labels import OUTCOME, ROUTE, STAGE, TRACK, AuthenticationOutcome, DropReason, InputLimit, ShutdownPhase
from .model import Label

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10)
_METRIC = Label("metric", "name of the metric", example="lock.wait.duration")
_PHASE = Label("phase", "moment of the shutdown", get_args(ShutdownPhase))

REQUEST_DURATION = histogram(
    "request.duration",
    "Time to answer a request; an error is a fault of the service, never of the caller",
    labels=(ROUTE, OUTCOME),
    buckets=_REQUEST_BUCKETS,
    sources=(AKI, PLAN),
)
REQUEST_IN_FLIGHT = gauge("request.in_flight", "Requests whose answer is not complete yet", sources=(PLAN, SLM))
LIMIT_REJECTIONS = counter(
    "limit.rejections",
    "Inputs refused because they exceeded a limit",
    labels=(Label("limit", "the exceeded limit", get_args(InputLimit)),),
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
SERVICE_READY = gauge("service.ready", "1 while the service takes requests, else 0", sources=(AKI,), across=MIN)
SERVICE_SHUTDOWN_DURATION = gauge(
    "service.shutdown.duration", "Time that the graceful shutdown has taken", SECONDS, sources=(AKI,), across=MAX
)
SERVICE_SHUTDOWN_IN_FLIGHT = gauge(
    "service.shutdown.in_flight",
    "Requests in flight when the shutdown began and when it ended",
    labels=(_PHASE,),
    sources=(AKI,),
)
SERVICE_OPEN_FILES = gauge("service.open_files", "Open file descriptors of the process", sources=(AKI,), across=MAX)
SERVICE_MEMORY = gauge("service.memory", "Resident memory of the process", BYTES, sources=(AKI,))
SERVICE_MEMORY_LIMIT = gauge("service.memory.limit", "Memory limit of the process", BYTES, sources=(AKI,), across=MAX)
SERVICE_AUTHENTICATION_DURATION = histogram(
    "service.authentication.duration",
    "Time of one authentication",
    labels=(Label("outcome", "how the work ended", get_args(AuthenticationOutcome)),),
    buckets=_REQUEST_BUCKETS,
    sources=(AKI,),
)

ROLLOUT_INFO = gauge(
    "rollout.info",
    "Always 1; the labels name the release that the instance runs, and for which users",
    labels=(TRACK, STAGE, Label("version", "version of the service", example="1.4.0")),
    sources=(M17, SLM),
    across=MAX,
)
ROLLOUT_FEATURE_FLAG = gauge(
    "rollout.feature_flag",
    "1 while the instance has the flag on, else 0",
    labels=(Label("flag", "name of the flag", example="blended_recall"),),
    sources=(M17, SLM),
    across=MAX,
)

INSTRUMENTATION_DROPPED = counter(
    "instrumentation.dropped",
    "Recordings that were dropped instead of failing in the service",
    labels=(
        _METRIC,
        Label("reason", "why the recording was dropped", get_args(DropReason)),
    ),
    sources=(MNEMOSCOPE,),
)
INSTRUMENTATION_SERIES = gauge(
    "instrumentation.series", "Label sets in use, across all metrics", sources=(MNEMOSCOPE,), across=MAX
)
INSTRUMENTATION_SCRAPE_DURATION = histogram(
    "instrumentation.scrape.duration",
    "Time to collect and render one scrape",
    labels=(Label("format", "the rendered format, or otlp for a push", example="text"),),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
    sources=(MNEMOSCOPE,),
)
INSTRUMENTATION_EXPORTS = counter(
    "instrumentation.exports",
    "Pushes to an OTLP endpoint",
    labels=(Label("outcome", "how the work ended", ("ok", "error")),),
    sources=(MNEMOSCOPE,),
)
INSTRUMENTATION_FILES_REJECTED = counter(
    "instrumentation.files_rejected",
    "Files of multi-process mode, or metrics in them, that could not be read and were left out",
    labels=(
        Label(
            "reason",
            "why the file was rejected",
            ("empty", "foreign", "version", "truncated", "corrupt", "mismatch", "unreadable"),
        ),
    ),
    sources=(MNEMOSCOPE,),
)
