"""The endpoints as an ASGI application; it collects and renders in a thread, so that the event loop goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .endpoints import Endpoints, folded

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi_app(endpoints: Endpoints) -> ASGIApplication:
    """Return an ASGI 3 application for HTTP and lifespan, alone or mounted; it refuses websockets."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _http(endpoints, scope, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    return application


async def _http(endpoints: Endpoints, scope: Scope, send: Send) -> None:
    # Imported late, so that `import mnemoscope` loads no event loop.
    import asyncio

    headers = folded((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    response = await asyncio.to_thread(
        endpoints.handle, scope["method"], _path(scope), scope.get("query_string", b"").decode("latin-1"), headers
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
    """Return the path below the mount point, which the specification leaves in `path`."""
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
