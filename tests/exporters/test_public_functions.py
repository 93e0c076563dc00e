"""`mnemoscope.serve` and `mnemoscope.otlp`: each option reaches the exporter."""

from __future__ import annotations

import inspect
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
from otlp_receivers import SECONDS, grpc_receiver

import mnemoscope as scope
from mnemoscope.instrumentation.exporters.http import server
from mnemoscope.instrumentation.exporters.otlp.pusher import OtlpPusher


def defaults(function: object, *left_out: str) -> dict[str, object]:
    signature = inspect.signature(function)  # type: ignore[arg-type]  # functions and a class
    return {name: p.default for name, p in signature.parameters.items() if name not in left_out}


def connect(running: server.Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=SECONDS)


def test_every_option_of_an_exporter_is_a_named_parameter_with_the_same_default() -> None:
    assert defaults(scope.serve, "registry", "debug_locks") == defaults(server.serve, "endpoints")
    assert defaults(scope.otlp, "registry") == defaults(OtlpPusher, "snapshot", "on_export", "on_scrape")


def test_an_option_that_is_misspelt_is_refused() -> None:
    with pytest.raises(TypeError, match="max_connection"):
        scope.serve(port=0, max_connection=3)  # type: ignore[call-arg]  # the point
    with pytest.raises(TypeError, match="header"):
        scope.otlp(header={})  # type: ignore[call-arg]  # the point


def test_every_option_of_serve_counts(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    options = {"certfile": cert, "keyfile": key, "basic_auth": ("prometheus", "secret"), "debug_locks": True}
    with scope.serve(0, "127.0.0.2", registry=scope.Registry(), **options) as running:  # type: ignore[arg-type]  # mixed
        url = f"https://127.0.0.2:{running.port}/debug/locks"
        assert running.url in url
        assert httpx.get(url, verify=False).status_code == 401
        assert httpx.get(url, verify=False, auth=("prometheus", "secret")).status_code == 200
    with pytest.raises(ValueError, match="timeout must be"):
        scope.serve(0, registry=scope.Registry(), timeout=0)
    with scope.serve(0, registry=scope.Registry(), max_connections=1) as running, connect(running) as client:
        with connect(running) as second:
            assert second.recv(1) == b""  # one too many
        client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert client.recv(4) == b"HTTP"


def test_every_option_of_otlp_counts() -> None:
    registry = scope.Registry()
    scope.counter(scope.catalog.EPISODE_CREATED).inc()
    with grpc_receiver() as receiver:
        pusher = scope.otlp(
            receiver.endpoint.removeprefix("http://"),
            "grpc",
            3600.0,
            timeout=SECONDS,
            headers={"x-scope-orgid": "tenant-1"},
            resource_attributes={"service.name": "memory"},
            insecure=True,
            registry=registry,
        )
        assert pusher.interval == 3600.0
        assert pusher.close()
        request, headers = receiver.next()
    (resource,) = request.resource_metrics
    assert headers["x-scope-orgid"] == "tenant-1"
    assert {pair.key: pair.value.string_value for pair in resource.resource.attributes}["service.name"] == "memory"
    names = {metric.name for metric in resource.scope_metrics[0].metrics}
    assert scope.catalog.INSTRUMENTATION_EXPORTS.otel_name() in names
    assert scope.catalog.EPISODE_CREATED.otel_name() not in names  # that is in the default registry
    with pytest.raises(ValueError, match="timeout must be"):
        scope.otlp("http://collector:4318", timeout=0)
