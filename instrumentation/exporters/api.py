"""Show a registry to the world: HTTP endpoints, a push to OTLP, a collector for prometheus_client.

Each function imports its exporter when it is called, so that a service that only records loads none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import catalog
from ..default import default_registry
from ..recording.registry import Registry
from .health import Health
from .process_gauges import observe_process

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from .http.asgi import ASGIApplication
    from .http.endpoints import Endpoints
    from .http.server import Server
    from .http.wsgi import WSGIApplication
    from .otlp.pusher import OtlpPusher
    from .prometheus_bridge import SnapshotCollector

_health = Health()


def health() -> Health:
    """The health that the default endpoints answer from; add checks to it."""
    return _health


def set_ready() -> None:
    """Say that the service takes requests: `/ready` answers 200, unless a registered check fails."""
    _health.set_ready()


def set_not_ready(reason: str, progress: float | None = None) -> None:
    """Say that the service takes no requests: `/ready` answers 503 with the reason and the progress, 0 to 1."""
    _health.set_not_ready(reason, progress)


def serve(
    port: int = 9464,
    addr: str = "127.0.0.1",
    *,
    certfile: str | os.PathLike[str] | None = None,
    keyfile: str | os.PathLike[str] | None = None,
    basic_auth: tuple[str, str] | None = None,
    timeout: float = 10.0,
    max_connections: int = 64,
    debug_locks: bool = False,
    registry: Registry | None = None,
) -> Server:
    """Serve `/metrics`, `/metrics.json`, `/health` and `/ready` from a daemon thread.

    Args:
        port: TCP port; 0 takes a free one, which is then the result's `port`.
        addr: address to listen on; loopback unless you say otherwise, `0.0.0.0` or `::` for all.
        certfile: certificate chain, in PEM; given, the server speaks TLS only.
        keyfile: its key, if the certificate's file does not hold it.
        basic_auth: user and password; `/health` and `/ready` stay open to probes.
        timeout: seconds that one connection may last.
        max_connections: connections at once; further ones are closed unanswered.
        debug_locks: also serve `/debug/locks`, the document of `debug_locks()`; it names threads and code.
        registry: what to show; the default registry if not given.

    Raises:
        OSError: the port is taken or not permitted, or the TLS files cannot be loaded; the message says what to do.
        ValueError: an argument that is no use; the message says what is expected.
    """
    from .http.server import serve as start

    return start(
        _app(registry, debug_locks),
        port,
        addr,
        certfile=certfile,
        keyfile=keyfile,
        basic_auth=basic_auth,
        timeout=timeout,
        max_connections=max_connections,
    )


def asgi_app(*, registry: Registry | None = None, debug_locks: bool = False) -> ASGIApplication:
    """The four paths as an ASGI application, to mount in Starlette, FastAPI or another.

    `debug_locks` adds `/debug/locks`, as in `serve`.
    """
    from .http.asgi import asgi_app as build

    return build(_app(registry, debug_locks))


def wsgi_app(*, registry: Registry | None = None, debug_locks: bool = False) -> WSGIApplication:
    """The four paths as a WSGI application, to mount in Flask, Django or another.

    `debug_locks` adds `/debug/locks`, as in `serve`.
    """
    from .http.wsgi import wsgi_app as build

    return build(_app(registry, debug_locks))


def otlp(
    endpoint: str | None = None,
    protocol: str | None = None,
    interval: float | None = None,
    *,
    timeout: float | None = None,
    headers: Mapping[str, str] | None = None,
    resource_attributes: Mapping[str, str] | None = None,
    insecure: bool | None = None,
    registry: Registry | None = None,
) -> OtlpPusher:
    """Push the same metrics to an OTLP endpoint at an interval, from a daemon thread, and what is left at exit.

    A process that is killed, or that calls `os._exit` itself, pushes nothing more: call the result's `flush` before.

    Args:
        endpoint: URL of the receiver, or host:port for gRPC; `OTEL_EXPORTER_OTLP_ENDPOINT` if not given.
        protocol: `http/protobuf` or `grpc`; `OTEL_EXPORTER_OTLP_PROTOCOL` if not given.
        interval: seconds between pushes; `OTEL_METRIC_EXPORT_INTERVAL` if not given.
        timeout: seconds that one push may take, its retries included; `OTEL_EXPORTER_OTLP_TIMEOUT` if not given.
        headers: sent with each push, for authentication; `OTEL_EXPORTER_OTLP_HEADERS` are sent too, over HTTP.
        resource_attributes: what describes this process, such as `service.name`; they stand above those of
            `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`. Without a name, it is that of the program.
        insecure: for a gRPC endpoint without a scheme, whether to do without TLS; `OTEL_EXPORTER_OTLP_INSECURE` if
            not given.
        registry: what to push; the default registry if not given.

    Raises:
        ModuleNotFoundError: the extra `otlp` is not installed.
        ValueError: an argument that is no use; the message says what is expected.
        TypeError: an endpoint that is no string, headers or attributes that are no mapping.
    """
    from .otlp.pusher import OtlpPusher

    chosen = _observed(registry)
    chosen.declare(catalog.INSTRUMENTATION_EXPORTS)

    def on_export(outcome: str) -> None:
        chosen.counter(catalog.INSTRUMENTATION_EXPORTS, outcome=outcome).inc()

    def on_scrape(name: str, seconds: float) -> None:
        chosen.histogram(catalog.INSTRUMENTATION_SCRAPE_DURATION, format=name).observe(seconds)

    return OtlpPusher(
        chosen.own_snapshot,
        endpoint,
        protocol,
        interval,
        timeout,
        headers,
        resource_attributes,
        insecure,
        on_export=on_export,
        on_scrape=on_scrape,
    )


def prometheus_collector(registry: Registry | None = None) -> SnapshotCollector:
    """A collector for `prometheus_client`: `REGISTRY.register(prometheus_collector())` adds our series to its page.

    Raises:
        ModuleNotFoundError: prometheus-client is not installed.
    """
    from .prometheus_bridge import prometheus_collector as build

    return build(_observed(registry).snapshot)


def _observed(registry: Registry | None) -> Registry:
    """The registry, with what every exporter shows besides what the service records."""
    chosen = registry or default_registry()
    observe_process(chosen)
    chosen.gauge(catalog.SERVICE_READY).set_function(lambda: float(_health.readiness().ready))
    return chosen


def _app(registry: Registry | None, debug_locks: bool) -> Endpoints:
    from ..locks import debug_locks as document
    from .http.endpoints import Endpoints

    chosen = _observed(registry)

    def on_scrape(name: str, seconds: float) -> None:
        chosen.histogram(catalog.INSTRUMENTATION_SCRAPE_DURATION, format=name).observe(seconds)

    def on_error(name: str) -> None:
        chosen.drop(catalog.INSTRUMENTATION_SCRAPE_DURATION, "callback", 1)

    return Endpoints(
        chosen.snapshot,
        _health,
        on_scrape=on_scrape,
        on_error=on_error,
        debug_locks=document if debug_locks else None,
    )


__all__ = [
    "asgi_app",
    "health",
    "otlp",
    "prometheus_collector",
    "serve",
    "set_not_ready",
    "set_ready",
    "wsgi_app",
]
