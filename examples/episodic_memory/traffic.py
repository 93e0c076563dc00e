"""The requests in flight, for which a shutdown waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from .errors import Unavailable


class Traffic:
    """The requests in flight, and whether more are admitted. For one event loop, so without locks."""

    def __init__(self) -> None:
        self.closed = "the service is loading"
        self.in_flight = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextlib.contextmanager
    def admit(self) -> Iterator[None]:
        """Count a request while it runs.

        Raises:
            Unavailable: the service is loading or shutting down.
        """
        if self.closed:
            raise Unavailable(self.closed)
        self.in_flight += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._empty.set()

    async def drained(self) -> None:
        """Wait until no request is in flight."""
        await self._empty.wait()
