"""The endpoints, alone and as WSGI and ASGI applications."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx
import pytest
import uvicorn
from exporter_samples import lock_waits, lookups, sample_values, snapshot, whole_catalog
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.exporters.health import Health
from mnemoscope.instrumentation.exporters.http.asgi import asgi_app
from mnemoscope.instrumentation.exporters.http.endpoints import PATHS, Endpoints, Response, folded
from mnemoscope.instrumentation.exporters.http.wsgi import wsgi_app
from mnemoscope.instrumentation.recording.snapshot import Snapshot

OPENMETRICS = "application/openmetrics-text"


def two_families() -> Snapshot:
    return snapshot(lock_waits(1, 2), lookups(3, 4))


def make_app(snapshot_function: Callable[[], Snapshot] = two_families, **options: Any) -> Endpoints:
    return Endpoints(snapshot_function, Health(), **options)


def get(app: Endpoints, path: str, query: str = "", method: str = "GET", **headers: str) -> Response:
    return app.handle(method, path, query, {name.replace("_", "-"): value for name, value in headers.items()})


def body(response: Response) -> str:
    return b"".join(response.body).decode()


def test_metrics_are_text_by_default_and_openmetrics_on_request() -> None:
    text, openmetrics = get(make_app(), "/metrics"), get(make_app(), "/metrics", accept=OPENMETRICS)
    assert dict(text.headers)["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert dict(openmetrics.headers)["Content-Type"].startswith(f"{OPENMETRICS}; version=1.0.0")
    assert not body(text).endswith("# EOF\n")
    assert body(openmetrics).endswith("# EOF\n")


def test_metrics_json_is_json_whatever_the_client_accepts() -> None:
    response = get(make_app(), "/metrics.json", accept=OPENMETRICS)
    assert dict(response.headers)["Content-Type"].startswith("application/json")
    assert json.loads(body(response))["prefix"] == "mnemo"


def test_the_body_is_compressed_for_a_client_that_takes_gzip() -> None:
    response = get(make_app(), "/metrics", accept_encoding="gzip")
    headers = dict(response.headers)
    assert headers["Content-Encoding"] == "gzip"
    assert headers["Vary"] == "Accept, Accept-Encoding"
    assert headers["Content-Length"] == str(len(b"".join(response.body)))
    assert gzip.decompress(b"".join(response.body)).decode() == body(get(make_app(), "/metrics"))


def test_a_query_restricts_the_families() -> None:
    name = catalog.CACHE_LOOKUPS.prometheus_name()
    families = list(parse_text(body(get(make_app(), "/metrics", query=f"name[]={name}"))))
    assert [family.name for family in families] == [catalog.CACHE_LOOKUPS.family()]


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_headers_of_get_and_no_body(path: str) -> None:
    app = Endpoints(two_families, Health(clock=lambda: 1.0))
    head, full = get(app, path, method="HEAD"), get(app, path)
    assert (head.status, head.headers, head.body) == (full.status, full.headers, ())


def test_health_and_readiness_have_their_exact_shapes() -> None:
    health = Health(clock=iter([0.0, 2.5]).__next__)
    app = Endpoints(two_families, health)
    assert json.loads(body(get(app, "/health"))) == {"status": "ok", "uptime_seconds": 2.5}
    assert (get(app, "/ready").status, body(get(app, "/ready"))) == (200, '{"status": "ready"}')
    health.set_not_ready("replaying the log", 0.5)
    response = get(app, "/ready")
    assert response.status == 503
    assert json.loads(body(response)) == {"status": "unavailable", "reason": "replaying the log", "progress": 0.5}


@pytest.mark.parametrize("path", ["/", "", "/metrics/", "/nothing"])
def test_another_path_is_404_and_lists_the_paths(path: str) -> None:
    response = get(make_app(), path)
    assert response.status == 404
    assert all(known in body(response) for known in PATHS)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_405_and_names_the_allowed_ones(method: str) -> None:
    response = get(make_app(), "/metrics", method=method)
    assert (response.status, dict(response.headers)["Allow"]) == (405, "GET, HEAD")


def test_an_exception_in_collection_is_a_500_with_a_short_text_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Snapshot:
        raise RuntimeError("secret detail")

    errors: list[str] = []
    response = get(make_app(fail, on_error=errors.append), "/metrics")
    assert (response.status, errors) == (500, ["text"])
    assert body(response) == "Collection failed: RuntimeError. See the service's log.\n"
    assert "secret detail" in caplog.text


def test_an_exception_in_rendering_is_a_500_and_never_half_a_scrape() -> None:
    shot = two_families()
    broken = shot._replace(families=(*shot.families, lock_waits()._replace(metric=catalog.SERVICE_UPTIME)))
    errors: list[str] = []
    response = get(make_app(lambda: broken, on_error=errors.append), "/metrics.json")
    assert (response.status, errors) == (500, ["json"])


def test_a_document_that_cannot_be_made_is_a_500_too(caplog: pytest.LogCaptureFixture) -> None:
    health = Health()
    health.set_not_ready("replaying the log", progress=object())  # type: ignore[arg-type]  # the point
    failing: Any = lambda: 1 / 0  # noqa: E731  # a lambda, so that no type is promised
    response = get(Endpoints(two_families, health, debug_locks=failing), "/ready")
    assert (response.status, body(response)) == (500, "Failed: TypeError. See the service's log.\n")
    response = get(Endpoints(two_families, health, debug_locks=failing), "/debug/locks")
    assert response.status == 500
    assert "ZeroDivisionError" in caplog.text


def test_each_scrape_is_reported_with_its_format_and_duration() -> None:
    seen: list[tuple[str, float]] = []
    app = make_app(on_scrape=lambda *scrape: seen.append(scrape))
    get(app, "/metrics")
    get(app, "/metrics", accept=OPENMETRICS)
    get(app, "/metrics.json")
    get(app, "/health")
    assert [name for name, _ in seen] == ["text", "openmetrics", "json"]
    assert all(seconds > 0 for _, seconds in seen)


def test_a_hook_that_raises_does_not_spoil_the_scrape(caplog: pytest.LogCaptureFixture) -> None:
    assert get(make_app(on_scrape=lambda *_: 1 / 0), "/metrics").status == 200
    assert "ZeroDivisionError" in caplog.text


def test_scrapes_beyond_the_limit_are_told_to_come_back_and_health_still_answers() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow() -> Snapshot:
        entered.set()
        assert go_on.wait(10)
        return two_families()

    app = make_app(slow, max_scrapes=1)
    answers: list[int] = []
    scrape = threading.Thread(target=lambda: answers.append(get(app, "/metrics").status))
    scrape.start()
    assert entered.wait(10)
    refused = get(app, "/metrics")
    assert (refused.status, dict(refused.headers)["Retry-After"]) == (503, "1")
    assert get(app, "/health").status == 200
    go_on.set()
    scrape.join(10)
    assert answers == [200]
    assert get(app, "/metrics").status == 200


def test_repeated_headers_are_joined() -> None:
    assert folded([("Accept", "a"), ("ACCEPT", "b"), ("X", "y")]) == {"accept": "a, b", "x": "y"}


# WSGI ---------------------------------------------------------------------------------------------


def call_wsgi(app: Endpoints, path: str, **environ: str) -> tuple[str, dict[str, str], bytes]:
    started: list[Any] = []
    full: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        **environ,
    }
    setup_testing_defaults(full)
    chunks: Any = validator(wsgi_app(app))(full, lambda status, headers, _=None: started.extend((status, headers)))
    data = b"".join(chunks)
    chunks.close()
    return started[0], dict(started[1]), data


@pytest.mark.parametrize("path", PATHS)
def test_the_wsgi_application_keeps_to_the_standard(path: str) -> None:
    status, headers, data = call_wsgi(make_app(), path)
    assert status == "200 OK"
    assert headers["Content-Length"] == str(len(data))


def test_the_wsgi_application_passes_on_what_decides_about_the_answer() -> None:
    name = catalog.CACHE_LOOKUPS.prometheus_name()
    status, headers, data = call_wsgi(
        make_app(), "/metrics", HTTP_ACCEPT=OPENMETRICS, HTTP_ACCEPT_ENCODING="gzip", QUERY_STRING=f"name[]={name}"
    )
    assert (status, headers["Content-Encoding"]) == ("200 OK", "gzip")
    assert gzip.decompress(data).decode().startswith(f"# HELP {catalog.CACHE_LOOKUPS.family()} ")
    assert call_wsgi(make_app(), "/metrics", REQUEST_METHOD="POST")[0] == "405 Method Not Allowed"
    assert call_wsgi(make_app(), "/metrics", REQUEST_METHOD="HEAD")[2] == b""


# ASGI ---------------------------------------------------------------------------------------------


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=asgi_app(make_app(whole_catalog)))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as opened:
        yield opened


async def test_the_asgi_application_answers_all_paths(client: httpx.AsyncClient) -> None:
    text = await client.get("/metrics")
    samples = {
        (s.name, frozenset(s.labels.items())): s.value for family in parse_text(text.text) for s in family.samples
    }
    assert samples == sample_values(whole_catalog())
    assert len((await client.get("/metrics.json")).json()["families"]) == len(catalog.CATALOG)
    assert (await client.get("/health")).json()["status"] == "ok"
    assert (await client.get("/ready")).json() == {"status": "ready"}
    assert (await client.get("/else")).status_code == 404
    assert (await client.post("/metrics")).status_code == 405


async def test_the_asgi_application_passes_on_what_decides_about_the_answer(client: httpx.AsyncClient) -> None:
    name = catalog.SERVICE_UPTIME.prometheus_name()
    answer = await client.get("/metrics", params={"name[]": name}, headers={"accept": OPENMETRICS})
    assert answer.headers["content-encoding"] == "gzip"
    assert [line.split()[2] for line in answer.text.splitlines() if line.startswith("# TYPE")] == [name]


async def test_the_asgi_application_works_mounted_in_starlette() -> None:
    async def home(_request: object) -> PlainTextResponse:
        return PlainTextResponse("home")

    host = Starlette(routes=[Route("/", home), Mount("/internal", app=asgi_app(make_app()))])
    transport = httpx.ASGITransport(app=host)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        assert (await client.get("/internal/metrics")).text.startswith("# HELP")
        assert (await client.get("/internal/health")).status_code == 200
        assert (await client.get("/internal/nothing")).status_code == 404
        assert (await client.get("/")).text == "home"


async def test_the_event_loop_runs_on_while_a_scrape_is_collected() -> None:
    loop = asyncio.get_running_loop()
    collecting, go_on = asyncio.Event(), threading.Event()

    def slow() -> Snapshot:
        loop.call_soon_threadsafe(collecting.set)
        assert go_on.wait(10)
        return two_families()

    transport = httpx.ASGITransport(app=asgi_app(make_app(slow)))
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        scrape = asyncio.create_task(client.get("/metrics"))
        # That this point is passed at all proves it: the loop waits here while the collection still runs.
        await asyncio.wait_for(collecting.wait(), 10)
        go_on.set()
        assert (await scrape).status_code == 200


async def test_a_websocket_is_refused() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await asgi_app(make_app())({"type": "websocket"}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.fixture
def uvicorn_url() -> Iterator[str]:
    """A real uvicorn with lifespan required, so that an application without it does not start."""
    server = uvicorn.Server(
        uvicorn.Config(asgi_app(make_app(whole_catalog)), port=0, lifespan="on", log_level="warning", log_config=None)
    )
    ready = threading.Event()
    startup = server.startup

    async def started(*args: Any, **kwargs: Any) -> None:
        await startup(*args, **kwargs)
        ready.set()

    server.startup = started  # type: ignore[method-assign]  # uvicorn has no hook for "now listening"
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(20)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def test_the_asgi_application_runs_on_a_real_server(uvicorn_url: str) -> None:
    answer = httpx.get(f"{uvicorn_url}/metrics", headers={"accept": OPENMETRICS})
    assert answer.text.endswith("# EOF\n")
    assert httpx.get(f"{uvicorn_url}/health").json()["status"] == "ok"
