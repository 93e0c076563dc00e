"""Push snapshots to an OpenTelemetry endpoint with OpenTelemetry's own exporters.

The exporters ignore their timeout argument and may retry for a minute; so they run in a thread of ours, and a
caller that waits for it waits no longer than was agreed. Needs the packages of `mnemoscope[otlp]`.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import util as multiprocessing_util
from typing import Any, Protocol

try:
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value
    from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("OTLP export needs OpenTelemetry: pip install 'mnemoscope[otlp]'") from error

from ...recording.snapshot import Snapshot
from ..failures import call_safely, log_warning
from .data import Baseline, baseline, metrics_data, start
from .resource import forked, resource
from .settings import GRPC, HTTP, settings

_FORK_PATIENCE = 0.1
"""Seconds that a fork waits for a push over gRPC to end."""
_EXPORTERS = {
    HTTP: "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    GRPC: "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
}


class _Exporter(Protocol):
    def export(self, metrics_data: MetricsData) -> MetricExportResult: ...

    def shutdown(self) -> None: ...


class OtlpPusher:
    """Pushes a snapshot every `interval` seconds from a daemon thread, and once more when it is closed or at exit.

    What is not given comes from the standard environment variables: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, _PROTOCOL,
    _HEADERS, _TIMEOUT, _INSECURE, _COMPRESSION, _CERTIFICATE and so on, or the same without METRICS_;
    OTEL_METRIC_EXPORT_INTERVAL; OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE; OTEL_SERVICE_NAME and
    OTEL_RESOURCE_ATTRIBUTES. Nonsense in one of them is a warning in the log. Without a name of the service, it is that
    of the program.

    A failed push raises nothing and loses nothing: totals are sent again, and a delta counts from the last
    push that succeeded. What is left is pushed, for at most five seconds, when a script ends in whichever way, and when
    a child of `os.fork` or `multiprocessing` does. A process that is killed, or that calls `os._exit` itself, cannot be
    caught: call `flush` before.

    A forked child pushes too, on a new connection, as an instance of its own with its own `service.instance.id`. Over
    gRPC a fork waits up to a tenth of a second for a push under way. One that takes longer leaves the child unable to
    push, or, with `GRPC_ENABLE_FORK_SUPPORT=1`, hanging within gRPC: leave that unset, and use HTTP where much is
    forked.

    Args:
        snapshot: called once a push, in the pusher's thread.
        endpoint: for HTTP a URL, to which `/v1/metrics` is added if it has no path; for gRPC a URL or host:port.
        protocol: `http/protobuf` (default) or `grpc`.
        interval: seconds between pushes.
        timeout: seconds the exporter may spend on one push, its retries included.
        headers: sent with each push, for authentication.
        resource_attributes: what describes this instance, such as `service.name`.
        insecure: for a gRPC endpoint that is no URL, whether to do without TLS.
        on_export: called with `ok` or `error` after each push.
        on_scrape: called with `otlp` and the seconds that collecting took, before each push.

    Raises:
        ValueError: an argument that is no use; the message says what is expected.
        TypeError: an endpoint that is no string, headers or attributes that are no mapping.
        ModuleNotFoundError: the exporter's package is not installed.
    """

    _closing: bool
    _closed: bool
    _thread: threading.Thread

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        endpoint: str | None = None,
        protocol: str | None = None,
        interval: float | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        resource_attributes: Mapping[str, str] | None = None,
        insecure: bool | None = None,
        *,
        on_export: Callable[[str], None] | None = None,
        on_scrape: Callable[[str, float], None] | None = None,
    ) -> None:
        self._settings = settings(endpoint, protocol, interval, timeout, headers, insecure)
        self.protocol, self.interval = self._settings.protocol, self._settings.interval
        self._snapshot = snapshot
        self._on_export = on_export
        self._on_scrape = on_scrape
        self._make_exporter: Callable[[], _Exporter] = partial(
            _exporter_class(self.protocol), **self._settings.exporter
        )
        self._complained = False
        self._resource = resource(resource_attributes)
        self._reset()
        if self.protocol == HTTP:
            # This imports modules, and a fork that interrupts an import in our thread leaves the child without them.
            # gRPC starts threads of its own, which no fork copies: it is left until the first push.
            self._connected()
        self._start()

    def flush(self, timeout: float = 10.0) -> bool:
        """Push now; True if the endpoint took it within `timeout` seconds. A push under way is waited for first."""
        with self._changed:
            return not self._closing and self._push_within(min(timeout, threading.TIMEOUT_MAX))

    def close(self, timeout: float = 5.0) -> bool:
        """Push once more and stop, within about `timeout` seconds; True if that push succeeded in time."""
        timeout = min(timeout, threading.TIMEOUT_MAX)
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
            call_safely(self._exporter.shutdown)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return succeeded

    def _push_within(self, timeout: float) -> bool:
        self._wanted += 1
        ticket = self._wanted
        self._changed.notify_all()
        return self._changed.wait_for(lambda: self._done >= ticket, timeout) and self._succeeded

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._wanted = self._done = 0
        self._succeeded = False
        self._closing = self._closed = False
        self._exporter: _Exporter | None = None
        self._delivered: Baseline | None = None
        self._sending = threading.Lock()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="mnemoscope-otlp", daemon=True)
        self._thread.start()
        _pushers.add(self)

    def _after_fork(self) -> None:
        """Start from nothing, as an instance of its own."""
        self._resource = forked(self._resource)
        self._reset()
        self._start()

    def _connected(self) -> _Exporter | None:
        """Return the exporter, made at the first call; None where the environment makes it impossible."""
        if self._exporter is None and self._settings.usable:
            try:
                self._exporter = self._make_exporter()
            except Exception as error:
                if not self._complained:
                    log_warning("nothing is pushed to OTLP: %s: %s", type(error).__name__, error)
                self._complained = True
        return self._exporter

    # In the pusher's thread -----------------------------------------------------------------------

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
            log_warning("a push to the OTLP endpoint failed", error=error)
            succeeded = False
        call_safely(self._on_export, "ok" if succeeded else "error")
        return succeeded

    def _export(self) -> bool:
        exporter = self._connected()
        if exporter is None:
            return False
        started = time.perf_counter()
        snapshot = self._snapshot()
        since = (self._delivered or start(snapshot)) if self._settings.delta else None
        data = metrics_data(snapshot, self._resource, _SCOPE, since)
        call_safely(self._on_scrape, "otlp", time.perf_counter() - started)
        with self._sending:
            if exporter.export(data) is not MetricExportResult.SUCCESS:
                return False
        if self._settings.delta:
            self._delivered = baseline(snapshot)
        return True


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
_paused: dict[int, list[OtlpPusher]] = {}  # while a thread forks, by its number


def _close_all() -> None:
    for pusher in list(_pushers):
        pusher.close()


def _close_all_in_multiprocessing(*_: object) -> None:
    multiprocessing_util.Finalize(None, _close_all, exitpriority=0)


def _before_fork() -> None:
    # A child that is forked in the middle of a call of gRPC can never call it itself.
    _paused[threading.get_ident()] = [
        pusher
        for pusher in list(_pushers)
        if pusher.protocol == GRPC and pusher._sending.acquire(timeout=_FORK_PATIENCE)
    ]


def _after_fork_in_parent() -> None:
    for pusher in _paused.pop(threading.get_ident(), ()):
        pusher._sending.release()


def _after_fork_in_child() -> None:
    _paused.clear()
    for pusher in list(_pushers):
        if not pusher._closing:
            pusher._after_fork()


atexit.register(_close_all)
# A child of multiprocessing may end without atexit, and forgets the finalizers it has inherited.
_close_all_in_multiprocessing()
multiprocessing_util.register_after_fork(_pushers, _close_all_in_multiprocessing)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
