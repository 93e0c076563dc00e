"""The request that the running code belongs to. Its own small module, because every decorated handler imports it."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .request_recording import RequestRecording

_current: ContextVar[RequestRecording | None] = ContextVar("mnemoscope_request", default=None)


def current_request() -> RequestRecording | None:
    """Return the request that a middleware records around this code; None outside a request and after its last byte.

    if (request := scope.current_request()) is not None:
        request.route = "/episodes/{id}"  # for a framework that the middleware does not know
    """
    recording = _current.get()
    return None if recording is None or recording.ended else recording


class CurrentRequest:
    """A block of code in which `current_request` returns the recording."""

    __slots__ = ("_recording", "_token")

    def __init__(self, recording: RequestRecording) -> None:
        self._recording = recording

    def __enter__(self) -> None:
        self._token = _current.set(self._recording)

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):  # the garbage collector ends an abandoned coroutine in another context
            _current.reset(self._token)
