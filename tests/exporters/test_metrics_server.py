"""The HTTP server: real sockets, clients that misbehave, TLS, and a real Prometheus."""

from __future__ import annotations

import base64
import errno
import http.client
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from exporter_samples import lock_waits, sample_values, snapshot, whole_catalog

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.exporters.health import Health
from mnemoscope.instrumentation.exporters.http.endpoints import PATHS, Endpoints
from mnemoscope.instrumentation.exporters.http.server import Server, serve
from mnemoscope.instrumentation.recording.snapshot import Snapshot

pytestmark = pytest.mark.slow

SECONDS = 20


def app(snapshot_function: Any = whole_catalog, **options: Any) -> Endpoints:
    return Endpoints(snapshot_function, Health(), **options)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(app(), port=0) as running:
        yield running


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS)


def read_all(connection: socket.socket) -> bytes:
    data = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            data += chunk
    return data


def exchange(server: Server, request_line: str) -> tuple[int, bytes]:
    """Return status and body of the answer to a request line, sent unchanged."""
    with connect(server) as client:
        client.sendall(f"{request_line}\r\nHost: x\r\n\r\n".encode())
        client.shutdown(socket.SHUT_WR)
        head, _, body = read_all(client).partition(b"\r\n\r\n")
        return int(head.split()[1]), body


