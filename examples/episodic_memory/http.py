"""The HTTP API. Handlers translate requests and answers; blocking work runs in threads."""

from __future__ import annotations

import hmac
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from time import perf_counter
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

import mnemoscope as scope
from mnemoscope import catalog as m

from .errors import BadRequest, ServiceError, Unauthorized, Unavailable
from .faults import Faults
from .gate import CompletionGate
from .limits import RateLimit
from .model import Memory, Step
from .recall import PATHS
from .service import EpisodicMemory, Outcome
from .traffic import Traffic

Handler = Callable[[Request], Awaitable[Response]]
Body = TypeVar("Body", bound=BaseModel)
Name = Annotated[str, Field(min_length=1, max_length=200)]
_MOST_RESULTS = 100
_log = logging.getLogger(__name__)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewEpisode(_Body):
    """The body of POST /episodes."""

    user: Name
    description: Annotated[str, Field(min_length=1)]
    tags: list[Name] = []


class NewStep(_Body):
    """One step of POST /episodes/{id}/steps."""

    tool: Name
    action: str = ""
    observation: str = ""


class NewSteps(_Body):
    """The body of POST /episodes/{id}/steps."""

    steps: Annotated[list[NewStep], Field(min_length=1)]


class NewCompletion(_Body):
    """The body of POST /episodes/{id}/complete."""

    outcome: Outcome
    artifacts: dict[Name, str] = {}


class Api:
    """The routes of the service and of mnemoscope."""

    def __init__(self, memory: EpisodicMemory, traffic: Traffic) -> None:
        config = memory.config
        self._memory = memory
        self._traffic = traffic
        self._tokens = [token.encode() for token in config.tokens]
        self._rate = RateLimit(config.requests_per_second, config.burst)
        self._gate = CompletionGate(config.completions, config.completion_queue)

    def app(self) -> scope.ASGIMiddleware:
        """Return the ASGI application, which records every request by route and status."""
        table: tuple[tuple[str, str, Handler], ...] = (
            ("POST", "/episodes", self._create),
            ("GET", "/episodes/{id}", self._get),
            ("POST", "/episodes/{id}/steps", self._append),
            ("POST", "/episodes/{id}/complete", self._complete),
            ("GET", "/recall", self._recall),
            ("POST", "/consolidate", self._consolidate),
            ("POST", "/reconcile", self._reconcile),
            ("POST", "/backup", self._backup),
            ("GET", "/stats", self._stats),
            ("GET", "/faults", self._get_faults),
            ("PUT", "/faults", self._put_faults),
        )
        routes = [Route(path, self._endpoint(handler), methods=[method]) for method, path, handler in table]
        return scope.ASGIMiddleware(Router(routes, default=scope.asgi_app(debug_locks=self._memory.config.debug_locks)))

    def _endpoint(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                with self._traffic.admit():
                    self._authenticate(request)
                    self._rate.take()
                    return await handler(request)
            except Exception as error:
                return _refusal(error)

        return answer

    # Handlers -------------------------------------------------------------------------------------

    async def _create(self, request: Request) -> Response:
        new = await self._read(request, NewEpisode)
        episode = await run_in_threadpool(self._memory.create, new.user, new.description, new.tags)
        return JSONResponse(asdict(episode), 201)

    async def _get(self, request: Request) -> Response:
        return JSONResponse(asdict(await run_in_threadpool(self._memory.get, _id(request))))

    async def _append(self, request: Request) -> Response:
        new = await self._read(request, NewSteps)
        steps = [Step(step.tool, step.action, step.observation) for step in new.steps]
        return JSONResponse(asdict(await run_in_threadpool(self._memory.append, _id(request), steps)))

    async def _complete(self, request: Request) -> Response:
        new = await self._read(request, NewCompletion)
        episode = await self._gate.run(self._memory.complete, _id(request), new.outcome, new.artifacts)
        return JSONResponse(asdict(episode))

    async def _recall(self, request: Request) -> Response:
        query = request.query_params.get("q", "")
        path = next((path for path in PATHS if path == request.query_params.get("path", "blended")), None)
        count = request.query_params.get("k", "5")
        if not query:
            raise BadRequest("q: give the text to recall")
        if path is None:
            raise BadRequest(f"path: choose one of {', '.join(PATHS)}")
        if not count.isdecimal() or not 1 <= int(count) <= _MOST_RESULTS:
            raise BadRequest(f"k: a number from 1 to {_MOST_RESULTS}")
        user = request.query_params.get("user", "")
        found = await run_in_threadpool(self._memory.recall, query, path, int(count), user)
        return JSONResponse({"path": path, "results": [_memory(memory) for memory in found]})

    async def _consolidate(self, _request: Request) -> Response:
        return JSONResponse({"concepts_formed": await run_in_threadpool(self._memory.consolidate)})

    async def _reconcile(self, _request: Request) -> Response:
        return JSONResponse({"found": await run_in_threadpool(self._memory.reconcile)})

    async def _backup(self, _request: Request) -> Response:
        return JSONResponse({"backup": await run_in_threadpool(self._memory.backup)}, 201)

    async def _stats(self, _request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._memory.stats))

    async def _get_faults(self, _request: Request) -> Response:
        return JSONResponse(self._memory.faults.current.model_dump())

    async def _put_faults(self, request: Request) -> Response:
        """Replace all switches; a switch that the body does not name is off."""
        self._memory.faults.current = await self._read(request, Faults)
        return await self._get_faults(request)

    # What every request has in common -------------------------------------------------------------

    async def _read(self, request: Request, body: type[Body]) -> Body:
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            self._memory.limits.check_body(len(data))
        return body.model_validate_json(bytes(data))

    def _authenticate(self, request: Request) -> None:
        started = perf_counter()
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        # Every token is compared in constant time, so the delay of the answer reveals nothing.
        matches = [hmac.compare_digest(token.encode(), known) for known in self._tokens]
        accepted = not self._tokens or (scheme.lower() == "bearer" and any(matches))
        outcome = "accepted" if accepted else "refused"
        scope.histogram(m.SERVICE_AUTHENTICATION_DURATION, outcome=outcome).observe(perf_counter() - started)
        if not accepted:
            raise Unauthorized("send a known token as Authorization: Bearer")


def _refusal(error: Exception) -> Response:
    match error:
        case ValidationError():
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            return JSONResponse(
                {"error": f"{place or 'body'}: {first['msg']}"}, 400 if first["type"] == "json_invalid" else 422
            )
        case sqlite3.Error():
            return _refusal(Unavailable(f"the durable store failed: {error}"))
        case ServiceError():
            headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
            return JSONResponse({"error": str(error)}, error.status, headers)
    _log.error("a request failed", exc_info=error)
    return JSONResponse({"error": f"internal error: {error}"}, 500)


def _id(request: Request) -> int:
    text = request.path_params["id"]
    if not text.isdecimal() or len(text) > 18:
        raise BadRequest(f"{text!r} is not the id of an episode")
    return int(text)


def _memory(memory: Memory) -> dict[str, Any]:
    return {"score": round(memory.score, 6), **asdict(memory.episode)}
