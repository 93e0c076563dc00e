"""Which route an ASGI request is recorded under: the whole template, and nothing of the path itself."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django_site  # noqa: F401
import httpx
import pytest
from django.core.asgi import get_asgi_application
from fastapi import APIRouter, FastAPI, WebSocket
from request_helpers import Requests
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

import mnemoscope as scope
from mnemoscope import catalog
from mnemoscope.instrumentation.exporters.http.endpoints import PATHS
from mnemoscope.instrumentation.middleware.request_recording import OWN_PATHS
from mnemoscope.instrumentation.recording.registry import Registry


async def send(app: Any, *paths: str, method: str = "GET", root: str = "", host: str = "service") -> list[int]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, root_path=root)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        return [(await client.request(method, path)).status_code for path in paths]


def answer(request: Request) -> Response:
    return PlainTextResponse("done")


def fastapi_app(registry: Registry) -> FastAPI:
    """Return an application with routes at every depth that FastAPI supports."""
    deep = APIRouter(prefix="/deep")
    deep.add_api_route("/{step}", lambda step: step, methods=["GET"])
    episodes = APIRouter(prefix="/episodes")
    episodes.add_api_route("/{id:int}", lambda id: id, methods=["GET"])
    episodes.include_router(deep, prefix="/{id}")
    tenant = FastAPI()
    tenant.add_api_route("/notes/{note}", lambda note: note, methods=["GET"])
    tenant.include_router(episodes, prefix="/v1")
    app = FastAPI()
    app.add_middleware(scope.ASGIMiddleware, registry=registry)
    app.add_api_route("/stats", lambda: "stats", methods=["GET"])
    app.include_router(episodes, prefix="/v1")
    app.include_router(episodes, prefix="/v2")
    app.mount("/tenants/{tenant}", tenant)
    app.mount("/wrapped", BaseHTTPMiddleware(tenant, lambda request, call_next: call_next(request)))
    app.mount("/files", StaticFiles(directory=Path(__file__).parent))
    return app


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/stats", "/stats"),
        ("/v1/episodes/7", "/v1/episodes/{id}"),
        ("/v2/episodes/7", "/v2/episodes/{id}"),
        ("/v1/episodes/7/deep/9", "/v1/episodes/{id}/deep/{step}"),
        ("/tenants/acme/notes/7", "/tenants/{tenant}/notes/{note}"),
        ("/tenants/acme/v1/episodes/7", "/tenants/{tenant}/v1/episodes/{id}"),
        ("/tenants/acme/v1/episodes/7/deep/9", "/tenants/{tenant}/v1/episodes/{id}/deep/{step}"),
        ("/wrapped/notes/7", "/wrapped/notes/{note}"),
        ("/files/conftest.py", "/files"),
        ("/files/none.py", "/files"),
        ("/docs", "/docs"),
        ("/tenants/acme/docs", "/tenants/{tenant}/docs"),
        ("/v1/episodes/seven", "unmatched"),
        ("/none", "unmatched"),
        ("/tenants/acme/none", "unmatched"),
        ("/stats/", "unmatched"),
    ],
)
async def test_fastapi_gives_the_whole_template(registry: Registry, requests: Requests, path: str, route: str) -> None:
    await send(fastapi_app(registry), path)

    assert requests.only == (route, "ok")


async def test_a_method_that_is_not_allowed_still_has_its_route(registry: Registry, requests: Requests) -> None:
    assert await send(fastapi_app(registry), "/v1/episodes/7", "/tenants/a/notes/7", method="DELETE") == [405, 405]

    assert requests.counts == {("/v1/episodes/{id}", "ok"): 1, ("/tenants/{tenant}/notes/{note}", "ok"): 1}


def starlette_app(registry: Registry) -> Starlette:
    inner = [Route("/{step:int}", answer), Mount("/more", routes=[Route("/{last}", answer)])]
    return Starlette(
        routes=[
            Host("{tenant}.example", Router([Route("/here/{id}", answer)])),
            Route("/episodes/{id:int}", answer),
            Route("/episodes/{id:int}/steps", answer, methods=["POST"]),
            Mount("/group/{group}", routes=inner),
            Mount("/guarded", routes=inner, middleware=[Middleware(BaseHTTPMiddleware, dispatch=_pass)]),
            Mount("/internal", app=scope.asgi_app(registry=registry)),
            Mount("/", routes=[Route("/", answer), Route("/last/{id}", answer)]),
        ],
        middleware=[Middleware(scope.ASGIMiddleware, registry=registry)],
    )


async def _pass(request: Request, call_next: Any) -> Any:
    return await call_next(request)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/episodes/7", "/episodes/{id}"),
        ("/group/a/7", "/group/{group}/{step}"),
        ("/group/a/more/7", "/group/{group}/more/{last}"),
        ("/guarded/more/7", "/guarded/more/{last}"),
        ("/internal/health", "/internal"),
        ("/", "/"),
        ("/last/7", "/last/{id}"),
        ("/group/a/none", "unmatched"),
        ("/episodes/7/steps/none", "unmatched"),
    ],
)
async def test_starlette_gives_the_whole_template(
    registry: Registry, requests: Requests, path: str, route: str
) -> None:
    await send(starlette_app(registry), path)

    assert requests.only == (route, "ok")


async def test_a_route_of_one_host_has_the_template_without_the_host(registry: Registry, requests: Requests) -> None:
    await send(starlette_app(registry), "/here/7", host="acme.example")

    assert requests.only == ("/here/{id}", "ok")


async def test_a_prefix_that_the_server_took_off_is_no_part_of_the_template(
    registry: Registry, requests: Requests
) -> None:
    codes = await send(starlette_app(registry), "/outer/episodes/7", "/outer/group/a/7", "/outer/health", root="/outer")

    assert codes == [200, 200, 404]
    assert requests.counts == {("/episodes/{id}", "ok"): 1, ("/group/{group}/{step}", "ok"): 1}


async def test_the_routes_of_a_bare_router_are_found(registry: Registry, requests: Requests) -> None:
    await send(scope.ASGIMiddleware(Router([Route("/episodes/{id}", answer)]), registry=registry), "/episodes/7")

    assert requests.only == ("/episodes/{id}", "ok")


class Refusing:
    """A middleware that answers everything itself."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("later", 503)(scope, receive, send)


