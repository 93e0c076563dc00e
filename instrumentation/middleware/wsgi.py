"""Record the requests of a WSGI application: Flask, Django or any other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..recording.registry import Registry
from . import routes
from .bodies import after_close
from .current import CurrentRequest
from .request_recording import OWN_PATHS, RequestRecorder, RequestRecording, RouteOf, Template
from .statuses import status_code

if TYPE_CHECKING:
    from ..exporters.http.wsgi import WSGIApplication

_WITHOUT_BODY = (204, 304)


class WSGIMiddleware:
    """Records duration, route and outcome of each request, and how many are in flight.

        app.wsgi_app = scope.WSGIMiddleware(app.wsgi_app)  # Flask
        application = scope.WSGIMiddleware(get_wsgi_application())  # Django

    It records the same as `ASGIMiddleware` and takes the same arguments; `route` gets the WSGI environ. The server
    closes a body before its end when the client has left.

    Raises:
        TypeError: `route` cannot be called, or `exclude` is a string instead of several.
        ValueError: an excluded path does not begin with a slash.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        registry: Registry | None = None,
        route: RouteOf | None = None,
        exclude: Iterable[str] = OWN_PATHS,
    ) -> None:
        self.app = app
        self._recorder = RequestRecorder(registry, route, exclude)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        recording = self._recorder.begin(environ, environ.get("PATH_INFO", ""))
        if recording is None:
            return self.app(environ, start_response)
        mount = environ.get("SCRIPT_NAME", "")

        def template() -> str:
            return self._recorder.template(environ, lambda: routes.of_environ(environ, self.app, mount))

        def observed_start(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], Any]:
            recording.answering(status_code(status), template)
            write = start_response(status, headers, *(() if exc_info is None else (exc_info,)))

            def observed_write(data: bytes) -> Any:
                try:
                    return write(data)
                except OSError:  # the client has left
                    recording.left = True
                    raise

            return observed_write

        with CurrentRequest(recording):
            try:
                body = self.app(environ, observed_start)
            except BaseException as error:
                recording.failed(error, template)
                raise
        if _is_file(body, environ) and after_close(body, recording.closed):
            return body
        wanted = environ.get("REQUEST_METHOD") != "HEAD" and recording.status not in _WITHOUT_BODY
        return (_SizedBody if hasattr(type(body), "__len__") else _Body)(body, recording, template, wanted)


def _is_file(body: object, environ: dict[str, Any]) -> bool:
    """Return whether the server has its own way to send this body, if it gets the unchanged body."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(body, wrapper)


class _Body:
    """A body that ends its request: by its end, its failure, or an earlier close."""

    __slots__ = ("_body", "_iterator", "_recording", "_template", "_wanted")

    def __init__(self, body: Iterable[bytes], recording: RequestRecording, template: Template, wanted: bool) -> None:
        self._body = body
        self._iterator: Iterator[bytes] | None = None
        self._recording = recording
        self._template = template
        self._wanted = wanted  # False if the body need not be read, as after HEAD

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with CurrentRequest(self._recording):
            try:
                if self._iterator is None:
                    self._iterator = iter(self._body)
                return next(self._iterator)
            except StopIteration:
                self._recording.answered()
                raise
            except BaseException as error:
                self._recording.failed(error, self._template)
                raise

    def __del__(self) -> None:
        self._recording.answered()  # servers close a body, but the client of a test may read only the status

    def close(self) -> None:
        self._recording.closed(GeneratorExit() if self._wanted or self._iterator is not None else None)
        close = getattr(self._body, "close", None)
        if close is not None:
            with CurrentRequest(self._recording):
                close()


class _SizedBody(_Body):
    """A body with a length, from which servers derive `Content-Length`."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self._body)  # type: ignore[arg-type]  # made only for bodies that have a length
