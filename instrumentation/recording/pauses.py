"""Long work in a thread, done so that an event loop in another thread hardly notices."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def with_pauses(items: Iterable[T], every: int) -> Iterator[T]:
    """`items`, with the interpreter offered to other threads after every so many of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % every == 0:
            time.sleep(0)