@pytest.mark.parametrize("where", ["around both", "around the application", "within"])
async def test_a_request_that_a_middleware_answers_has_the_route_that_would_have_matched(
    registry: Registry, requests: Requests, where: str
) -> None:
    app: Any = Starlette(routes=[Mount("/api", routes=[Route("/episodes/{id}", answer)])])
    if where == "around both":
        app = scope.ASGIMiddleware(Refusing(app), registry=registry)
    else:
        app.add_middleware(Refusing)
        if where == "within":
            app.add_middleware(scope.ASGIMiddleware, registry=registry)
        else:
            app = scope.ASGIMiddleware(app, registry=registry)

    assert await send(app, "/api/episodes/7", "/none") == [503, 503]

    assert requests.counts == {("/api/episodes/{id}", "error"): 1, ("unmatched", "error"): 1}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/episodes/7/", "episodes/<int:id>/"),
        ("/api/v1/episodes/7", "api/v1/episodes/<int:id>"),
        ("/old/7", r"^old/(?P<id>\d+)$"),
        ("/fails/missing", "fails/<kind>"),
        ("/episodes/seven/", "unmatched"),
    ],
)
async def test_django_gives_its_resolvers_route(registry: Registry, requests: Requests, path: str, route: str) -> None:
    await send(scope.ASGIMiddleware(get_asgi_application(), registry=registry), path)

    assert requests.only == (route, "ok")


async def test_django_below_a_prefix_gives_the_route_without_it(registry: Registry, requests: Requests) -> None:
    await send(scope.ASGIMiddleware(get_asgi_application(), registry=registry), "/outer/episodes/7/", root="/outer")

    assert requests.only == ("episodes/<int:id>/", "ok")


