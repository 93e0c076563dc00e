"""Call a function such that its result is never lost to a signal handler's exception.

The interpreter runs signal handlers after a call, so `taken = lock.acquire()` can raise between the acquisition and the
assignment: the lock is taken, and no code knows it. In the head of a `for` loop it runs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import starmap
from typing import TypeVar

T = TypeVar("T")
_ONE_CALL: tuple[tuple[()], ...] = ((),)


def signal_safe(call: Callable[[], T]) -> Iterator[T]:
    """Return an iterator that calls `call` once.

    for taken in signal_safe(lock.acquire):
        break
    """
    return starmap(call, _ONE_CALL)
