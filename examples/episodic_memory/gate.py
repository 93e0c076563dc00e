"""A limit on concurrent completions, with a bounded queue; further completions are refused immediately."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

import mnemoscope as scope
from mnemoscope import catalog as m

from .errors import Unavailable

P = ParamSpec("P")
R = TypeVar("R")


class CompletionGate:
    """The limit on completions, which block and so run in threads."""

    def __init__(self, limit: int, queue: int) -> None:
        self._permits = scope.AsyncSemaphore(limit, "completions")
        self._queue = queue
        self._waiting = 0
        self._completion = scope.completion(limit=limit)
        scope.gauge(m.COMPLETION_QUEUE_DEPTH).set_function(lambda: self._waiting)

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a thread and return its result.

        Raises:
            Unavailable: the queue is full.
        """
        await self._enter()
        try:
            with self._completion:
                return await run_in_threadpool(work, *args, **kwargs)
        finally:
            self._permits.release()

    async def _enter(self) -> None:
        if self._permits.locked() and self._waiting >= self._queue:
            scope.counter(m.COMPLETION_REJECTIONS).inc()
            raise Unavailable(f"{self._waiting} completions are waiting already")
        self._waiting += 1
        try:
            await self._permits.acquire()
        finally:
            self._waiting -= 1