async def test_an_application_of_no_framework_has_one_route_for_all(registry: Registry, requests: Requests) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    await send(scope.ASGIMiddleware(app, registry=registry), *(f"/episodes/{id}" for id in range(5)))

    assert requests.counts == {("unmatched", "ok"): 5}


async def test_a_function_of_the_service_names_the_route_or_leaves_it_to_the_framework(
    registry: Registry, requests: Requests
) -> None:
    def route(where: Any) -> str | None:
        return "/everything/of/{tenant}" if where["path"].startswith("/tenants/") else None

    app = fastapi_app(Registry())
    await send(
        scope.ASGIMiddleware(app, registry=registry, route=route), "/tenants/a/notes/1", "/tenants/a/none", "/stats"
    )

    assert requests.counts == {("/everything/of/{tenant}", "ok"): 2, ("/stats", "ok"): 1}


@pytest.mark.parametrize("route", [lambda where: where["nothing"], lambda where: 7], ids=["raises", "no text"])
async def test_a_route_function_that_fails_is_counted_and_does_not_reach_the_service(
    route: Callable[[Any], Any],
) -> None:
    registry = Registry()
    app = Starlette(routes=[Route("/episodes/{id}", answer)])
    app.add_middleware(scope.ASGIMiddleware, registry=registry, route=route)

    assert await send(app, "/episodes/7") == [200]

    requests = Requests(registry)
    assert requests.only == ("unmatched", "ok")
    assert requests.dropped == {("request.duration", "callback"): 1}


async def test_code_within_a_request_names_its_route(registry: Registry, requests: Requests) -> None:
    def handler(request: Request) -> Response:  # in its own thread
        under_way = scope.current_request()
        assert under_way is not None
        assert under_way.registry is registry
        under_way.route = "/named/{id}"
        return answer(request)

    app = Starlette(routes=[Route("/episodes/{id}", handler)])
    app.add_middleware(scope.ASGIMiddleware, registry=registry, route=lambda where: "/function")
    await send(app, "/episodes/7")

    assert requests.only == ("/named/{id}", "ok")
    assert scope.current_request() is None


async def test_a_request_made_within_another_is_recorded_by_itself(registry: Registry, requests: Requests) -> None:
    inner = scope.ASGIMiddleware(Router([Route("/inner", answer)]), registry=registry)

    async def outer(request: Request) -> Response:
        await send(inner, "/inner")
        under_way = scope.current_request()
        assert under_way is not None
        under_way.route = "/outer, named"
        return answer(request)

    await send(scope.ASGIMiddleware(Router([Route("/outer", outer)]), registry=registry), "/outer")

    assert requests.counts == {("/inner", "ok"): 1, ("/outer, named", "ok"): 1}


async def test_two_middlewares_around_each_other_record_a_request_once_in_each_registry(
    registry: Registry, requests: Requests
) -> None:
    other = Registry(strict=True)
    app: Any = Router([Route("/episodes/{id}", answer)])
    for chosen in (registry, other, registry):
        app = scope.ASGIMiddleware(app, registry=chosen)
    await send(app, "/episodes/7")

    assert requests.only == ("/episodes/{id}", "ok")
    assert Requests(other).only == ("/episodes/{id}", "ok")


async def test_probes_and_scrapes_are_left_out_unless_the_service_includes_them(
    registry: Registry, requests: Requests
) -> None:
    app = scope.asgi_app(registry=Registry())
    paths = ("/health", "/ready", "/metrics", "/metrics.json")

    await send(scope.ASGIMiddleware(app, registry=registry), *paths)
    assert requests.counts == {}
    await send(scope.ASGIMiddleware(app, registry=registry, exclude=()), *paths)
    assert requests.counts == {("unmatched", "ok"): 4}


