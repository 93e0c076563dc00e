"""Record the requests of an ASGI application: Starlette, FastAPI, Django or any other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..recording.registry import Registry
from . import routes
from .current import CurrentRequest
from .request_recording import OWN_PATHS, RequestRecorder, RouteOf

if TYPE_CHECKING:
    from ..exporters.http.asgi import ASGIApplication, Message, Receive, Scope, Send


class ASGIMiddleware:
    """Records duration, route and outcome of each HTTP request, and how many are in flight.

        app.add_middleware(scope.ASGIMiddleware)  # FastAPI, Starlette
        application = scope.ASGIMiddleware(get_asgi_application())  # Django

    The time runs to the last byte of the body, without background tasks. The outcome is `error` for a status from 500
    on and for an exception that leaves the application. It is `cancelled` for a request whose client left before the
    last byte. Websockets and lifespan pass through.

    Args:
        app: the application.
        registry: where to record; the default registry if not given.
        route: gets the ASGI scope when the answer begins, and returns the route's template. If it returns None, the
            middleware finds the template. If it raises, the route is `unmatched`, and the failure counts as dropped.
        exclude: paths that are not recorded, nor the paths below them; those of this library's exporters by default.

    Raises:
        TypeError: `route` cannot be called, or `exclude` is a string instead of several.
        ValueError: an excluded path does not begin with a slash.
    """

    def __init__(
        self,
        app: ASGIApplication,
        *,
        registry: Registry | None = None,
        route: RouteOf | None = None,
        exclude: Iterable[str] = OWN_PATHS,
    ) -> None:
        self.app = app
        self._recorder = RequestRecorder(registry, route, exclude)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        recording = self._recorder.begin(scope, routes.path_of(scope)) if scope["type"] == "http" else None
        if recording is None:
            await self.app(scope, receive, send)
            return
        last = False

        def template() -> str:
            return self._recorder.template(scope, lambda: routes.of_scope(scope, self.app))

        async def observed_receive() -> Message:
            message = await receive()
            # A server reports a disconnect after each answer too.
            if message.get("type") == "http.disconnect" and not last:
                recording.left = True
            return message

        async def observed_send(message: Message) -> None:
            nonlocal last
            kind = message.get("type")
            if kind == "http.response.start":
                recording.answering(message.get("status"), template)
            last = final = kind == "http.response.pathsend" or (
                kind == "http.response.body" and not message.get("more_body", False)
            )
            try:
                await send(message)
            except BaseException as error:
                last = False
                if isinstance(error, OSError):  # a server raises it when the client has left
                    recording.left = True
                raise
            if final:
                recording.answered()

        with CurrentRequest(recording):
            try:
                await self.app(scope, observed_receive, observed_send)
            except BaseException as error:
                recording.failed(error, template)
                raise
            recording.failed(None, template)  # unless the last byte was sent
