"""Whatever an application and its client do, in whatever order: one record, nothing in flight, nothing changed.

Each sequence is played against a model: a client that leaves before the last byte has cancelled
the request; else an exception or a missing end is an error; else the status decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
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
    """The outcome by the model, of a request that went through these steps."""
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
def test_any_sequence_of_asgi_messages_ends_as_the_model_says(steps: list[Step], ending: str) -> None:
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
def test_any_way_through_a_wsgi_application_ends_as_the_model_says(
    steps: list[str], code: int, ending: str, read: int, lazy: bool, closes: bool, method: str
) -> None:
    """`read` is how many chunks the server takes before it closes; `lazy`, whether all happens in the body."""
    registry = Registry(strict=True)
    requests = Requests(registry)
    status: int | None = None
    left = False
    closed: list[bool] = []
    broken = False

    def write(data: bytes) -> None:
        if broken:
            raise BrokenPipeError

    def start(*arguments: Any) -> Any:
        assert len(arguments) in (2, 3)
        return write

    def work(start_response: Any) -> Iterator[bytes]:
        nonlocal status, left, broken
        writer: Any = None
        for step in steps:
            if step.startswith("start"):
                status = code
                more = {"exc_info": (None, None, None)} if step == "start again" else {}
                writer = start_response(f"{code} Text", [], **more)
            elif step == "chunk":
                yield b"x"
            elif writer is not None:
                broken, left = step == "broken write", left or step == "broken write"
                if broken:
                    with pytest.raises(BrokenPipeError):
                        writer(b"x")
                else:
                    writer(b"x")
        if ending:
            raise FAILURES[ending]()

    class Body:
        def __init__(self, chunks: Iterator[bytes]) -> None:
            self.chunks = chunks

        def __iter__(self) -> Iterator[bytes]:
            return self.chunks

    class ClosableBody(Body):
        def close(self) -> None:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Any:
        chunks = work(start_response)
        if not lazy:
            chunks = iter(list(chunks))
        return (ClosableBody if closes else Body)(chunks)

    environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": "/x"}
    setup_testing_defaults(environ)
    taken = 0
    exhausted = failed = False
    body: Any = None
    try:
        body = scope.WSGIMiddleware(app, registry=registry)(environ, start)
        for _ in range(read):
            next(body)
            taken += 1
    except StopIteration:
        exhausted = True
    except BaseException as error:
        assert type(error) is type(FAILURES[ending]())  # noqa: PT017
        failed = True
    assert requests.in_flight == (not exhausted and not failed)
    if body is not None:
        body.close()
        assert closed == [True] * closes

    unread = read == 0 and (method == "HEAD" or (not lazy and status in (204, 304)))
    if left or (failed and ending == "interrupt"):
        outcome = "cancelled"
    elif failed:
        outcome = "error"
    elif not exhausted and not unread:
        outcome = "cancelled"
    else:
        outcome = "error" if status is None or status >= 500 else "ok"
    assert requests.counts == {("unmatched", outcome): 1}
    assert requests.in_flight == 0
