"""Any steps of an application and its client, in any order, make one record, and leave nothing in flight.

A model gives the outcome: a client that leaves before the last byte cancels the request; else an exception or a missing
end is an error; else the status decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from request_helpers import Requests

import mnemoscope as scope
from mnemoscope.instrumentation.recording.registry import Registry

STATUSES = st.sampled_from([200, 204, 304, 404, 499, 500, 503, 599])
FAILURES: dict[str, Callable[[], BaseException]] = {
    "raise": lambda: RuntimeError("boom"),
    "cancel": asyncio.CancelledError,
    "interrupt": KeyboardInterrupt,
}
Step = tuple[str, int]


def expected(steps: list[Step], status: int | None, complete: bool, left: bool) -> str:
    """Return the model's outcome of a request that went through these steps."""
    last = steps[-1][0] if steps else ""
    if left or (not complete and last in ("cancel", "interrupt")):
        return "cancelled"
    if not complete:
        return "error"
    return "error" if status is None or status >= 500 else "ok"


ASGI_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), STATUSES),
        st.tuples(
            st.sampled_from(["chunk", "last", "disconnect", "request", "refused", "broken", "early hint"]), st.just(0)
        ),
    ),
    max_size=7,
)


@settings(deadline=None)
@given(ASGI_STEPS, st.sampled_from(["", *FAILURES]))
@example([("start", 200), ("refused", 0), ("disconnect", 0)], "")
def test_any_sequence_of_asgi_messages_ends_as_in_the_model(steps: list[Step], ending: str) -> None:
    if ending:
        steps = [*steps, (ending, 0)]
    registry = Registry(strict=True)
    requests = Requests(registry)
    sent: list[Any] = []
    status: int | None = None
    complete = left = False
    incoming: list[Any] = []
    refusal: BaseException | None = None

    async def receive() -> Any:
        return incoming.pop()

    async def send(message: Any) -> None:
        if refusal is not None:
            raise refusal
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal status, complete, left, refusal
        for step, code in steps:
            assert requests.in_flight == (not complete)
            if step == "start":
                status = code if not complete else status
                await send({"type": "http.response.start", "status": code})
            elif step in ("chunk", "last"):
                complete = complete or step == "last"
                await send({"type": "http.response.body", "body": b"x", "more_body": step == "chunk"})
            elif step == "early hint":
                await send({"type": "http.response.early_hint", "links": []})
            elif step in ("disconnect", "request"):
                left = left or (step == "disconnect" and not complete)
                incoming.append({"type": f"http.{step}"})
                assert await receive() == {"type": f"http.{step}"}
            elif step in ("refused", "broken"):
                left = left or (step == "broken" and not complete)
                refusal = BrokenPipeError() if step == "broken" else RuntimeError("wrong order")
                with pytest.raises(type(refusal)):
                    await send({"type": "http.response.body", "body": b"x"})
                refusal = None
            else:
                raise FAILURES[step]()

    observed = scope.ASGIMiddleware(app, registry=registry)
    where = {"type": "http", "method": "GET", "path": "/x", "headers": []}
    call: Any = observed(where, receive, send)
    try:
        call.send(None)  # nothing in it waits, so that one step is the whole run
    except StopIteration:
        assert not ending
    except BaseException as error:
        assert type(error) is type(FAILURES[ending]())  # noqa: PT017

    assert requests.counts == {("unmatched", expected(steps, status, complete, left)): 1}
    assert requests.in_flight == 0
    assert [m.get("status", m.get("more_body")) for m in sent] == [
        {"start": code, "chunk": True, "last": False, "early hint": None}[step]
        for step, code in steps
        if step in ("start", "chunk", "last", "early hint")
    ]


WSGI_STEPS = st.lists(st.sampled_from(["start", "start again", "write", "broken write", "chunk"]), max_size=7)


class WSGIApplication:
    """An application that goes through the steps, and stores what the client and the middleware see of them."""

    def __init__(self, steps: list[str], code: int, ending: str, *, lazy: bool, closes: bool) -> None:
        self.steps = [*steps, ending] if ending else steps
        self.code = code
        self.lazy = lazy
        self.closes = closes
        self.status: int | None = None
        self.left = False
        self.closed: list[bool] = []
        self._broken = False

    def start(self, *arguments: Any) -> Any:
        """Take the place of the server's `start_response`."""
        assert len(arguments) in (2, 3)
        return self._write

    def _write(self, data: bytes) -> None:
        if self._broken:
            raise BrokenPipeError

    def __call__(self, environ: Any, start_response: Any) -> Any:
        chunks = self._work(start_response)
        if not self.lazy:
            chunks = iter(list(chunks))
        return (ClosableBody if self.closes else Body)(chunks, self.closed)

    def _work(self, start_response: Any) -> Iterator[bytes]:
        writer: Any = None
        for step in self.steps:
            if step.startswith("start"):
                self.status = self.code
                more = {"exc_info": (None, None, None)} if step == "start again" else {}
                writer = start_response(f"{self.code} Text", [], **more)
            elif step == "chunk":
                yield b"x"
            elif step in FAILURES:
                raise FAILURES[step]()
            elif writer is not None:
                self._broken = step == "broken write"
                self.left = self.left or self._broken
                with pytest.raises(BrokenPipeError) if self._broken else nullcontext():
                    writer(b"x")


class Body:
    def __init__(self, chunks: Iterator[bytes], closed: list[bool]) -> None:
        self.chunks = chunks
        self.closed = closed

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks


class ClosableBody(Body):
    def close(self) -> None:
        self.closed.append(True)


@settings(deadline=None)
@given(
    WSGI_STEPS,
    STATUSES,
    st.sampled_from(["", "raise", "interrupt"]),
    st.integers(0, 9),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["GET", "HEAD"]),
)
def test_any_sequence_of_wsgi_steps_ends_as_in_the_model(
    steps: list[str], code: int, ending: str, read: int, lazy: bool, closes: bool, method: str
) -> None:
    """Compare with the model; the server reads `read` chunks before it closes, and a `lazy` body does all the work."""
    registry = Registry(strict=True)
    requests = Requests(registry)
    app = WSGIApplication(steps, code, ending, lazy=lazy, closes=closes)
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": "/x"}
    setup_testing_defaults(environ)
    exhausted = failed = False
    body: Any = None
    try:
        body = scope.WSGIMiddleware(app, registry=registry)(environ, app.start)
        for _ in range(read):
            next(body)
    except StopIteration:
        exhausted = True
    except BaseException as error:
        assert type(error) is type(FAILURES[ending]())  # noqa: PT017
        failed = True
    assert requests.in_flight == (not exhausted and not failed)
    if body is not None:
        body.close()
        assert app.closed == [True] * closes

    unread = read == 0 and (method == "HEAD" or (not lazy and app.status in (204, 304)))
    if app.left or (failed and ending == "interrupt"):
        outcome = "cancelled"
    elif failed:
        outcome = "error"
    elif not exhausted and not unread:
        outcome = "cancelled"
    else:
        outcome = "error" if app.status is None or app.status >= 500 else "ok"
    assert requests.counts == {("unmatched", outcome): 1}
    assert requests.in_flight == 0
