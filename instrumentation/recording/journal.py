"""A list that any thread appends recordings to, and that one thread at a time folds into totals.

The first item of the list is the totals; the recordings since then follow. A fold reads the list, computes new totals,
and replaces what it has read by one slice assignment. No thread, signal handler or finaliser can run in the middle of
that assignment. So each recording is always in exactly one place, wherever a fold is interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

LIMIT = 64
"""Items after which the recording thread folds, so that a series with its items stays below 4 kB."""


class Journal(list[Any]):
    """The totals, then the recordings since.

    In multi-process mode, its class becomes a subclass. Only its `append` uses `keys_and_log` and `notify`.
    """

    __slots__ = ("keys_and_log", "notify")
    keys_and_log: Any
    notify: Callable[[], None]


class Fold:
    """A running fold. Only its own frame refers to it, so it lives exactly as long as the fold can still commit."""

    __slots__ = ("__weakref__",)


_HOLDER, _NEXT = "holder", "next"


class Guard:
    """Admits one fold at a time. A second fold is refused and never waits.

    An exception from a signal handler can end a fold before it releases the guard. Its `Fold` is gone then: the next
    fold finds a dead reference and takes the guard over.
    """

    __slots__ = ("_claims",)

    def __init__(self) -> None:
        self._claims: dict[str, Any] = {}

    def admits(self, claim: ref[Any]) -> bool:
        """Return whether `claim` may fold now; if so, call `release` afterwards."""
        claims = self._claims
        while True:
            holder = claims.setdefault(_HOLDER, claim)  # atomic: of several threads, one gets its own claim back
            if holder is claim or holder() is not None:
                return holder is claim
            if claims.get(_HOLDER) is holder:  # else it was released, and another fold may hold it
                claims = self._claims = claims.setdefault(_NEXT, {})

    def holder(self) -> Fold | None:
        """Return the fold that holds the guard, if there is one."""
        claim = self._claims.get(_HOLDER)
        return None if claim is None else claim()

    def release(self, claim: ref[Any]) -> None:
        """Release the guard; do nothing if `claim` does not hold it."""
        if self._claims.get(_HOLDER) is claim:
            del self._claims[_HOLDER]