def eventually_get(url: str) -> httpx.Response:
    """Return the answer of a server that may refuse connections for a moment."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return httpx.get(url)
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise


def test_it_answers_every_path_on_the_port_it_was_given(server: Server) -> None:
    assert server.url == f"http://127.0.0.1:{server.port}"
    for path in PATHS:
        answer = httpx.get(server.url + path)
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        assert answer.headers["server"] == "mnemoscope"


def test_it_decodes_the_path_and_passes_on_query_and_headers(server: Server) -> None:
    answer = httpx.get(f"{server.url}/%6detrics?name[]=none", headers={"accept": "application/openmetrics-text"})
    assert answer.text == "# EOF\n"
    assert httpx.head(f"{server.url}/metrics").headers["content-length"] != "0"


def test_it_answers_a_method_it_does_not_take_even_with_a_body(server: Server) -> None:
    answer = httpx.post(f"{server.url}/metrics", content=b"x" * 500_000)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "target",
    [
        "http://prometheus.example:9464/metrics?name[]=NAME",
        "HTTPS://[::1]/metrics?name[]=NAME",
        "http://user:x@host//metrics?name[]=NAME",
        "//metrics?name[]=NAME",
        "/metrics?name[]=NAME#top",
        "/m%65trics?name%5B%5D=NAME",
    ],
)
def test_a_request_target_may_name_the_host_or_be_written_oddly(server: Server, target: str) -> None:
    name = catalog.SERVICE_UPTIME.prometheus_name()
    status, body = exchange(server, f"GET {target.replace('NAME', name)} HTTP/1.1")
    assert (status, body.count(b"# TYPE ")) == (200, 1)


@pytest.mark.parametrize(
    "target", ["*", "metrics", "%2Fmetrics", "http://host", "http://host?name[]=x", "ftp://host/metrics", "/metrics%"]
)
def test_a_request_target_without_a_known_path_is_404(server: Server, target: str) -> None:
    assert exchange(server, f"GET {target} HTTP/1.1")[0] == 404


def test_the_options_of_the_whole_server_are_those_of_each_path(server: Server) -> None:
    assert exchange(server, "OPTIONS * HTTP/1.1")[0] == 405


def test_an_absolute_target_needs_the_password_too() -> None:
    with serve(app(), port=0, basic_auth=("prometheus", "secret")) as running:
        assert exchange(running, "GET http://host/metrics HTTP/1.1")[0] == 401
        assert exchange(running, "GET http://host/health HTTP/1.1")[0] == 200


def test_a_body_that_comes_with_a_get_does_not_cost_its_answer(server: Server) -> None:
    with connect(server) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n")
        assert read_all(client).split()[1] == b"200"
        # A server that had closed would answer this with a reset, which can overtake the answer above.
        client.sendall(b"x" * 5_000_000)


def test_a_taken_port_is_an_error_that_says_what_to_do(server: Server) -> None:
    with pytest.raises(
        OSError, match=rf"metrics port {server.port} on 127\.0\.0\.1 is taken: .*another port"
    ) as caught:
        serve(app(), port=server.port)
    assert caught.value.errno == errno.EADDRINUSE


def test_an_address_of_another_machine_is_an_error_that_says_so() -> None:
    with pytest.raises(OSError, match="not one of this machine"):
        serve(app(), port=0, addr="192.0.2.1")


def test_it_listens_on_ipv6() -> None:
    with serve(app(), port=0, addr="::1") as running:
        assert running.url.startswith("http://[::1]:")
        assert httpx.get(f"{running.url}/health").status_code == 200


def test_a_server_on_all_addresses_has_a_url_that_works_here() -> None:
    with serve(app(), port=0, addr="0.0.0.0") as running:
        assert httpx.get(f"{running.url}/health").status_code == 200


def test_closing_frees_the_port_and_may_be_repeated() -> None:
    first = serve(app(), port=0)
    first.close()
    first.close()
    with pytest.raises(ConnectionRefusedError):
        connect(first)
    with serve(app(), port=first.port) as second:
        assert second.port == first.port


def test_closing_cuts_clients_that_are_still_connected() -> None:
    running = serve(app(), port=0, timeout=3600.0)
    with connect(running) as idle:
        idle.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert httpx.get(f"{running.url}/health").status_code == 200  # so the idle one has been accepted too
        running.close()
        assert read_all(idle) == b""


@pytest.mark.parametrize(
    ("request_start", "status"),
    [
        (b"GET /" + b"x" * 20_000, b"431"),
        (b"GET /metrics HTTP/1.1\r\nX-Filler: " + b"x" * 20_000, b"431"),
        (b"GET /metrics HTTP/1.1\r\n" + b"X-Filler: 0\r\n" * 200, b"431"),
        (b"complete nonsense that is no request\r\n\r\n", b"400"),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n", b"405"),
    ],
    ids=["line", "header", "headers", "nonsense", "body"],
)
def test_a_request_that_is_not_taken_gets_its_answer_even_if_the_client_sends_on(
    server: Server, request_start: bytes, status: bytes
) -> None:
    with connect(server) as client:
        client.sendall(request_start)
        assert read_all(client).split()[1] == status
        # A server that had closed would answer this with a reset, which can overtake the answer above.
        client.sendall(b"x" * 5_000_000)


@pytest.mark.parametrize("sent", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
def test_a_client_that_stops_halfway_is_cut(sent: bytes) -> None:
    with serve(app(), port=0, timeout=0.2) as running, connect(running) as client:
        client.sendall(sent)
        assert read_all(client) == b""


def test_a_client_that_sends_byte_by_byte_is_cut_all_the_same() -> None:
    with serve(app(), port=0, timeout=0.5) as running, connect(running) as client:
        cut = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                while not cut.wait(0.02):
                    client.sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert read_all(client) == b""
        finally:
            cut.set()
            dripping.join(SECONDS)


def test_a_client_that_does_not_read_holds_its_place_for_a_limited_time_only() -> None:
    shot = whole_catalog()
    large = shot._replace(families=shot.families * 100)
    with serve(app(lambda: large), port=0, timeout=2.0, max_connections=1) as running, connect(running) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(5) == b"HTTP/"
        assert eventually_get(f"{running.url}/health").status_code == 200


def test_connections_beyond_the_limit_are_closed_until_one_ends() -> None:
    with serve(app(), port=0, max_connections=1) as running:
        with connect(running) as first:
            first.sendall(b"GET /health HTTP/1.1\r\n")
            with connect(running) as second:
                assert read_all(second) == b""
        assert eventually_get(f"{running.url}/health").status_code == 200


def test_scrapes_beyond_the_limit_get_503_and_retry_after() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow() -> Snapshot:
        entered.set()
        assert go_on.wait(SECONDS)
        return snapshot(lock_waits(1))

    with serve(app(slow, max_scrapes=1), port=0) as running:
        answers: list[int] = []
        scrape = threading.Thread(target=lambda: answers.append(httpx.get(f"{running.url}/metrics").status_code))
        scrape.start()
        assert entered.wait(SECONDS)
        refused = httpx.get(f"{running.url}/metrics")
        go_on.set()
        scrape.join(SECONDS)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert answers == [200]


def test_a_failing_collection_answers_500_and_the_server_goes_on() -> None:
    def fail() -> Snapshot:
        raise RuntimeError("no")

    with serve(app(fail), port=0) as running:
        assert httpx.get(f"{running.url}/metrics").status_code == 500
        assert httpx.get(f"{running.url}/health").status_code == 200


# Authentication and TLS ---------------------------------------------------------------------------


def test_basic_authentication_guards_the_metrics_and_leaves_the_probes_open() -> None:
    with serve(app(), port=0, basic_auth=("prometheus", "pässword:1")) as running:
        url = f"{running.url}/metrics"
        refused = httpx.get(url)
        assert (refused.status_code, refused.headers["www-authenticate"][:5]) == (401, "Basic")
        assert httpx.get(url, auth=("prometheus", "wrong")).status_code == 401
        assert httpx.get(f"{running.url}/metrics.json").status_code == 401
        assert httpx.get(f"{running.url}/%6detrics").status_code == 401
        for header in ("Basic", "Basic ???", "Bearer abc", "Basic YWJj"):
            assert httpx.get(url, headers={"authorization": header}).status_code == 401
        right = base64.b64encode("prometheus:pässword:1".encode()).decode()
        assert httpx.get(url, headers={"authorization": f"Basic !{right}"}).status_code == 401
        assert httpx.get(url, headers={"authorization": f"basic {right}"}).status_code == 200
        assert httpx.get(f"{running.url}/health").status_code == 200
        assert httpx.get(f"{running.url}/ready").status_code == 200


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_it_speaks_tls_with_a_certificate(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with serve(app(), port=0, certfile=cert, keyfile=key) as running:
        assert running.url.startswith("https://")
        trust = ssl.create_default_context(cafile=str(cert))
        assert httpx.get(f"{running.url}/health", verify=trust).json()["status"] == "ok"
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{running.port}/health")


def test_a_client_that_never_ends_its_handshake_keeps_nobody_out_and_is_cut(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with serve(app(), port=0, certfile=cert, keyfile=key, timeout=5.0) as running, connect(running) as silent:
        trust = ssl.create_default_context(cafile=str(cert))
        assert httpx.get(f"{running.url}/health", verify=trust).status_code == 200
        assert read_all(silent) == b""


def test_tls_files_that_cannot_be_loaded_are_named(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    with pytest.raises(OSError, match=r"absent\.pem"):
        serve(app(), port=0, certfile=tmp_path / "absent.pem")
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    with pytest.raises(OSError, match=r"broken\.pem cannot be loaded"):
        serve(app(), port=0, certfile=broken)
    with pytest.raises(ValueError, match="without certfile"):
        serve(app(), port=0, keyfile=certificate[1])


# Process and Prometheus ---------------------------------------------------------------------------

FORKING = """
import os, socket, sys
from mnemoscope.instrumentation.exporters.http.endpoints import Endpoints
from mnemoscope.instrumentation.exporters.http.server import serve
from mnemoscope.instrumentation.exporters.health import Health

