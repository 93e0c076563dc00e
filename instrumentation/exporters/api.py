"""The public functions of the exporters: HTTP endpoints, health, a push to OTLP, a collector for prometheus_client.

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
    from collections.abc import Callable, Mapping

    from .http.asgi import ASGIApplication
    from .http.endpoints import Endpoints
    from .http.server import Server
    from .http.wsgi import WSGIApplication
    from .otlp.pusher import OtlpPusher
    from .prometheus_bridge import SnapshotCollector

_health = Health()


def health() -> Health:
    """Return the health that the endpoints show, to which a service can add checks."""
    return _health


def set_ready() -> None:
    """Make `/ready` answer 200: the service takes requests, unless a registered check fails."""
    _health.set_ready()


def set_not_ready(reason: str, progress: float | None = None) -> None:
    """Make `/ready` answer 503 with the reason and the progress (0 to 1): the service takes no requests."""
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

    After a fork, the server stays in the parent; a child can start its own on another port.

    Args:
        port: TCP port; 0 picks a free one, which is then the result's `port`.
        addr: address to listen on; loopback by default, `0.0.0.0` or `::` for all. If other machines can read without a
            password or TLS, one warning is logged.
        certfile: certificate chain, in PEM; if given, the server speaks TLS only.
        keyfile: the key, if it is not in the certificate's file.
        basic_auth: user and password; `/health` and `/ready` stay open to probes.
        timeout: seconds that one connection may last.
        max_connections: connections at the same time; further ones are closed without an answer until one ends.
        debug_locks: also serve `/debug/locks`, the document of `debug_locks()`, which names threads and code.
        registry: the registry to show; the default registry if not given.

    Raises:
        OSError: the port is taken or not permitted, or the TLS files cannot be loaded.
        ValueError: an argument cannot be used, or a key file is given without a certificate.
        TypeError: `addr` is not a string.
    """
    from .http.server import serve as start

    return start(
        _endpoints(registry, debug_locks),
        port,
        addr,
        certfile=certfile,
        keyfile=keyfile,
        basic_auth=basic_auth,
        timeout=timeout,
        max_connections=max_connections,
    )


def asgi_app(*, registry: Registry | None = None, debug_locks: bool = False) -> ASGIApplication:
    """Return the endpoints as an ASGI application, to mount in Starlette, FastAPI or another framework.

    `debug_locks` adds `/debug/locks`, as in `serve`.
    """
    from .http.asgi import asgi_app as build

    return build(_endpoints(registry, debug_locks))


def wsgi_app(*, registry: Registry | None = None, debug_locks: bool = False) -> WSGIApplication:
    """Return the endpoints as a WSGI application, to mount in Flask, Django or another framework.

    `debug_locks` adds `/debug/locks`, as in `serve`.
    """
    from .http.wsgi import wsgi_app as build

    return build(_endpoints(registry, debug_locks))


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
    """Push the same metrics to an OTLP endpoint at an interval, from a daemon thread, and once more at exit.

    The standard environment variables give every setting that is not an argument; see `OtlpPusher`.

    Args:
        endpoint: URL of the receiver, or host:port for gRPC; `OTEL_EXPORTER_OTLP_ENDPOINT` if not given. Over HTTP,
            `/v1/metrics` is added to a URL without a path.
        protocol: `http/protobuf` or `grpc`; `OTEL_EXPORTER_OTLP_PROTOCOL` if not given.
        interval: seconds between pushes; `OTEL_METRIC_EXPORT_INTERVAL` if not given.
        timeout: seconds that one push may take, including retries; `OTEL_EXPORTER_OTLP_TIMEOUT` if not given.
        headers: sent with each push, for authentication; over HTTP, `OTEL_EXPORTER_OTLP_HEADERS` are sent too.
        resource_attributes: a description of this process, such as `service.name`; they override those of
            `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`. The default name is that of the program.
        insecure: whether a gRPC endpoint without a scheme is used without TLS; `OTEL_EXPORTER_OTLP_INSECURE` if not
            given.
        registry: the registry to push; the default registry if not given.

    Raises:
        ModuleNotFoundError: the extra `otlp` is not installed.
        ValueError: an argument cannot be used.
        TypeError: the endpoint is not a string, or the headers or attributes are not a mapping.
    """
    from .otlp.pusher import OtlpPusher

    chosen = _observed(registry)
    chosen.declare(catalog.INSTRUMENTATION_EXPORTS)

    def on_export(outcome: str) -> None:
        chosen.counter(catalog.INSTRUMENTATION_EXPORTS, outcome=outcome).inc()

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
        on_scrape=_scrape_recorder(chosen),
    )


def prometheus_collector(registry: Registry | None = None) -> SnapshotCollector:
    """Return a collector: `REGISTRY.register(prometheus_collector())` adds these series to a prometheus_client page.

    Raises:
        ModuleNotFoundError: prometheus-client is not installed.
    """
    from .prometheus_bridge import SnapshotCollector

    return SnapshotCollector(_observed(registry).snapshot)


def _observed(registry: Registry | None) -> Registry:
    """Return the registry, with the gauges of the process and of its readiness."""
    chosen = registry or default_registry()
    observe_process(chosen)
    chosen.gauge(catalog.SERVICE_READY).set_function(lambda: float(_health.readiness().ready))
    return chosen


def _scrape_recorder(registry: Registry) -> Callable[[str, float], None]:
    """Return a function that records the duration of a scrape, by format."""

    def record(name: str, seconds: float) -> None:
        registry.histogram(catalog.INSTRUMENTATION_SCRAPE_DURATION, format=name).observe(seconds)

    return record


def _endpoints(registry: Registry | None, debug_locks: bool) -> Endpoints:
    from ..locks import debug_locks as document
    from .http.endpoints import Endpoints

    chosen = _observed(registry)

    def on_error(name: str) -> None:
        chosen.drop(catalog.INSTRUMENTATION_SCRAPE_DURATION, "callback", 1)

    return Endpoints(
        chosen.snapshot,
        _health,
        on_scrape=_scrape_recorder(chosen),
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