@pytest.mark.parametrize(
    ("exclude", "recorded"),
    [
        (["/internal"], ["/", "/internals"]),
        (["/internal/"], ["/", "/internal", "/internals"]),
        (["/"], ["/internal", "/internal/metrics", "/internals"]),
        ([], ["/", "/internal", "/internal/metrics", "/internals"]),
    ],
)
async def test_an_excluded_path_excludes_what_is_below_it(
    registry: Registry, requests: Requests, exclude: list[str], recorded: list[str]
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("done")(scope, receive, send)

    observed = scope.ASGIMiddleware(app, registry=registry, route=lambda where: where["path"], exclude=exclude)
    await send(observed, "/", "/internal", "/internal/metrics", "/internals")

    assert sorted(requests.routes) == recorded


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"exclude": "/health"}, "give a sequence of paths, such as ['/health']"),
        ({"exclude": ["health"]}, "'health' is no path; begin it with a slash"),
        ({"exclude": [404]}, "404 is no path; begin it with a slash"),
        ({"route": "/episodes"}, "give a function that returns a route template"),
    ],
)
@pytest.mark.parametrize("middleware", [scope.ASGIMiddleware, scope.WSGIMiddleware])
def test_a_wrong_argument_raises_where_it_is_written(middleware: Any, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        middleware(None, registry=Registry(), **options)

    assert complaint in str(refused.value)


def test_the_paths_left_out_are_those_of_the_exporters() -> None:
    assert sorted(OWN_PATHS) == sorted(PATHS)


async def test_websockets_and_lifespan_pass_unrecorded(registry: Registry, requests: Requests) -> None:
    app = FastAPI()
    app.add_middleware(scope.ASGIMiddleware, registry=registry)

    @app.websocket("/live/{id}")
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        assert scope.current_request() is None
        await websocket.close()

    async def talk(kind: str, *received: str) -> list[str]:
        messages, sent = iter(received), []

        async def receive() -> Any:
            return {"type": next(messages)}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await app({"type": kind, "path": "/live/7", "headers": [], "query_string": b"", "state": {}}, receive, send)
        return sent

    assert await talk("websocket", "websocket.connect") == ["websocket.accept", "websocket.close"]
    assert await talk("lifespan", "lifespan.startup", "lifespan.shutdown") == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert requests.counts == {}
    assert requests.in_flight == 0


async def test_a_routes_other_outcomes_begin_at_zero_with_its_first_request(registry: Registry) -> None:
    await send(starlette_app(registry), "/episodes/7")

    (family,) = [f for f in registry.snapshot().families if f.metric is catalog.REQUEST_DURATION]
    assert {point.labels for point in family.points} == {
        ("/episodes/{id}", outcome) for outcome in ("ok", "error", "cancelled")
    }


def test_a_middleware_without_a_registry_records_in_the_default_one() -> None:
    before = Requests(scope.default_registry()).counts
    app = scope.ASGIMiddleware(Router([Route("/default/{registry}", answer)]))
    asyncio.run(send(app, "/default/7"))

    after = Requests(scope.default_registry()).counts
    assert after.get(("/default/{registry}", "ok"), 0) == before.get(("/default/{registry}", "ok"), 0) + 1
    assert scope.gauge(catalog.REQUEST_IN_FLIGHT).point() is not None


def test_a_middleware_is_imported_at_first_use_and_imports_no_framework_or_event_loop() -> None:
    script = (
        "import sys, mnemoscope as scope\n"
        "loaded = lambda: {name.rpartition('.')[2] for name in sys.modules if 'middleware' in name}\n"
        "print(sorted(loaded()))\n"
        "scope.ASGIMiddleware(None); scope.WSGIMiddleware(None)\n"
        "print(sorted(loaded()))\n"
        "print(sorted({'asyncio', 'starlette', 'fastapi', 'flask', 'werkzeug', 'django'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    before, after, foreign = done.stdout.splitlines()
    assert before == "['bodies', 'current', 'middleware', 'statuses']"  # which `request` needs
    assert after == "['asgi', 'bodies', 'current', 'middleware', 'request_recording', 'routes', 'statuses', 'wsgi']"
    assert foreign == "[]"