server = serve(Endpoints(lambda: None, Health()), port=0)
told, tell = os.pipe()
child = os.fork()
if child == 0:
    os.close(tell)
    server.close()  # must neither hang nor touch the parent's server
    serve(Endpoints(lambda: None, Health()), port=0).close()
    os.read(told, 1)
    os._exit(0)
with socket.create_connection(("127.0.0.1", server.port)) as client:
    client.sendall(b"GET /health HTTP/1.0\\r\\n\\r\\n")
    assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
server.close()
try:
    socket.create_connection(("127.0.0.1", server.port))
    raise SystemExit("the child still holds the port")
except ConnectionRefusedError:
    os.close(tell)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_neither_serves_nor_disturbs_the_parents_server() -> None:
    subprocess.run([sys.executable, "-c", FORKING], check=True, timeout=60)


def test_a_service_ends_without_closing_its_server() -> None:
    script = FORKING.split("told, tell =")[0]
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_importing_the_request_handler_loads_no_server_no_tls_and_no_event_loop() -> None:
    script = (
        "import sys; from mnemoscope.instrumentation.exporters.http import asgi, endpoints, wsgi;"
        " print([m for m in ('http.server', 'ssl', 'asyncio', 'gzip', 'prometheus_client', 'opentelemetry')"
        " if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "[]"


@pytest.mark.prometheus
def test_a_real_prometheus_scrapes_every_series(prometheus_server: Any) -> None:
    shot = whole_catalog(exemplars=True)
    with serve(app(lambda: shot), port=0) as running:
        prometheus = prometheus_server(targets=[f"127.0.0.1:{running.port}"])
        deadline = time.monotonic() + SECONDS
        while not (found := prometheus.query(f'{{__name__=~"{shot.prefix}_.+"}}')):
            assert time.monotonic() < deadline, prometheus.targets()
    target_labels = {"__name__", "job", "instance"}
    scraped = {
        (s["metric"]["__name__"], frozenset((k, v) for k, v in s["metric"].items() if k not in target_labels)): float(
            s["value"][1]
        )
        for s in found
    }
    assert scraped == sample_values(shot)


def test_an_ordinary_http_client_can_reuse_its_object(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
    for _ in range(3):
        connection.request("GET", "/health")
        assert connection.getresponse().read().startswith(b'{"status": "ok"')
    connection.close()
