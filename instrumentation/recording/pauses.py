"""Long work in a thread, with pauses in which an event loop in another thread can run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def with_pauses(items: Iterable[T], every: int) -> Iterator[T]:
    """Yield `items`; let other threads run after every `every` of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % every == 0:
            time.sleep(0)
