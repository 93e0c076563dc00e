"""The requests in flight, which a service that ends has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from .errors import Unavailable


class Traffic:
    """The requests that are in flight, and whether more are let in. For one event loop, and so without locks."""

    def __init__(self) -> None:
        self.closed = "the service is loading"
        self.in_flight = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextlib.contextmanager
    def admit(self) -> Iterator[None]:
        """Counts a request while it runs.

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
        """Waits until no request is in flight."""
        await self._empty.wait()
