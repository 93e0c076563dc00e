"""The pusher, which sends snapshots to an OpenTelemetry endpoint with OpenTelemetry's own exporters.

The exporters ignore their timeout argument and may retry for a minute. So they run in the pusher's thread, and a caller
waits no longer than its own timeout. The module needs the packages of `mnemoscope[otlp]`.
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
"""Seconds that a fork waits for the end of a push over gRPC."""
_EXPORTERS = {
    HTTP: "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    GRPC: "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
}


class _Exporter(Protocol):
    def export(self, metrics_data: MetricsData) -> MetricExportResult: ...

    def shutdown(self) -> None: ...


class OtlpPusher:
    """Pushes a snapshot every `interval` seconds from a daemon thread, and once more when it is closed or at exit.

    `mnemoscope.otlp` describes the arguments from `endpoint` to `insecure`, and the errors.

    Arguments that are not given come from the standard environment variables: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    _PROTOCOL, _HEADERS, _TIMEOUT, _INSECURE, _COMPRESSION, _CERTIFICATE and so on, or the same without METRICS_;
    OTEL_METRIC_EXPORT_INTERVAL; OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE; OTEL_SERVICE_NAME and
    OTEL_RESOURCE_ATTRIBUTES. A wrong value in one of them is a warning in the log. The default name of the service is
    that of the program.

    A failed push raises nothing and loses nothing: totals are sent again, and a delta counts from the last push that
    succeeded. The last push takes at most five seconds. It happens when a script ends, normally or by an exception, and
    when a child of `os.fork` or `multiprocessing` ends. A process that is killed, or that calls `os._exit`, makes no
    last push: call `flush` before.

    A forked child pushes too, on a new connection, as a separate instance with its own `service.instance.id`. Over
    gRPC, a fork waits up to a tenth of a second for a push under way. If that push takes longer, the child cannot push,
    or hangs within gRPC if `GRPC_ENABLE_FORK_SUPPORT=1`. Leave that variable unset, and use HTTP in a service that
    forks often.

    Args:
        snapshot: called once for each push, in the pusher's thread.
        on_export: called with `ok` or `error` after each push.
        on_scrape: called before each push, with `otlp` and the duration of collecting in seconds.
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
            # This imports modules. A fork during an import in the pusher's thread would leave the child without them.
            # The gRPC exporter is made at the first push, since it starts threads, which a fork does not copy.
            self._connected()
        self._start()

    def flush(self, timeout: float = 10.0) -> bool:
        """Push now, after a push under way; return whether the endpoint accepted it within `timeout` seconds."""
        with self._changed:
            return not self._closing and self._push_within(min(timeout, threading.TIMEOUT_MAX))

    def close(self, timeout: float = 5.0) -> bool:
        """Push once more and stop, within about `timeout` seconds; return whether that push succeeded in time."""
        timeout = min(timeout, threading.TIMEOUT_MAX)
        deadline = time.monotonic() + timeout
        with self._changed:
            if self._closing:
                return False
            self._closing = True
            succeeded = self._push_within(timeout)
            self._closed = True
            self._changed.notify_all()
        # This also ends a wait for a retry. A thread that hangs regardless is a daemon, and ends with the process.
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
        """Start again in a forked child, as a separate instance."""
        self._resource = forked(self._resource)
        self._reset()
        self._start()

    def _connected(self) -> _Exporter | None:
        """Return the exporter, made at the first call; None if the environment makes it impossible."""
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
        # Otherwise a service that instruments its HTTP client would trace these pushes.
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
            # The next multiple of the interval, so that a flush does not delay the regular pushes.
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
_paused: dict[int, list[OtlpPusher]] = {}
"""During a fork, the pushers that wait for its end, by the id of the forking thread."""


def _close_all() -> None:
    for pusher in list(_pushers):
        pusher.close()


def _close_all_in_multiprocessing(*_: object) -> None:
    multiprocessing_util.Finalize(None, _close_all, exitpriority=0)


def _before_fork() -> None:
    # A child that is forked during a gRPC call can never use gRPC.
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
# A child of multiprocessing may end without atexit, and drops inherited finalizers.
_close_all_in_multiprocessing()
multiprocessing_util.register_after_fork(_pushers, _close_all_in_multiprocessing)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
