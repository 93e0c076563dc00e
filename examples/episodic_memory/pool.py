"""A small pool of SQLite connections: opened when first needed, never more than the limit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import mnemoscope as scope
from mnemoscope import catalog as m

from .errors import Unavailable


class PoolExhausted(Unavailable, TimeoutError):
    """No connection became free in time."""


class ConnectionPool:
    """Connections, each lent to one caller.

    A caller that gets none within `timeout` seconds gets PoolExhausted.
    """

    def __init__(
        self, name: str, connect: Callable[[], sqlite3.Connection], *, limit: int, timeout: float = 5.0
    ) -> None:
        self._connect = connect
        self._timeout = timeout
        self._limit = limit
        self._free = scope.Condition(name="connections")
        self._idle: list[sqlite3.Connection] = []
        self._in_use = 0
        self._waiting = 0
        self._exhausted = scope.counter(m.STORAGE_POOL_EXHAUSTED, pool=name)
        scope.gauge(m.STORAGE_POOL_LIMIT, pool=name).set(limit)
        scope.gauge(m.STORAGE_POOL_CONNECTIONS, pool=name, state="in_use").set_function(lambda: self._in_use)
        scope.gauge(m.STORAGE_POOL_CONNECTIONS, pool=name, state="idle").set_function(lambda: len(self._idle))
        scope.gauge(m.STORAGE_POOL_CONNECTIONS, pool=name, state="waiting").set_function(lambda: self._waiting)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for the length of the block."""
        connection = self._take()
        try:
            yield connection
        finally:
            with self._free:
                self._in_use -= 1
                self._idle.append(connection)
                self._free.notify()

    def close(self) -> None:
        """Close the idle connections; call it when all work is done."""
        with self._free:
            while self._idle:
                self._idle.pop().close()

    def _take(self) -> sqlite3.Connection:
        with self._free:
            self._waiting += 1
            try:
                free = self._free.wait_for(lambda: self._in_use < self._limit, self._timeout)
            finally:
                self._waiting -= 1
            if not free:
                self._exhausted.inc()
                raise PoolExhausted(f"no connection became free within {self._timeout:g} s")
            connection = self._idle.pop() if self._idle else self._connect()
            self._in_use += 1
            return connection
