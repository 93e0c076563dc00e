"""OTLP receivers in this process: real HTTP and gRPC servers that keep what they are sent."""

from __future__ import annotations

import gzip
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)

SECONDS = 20


class Receiver:
    """What arrives, and how the receiver is to behave.

    Attributes:
        endpoint: what the pusher is given.
        failing: answer with an error that is not worth a retry.
        answering: cleared, the receiver holds its answers back.
        arrived: set by the first request that arrives.
    """

    def __init__(self) -> None:
        self.endpoint = ""
        self.failing = False
        self.answering = threading.Event()
        self.answering.set()
        self.arrived = threading.Event()
        self._requests: queue.Queue[tuple[ExportMetricsServiceRequest, dict[str, str]]] = queue.Queue()

    def take(self, request: ExportMetricsServiceRequest, headers: dict[str, str]) -> bool:
        """Keep a request, and return whether to answer with success."""
        self.arrived.set()
        self.answering.wait(SECONDS)
        if self.failing:
            return False
        self._requests.put((request, headers))
        return True

    def next(self) -> tuple[ExportMetricsServiceRequest, dict[str, str]]:
        """Wait for the next accepted request, and return it with its headers."""
        return self._requests.get(timeout=SECONDS)

    def next_metrics(self) -> dict[str, Any]:
        """Return the metrics of the next request by name; check that it has one resource and one scope."""
        request, _ = self.next()
        (resource,) = request.resource_metrics
        (scope,) = resource.scope_metrics
        metrics = {metric.name: metric for metric in scope.metrics}
        assert len(metrics) == len(scope.metrics)
        return metrics


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            headers = {name.lower(): value for name, value in self.headers.items()} | {":path": self.path}
            accepted = receiver.take(ExportMetricsServiceRequest.FromString(data), headers)
            answer = ExportMetricsServiceResponse().SerializeToString()
            self.send_response(200 if accepted else 400)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.answering.set()
        server.shutdown()
        server.server_close()
        thread.join(SECONDS)


@contextmanager
def grpc_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Servicer(MetricsServiceServicer):
        def Export(self, request: ExportMetricsServiceRequest, context: Any) -> ExportMetricsServiceResponse:
            if not receiver.take(request, dict(context.invocation_metadata())):
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "refused")
            return ExportMetricsServiceResponse()

    server = grpc.server(ThreadPoolExecutor(4))
    add_MetricsServiceServicer_to_server(Servicer(), server)
    receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        receiver.answering.set()
        server.stop(None).wait(SECONDS)
