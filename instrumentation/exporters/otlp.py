"""Push snapshots to an OpenTelemetry endpoint with OpenTelemetry's own exporters.

The exporters ignore their timeout argument and may retry for a minute; so they run in a thread of ours, and nobody
who waits for that thread waits longer than was agreed. Needs the packages of `mnemoscope[otlp]`.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

try:
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value
    from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("OTLP export needs OpenTelemetry: pip install 'mnemoscope[otlp]'") from error

from .app import SnapshotFunction, call, warn
from .otlp_data import Baseline, baseline, metrics_data, start

HTTP, GRPC = "http/protobuf", "grpc"
DEFAULT_INTERVAL = 10.0
_EXPORTERS = {
    HTTP: "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    GRPC: "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
}
_DELTA_PREFERENCES = ("delta", "lowmemory")
_METRICS_PATH = "/v1/metrics"


class _Exporter(Protocol):
    def export(self, metrics_data: MetricsData) -> MetricExportResult: ...

    def shutdown(self) -> None: ...


class OtlpPusher:
    """Pushes a snapshot every `interval` seconds from a daemon thread, and once more when it is closed.

    What is not given comes from the standard environment variables: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, _PROTOCOL,
    _HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE and so on, or the same without METRICS_; OTEL_METRIC_EXPORT_INTERVAL;
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.

    A failed push raises nothing and loses nothing: totals are sent again, and a delta counts from the last
    push that succeeded. A forked child pushes too, as an instance of its own, on a new connection; gRPC asks that
    `GRPC_ENABLE_FORK_SUPPORT=1` is set for that.

    Args:
        snapshot: called once a push, in the pusher's thread.
        endpoint: for HTTP a URL, to which `/v1/metrics` is added if it has no path; for gRPC a URL or host:port.
        protocol: `http/protobuf` (default) or `grpc`.
        interval: seconds between pushes.
        timeout: seconds the exporter may spend on one push, its retries included.
        headers: sent with each push, for authentication.
        resource_attributes: what describes this instance, such as `service.name`.
        on_export: called with `ok` or `error` after each push.
        on_scrape: called with `otlp` and the seconds that collecting took, before each push.

    Raises:
        ValueError: an unknown protocol, or an interval that is not positive.
        ModuleNotFoundError: the exporter's package is not installed.
    """

    _closing: bool
    _closed: bool
    _thread: threading.Thread

    def __init__(
        self,
        snapshot: SnapshotFunction,
        endpoint: str | None = None,
        protocol: str | None = None,
        interval: float | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        resource_attributes: Mapping[str, str] | None = None,
        *,
        on_export: Callable[[str], None] | None = None,
        on_scrape: Callable[[str, float], None] | None = None,
    ) -> None:
        self.protocol = protocol or _environment("PROTOCOL") or HTTP
        if self.protocol not in _EXPORTERS:
            raise ValueError(f"OTLP protocol {self.protocol!r} is unknown; use one of {', '.join(_EXPORTERS)}")
        self.interval = _interval() if interval is None else interval
        if self.interval <= 0:
            raise ValueError(f"OTLP interval {self.interval} is not a positive number of seconds")
        self._snapshot = snapshot
        self._endpoint = _complete(endpoint, self.protocol)
        self._timeout = timeout
        self._headers = dict(headers) if headers else None
        self._attributes = dict(resource_attributes or {})
        self._on_export = on_export
        self._on_scrape = on_scrape
        self._delta = _environment("TEMPORALITY_PREFERENCE").lower() in _DELTA_PREFERENCES
        self._make_exporter: Callable[..., _Exporter] = _exporter_class(self.protocol)
        self._begin()
        atexit.register(self.close)

    def flush(self, timeout: float = 10.0) -> bool:
        """Push now; True if the endpoint took it within `timeout` seconds. A push under way is waited for first."""
        with self._changed:
            return not self._closing and self._push_within(timeout)

    def close(self, timeout: float = 5.0) -> bool:
        """Push once more and stop, within about `timeout` seconds; True if that push succeeded in time."""
        atexit.unregister(self.close)
        deadline = time.monotonic() + timeout
        with self._changed:
            if self._closing:
                return False
            self._closing = True
            succeeded = self._push_within(timeout)
            self._closed = True
            self._changed.notify_all()
        # This also ends a wait for a retry. Should the thread hang on regardless, it is a daemon.
        if self._exporter is not None:
            call(self._exporter.shutdown)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return succeeded

    def _push_within(self, timeout: float) -> bool:
        self._wanted += 1
        ticket = self._wanted
        self._changed.notify_all()
        return self._changed.wait_for(lambda: self._done >= ticket, timeout) and self._succeeded

    # In the pusher's thread -----------------------------------------------------------------------

    def _begin(self) -> None:
        """Start from nothing, at first and again in a forked child."""
        self._changed = threading.Condition()
        self._wanted = self._done = 0
        self._succeeded = False
        self._closing = self._closed = False
        self._exporter: _Exporter | None = None
        self._delivered: Baseline | None = None
        self._thread = threading.Thread(target=self._run, name="mnemoscope-otlp", daemon=True)
        self._thread.start()
        _pushers.add(self)

    def _run(self) -> None:
        # Else a host that instruments its HTTP client would trace our pushes.
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        due = time.monotonic() + self.interval
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._closed or self._wanted > self._done, max(0.0, due - time.monotonic())
                )
                if self._closed:
                    return
                ticket = self._wanted
            succeeded = self._push()
            # The next multiple of the interval that is still to come: a flush does not put the regular pushes off.
            now = time.monotonic()
            due = now + self.interval - (now - due) % self.interval
            with self._changed:
                self._done, self._succeeded = ticket, succeeded
                self._changed.notify_all()

    def _push(self) -> bool:
        try:
            succeeded = self._export()
        except Exception as error:
            warn("a push to the OTLP endpoint failed", error=error)
            succeeded = False
        call(self._on_export, "ok" if succeeded else "error")
        return succeeded

    def _export(self) -> bool:
        if self._exporter is None:
            # What tells instances apart comes first, so that the environment and the caller overrule it.
            self._resource = Resource({"service.instance.id": str(uuid4())}).merge(
                Resource.create({**self._attributes})
            )
            self._exporter = self._make_exporter(endpoint=self._endpoint, headers=self._headers, timeout=self._timeout)
        started = time.perf_counter()
        snapshot = self._snapshot()
        since = (self._delivered or start(snapshot)) if self._delta else None
        data = metrics_data(snapshot, self._resource, _SCOPE, since)
        call(self._on_scrape, "otlp", time.perf_counter() - started)
        if self._exporter.export(data) is not MetricExportResult.SUCCESS:
            return False
        if self._delta:
            self._delivered = baseline(snapshot)
        return True


def _complete(endpoint: str | None, protocol: str) -> str | None:
    if endpoint is None or protocol != HTTP or urlsplit(endpoint).path not in ("", "/"):
        return endpoint
    return endpoint.rstrip("/") + _METRICS_PATH


def _environment(name: str) -> str:
    """A standard variable, the one for metrics before the one for all signals."""
    for prefix in ("OTEL_EXPORTER_OTLP_METRICS_", "OTEL_EXPORTER_OTLP_"):
        if value := os.environ.get(prefix + name, "").strip():
            return value
    return ""


def _interval() -> float:
    """The interval in seconds; the standard variable holds milliseconds, and nonsense in it must not stop a service."""
    try:
        milliseconds = float(os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", ""))
    except ValueError:
        return DEFAULT_INTERVAL
    return milliseconds / 1000 if milliseconds > 0 else DEFAULT_INTERVAL


def _exporter_class(protocol: str) -> Any:
    try:
        return import_module(_EXPORTERS[protocol]).OTLPMetricExporter
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"OTLP over {protocol} needs its exporter: pip install 'mnemoscope[otlp]'") from error


def _scope() -> InstrumentationScope:
    try:
        return InstrumentationScope("mnemoscope", version("mnemoscope"))
    except PackageNotFoundError:
        return InstrumentationScope("mnemoscope")


_SCOPE = _scope()
_pushers: weakref.WeakSet[OtlpPusher] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for pusher in list(_pushers):
        if not pusher._closing:
            pusher._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
