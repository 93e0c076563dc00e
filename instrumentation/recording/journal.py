"""What was recorded, in a list that any thread appends to and one at a time folds into totals.

The totals are the first item of the list; behind them stands what was recorded since. A fold reads the list, computes
new totals and puts them in place of what it has read by one slice assignment. No thread, signal handler or finaliser
can run in the middle of that, so a recording is always in exactly one place, wherever a fold is interrupted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

LIMIT = 64
"""Items after which the recording thread folds: they, and the series, stay below 4 kB."""


class Journal(list[Any]):
    """The totals, then what was recorded since.

    In multi-process mode, a journal becomes an instance of a subclass. Its `append` uses `keys_and_log` and `notify`.
    """

    __slots__ = ("keys_and_log", "notify")
    keys_and_log: Any
    notify: Callable[[], None]


class Fold:
    """A fold under way. Only its own frame refers to it, so it lives exactly as long as the fold can still commit."""

    __slots__ = ("__weakref__",)


_HOLDER, _NEXT = "holder", "next"


class Guard:
    """Admits one fold at a time; a second one is turned away and never waits.

    An exception from a signal handler can end a fold before it gives the guard back. Its `Fold` is gone then, so the
    next one finds a dead reference, and takes the guard over.
    """

    __slots__ = ("_claims",)

    def __init__(self) -> None:
        self._claims: dict[str, Any] = {}

    def admits(self, claim: ref[Any]) -> bool:
        """Return whether `claim` may fold now; if so, `release` it afterwards."""
        claims = self._claims
        while True:
            holder = claims.setdefault(_HOLDER, claim)  # atomic: of several threads, one gets its own claim back
            if holder is claim or holder() is not None:
                return holder is claim
            if claims.get(_HOLDER) is holder:  # else it was given back before its fold ended, and may be another's now
                claims = self._claims = claims.setdefault(_NEXT, {})

    def holder(self) -> Fold | None:
        """Return the fold that is admitted now, if there is one."""
        claim = self._claims.get(_HOLDER)
        return None if claim is None else claim()

    def release(self, claim: ref[Any]) -> None:
        """Give the guard back; do nothing if `claim` does not hold it."""
        if self._claims.get(_HOLDER) is claim:
            del self._claims[_HOLDER]
