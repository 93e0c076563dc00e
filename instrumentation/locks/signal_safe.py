"""A call whose result is never lost to a signal handler's exception.

The interpreter runs signal handlers after a call. So in `taken = lock.acquire()`, a handler can raise between the
acquisition and the assignment: the lock stays taken, and no code releases it. The interpreter runs no signal handler
between the steps in the head of a `for` loop, and so a call there is safe.
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
