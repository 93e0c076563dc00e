"""The four paths as an ASGI application that leaves the event loop to others while it collects and renders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .endpoints import Endpoints, folded

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi_app(app: Endpoints) -> ASGIApplication:
    """An ASGI 3 application for the scopes http and lifespan, alone or mounted; it refuses websockets."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _http(app, scope, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    return application


async def _http(app: Endpoints, scope: Scope, send: Send) -> None:
    # Imported late: `import mnemoscope` should not load an event loop.
    import asyncio

    headers = folded((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    response = await asyncio.to_thread(
        app.handle, scope["method"], _path(scope), scope.get("query_string", b"").decode("latin-1"), headers
    )
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in response.headers],
        }
    )
    for chunk in response.body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _path(scope: Scope) -> str:
    """The path below the mount point: servers and routers that follow the specification leave it in `path`."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
