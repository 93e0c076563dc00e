"""Work in flight: how much now, and the peak between two scrapes."""

from __future__ import annotations

import time
from collections.abc import Callable
from weakref import ref

from .journal import LIMIT, Fold, Guard, Journal


class Peak:
    """The highest level seen in the last one to two windows, so that no peak falls between two scrapes.

    Reading does not reset it: two servers that scrape the same process see the same.

    Args:
        window: seconds.
        clock: monotonic seconds.
    """

    __slots__ = ("_clock", "_guard", "_levels", "_window")

    def __init__(self, window: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = window
        self._clock = clock
        self._guard = Guard()
        # The window's number, its peak so far and the peak of the window before; then the levels noted since.
        self._levels = Journal(((int(clock() // window), 0.0, 0.0),))

    def note(self, level: float) -> None:
        """Record that the level is `level` now."""
        self._levels.append(level)
        if len(self._levels) > LIMIT:
            self._fold(level)

    def read(self, level: float) -> float:
        """Return the peak; `level` is the level now, with which a new window starts."""
        self._fold(level)
        state, *levels = self._levels[:]
        return float(max([level, *state[1:], *levels]))

    def _fold(self, level: float) -> None:
        fold = Fold()
        claim = ref(fold)
        try:
            if self._guard.admits(claim):
                before, *levels = self._levels[:]
                self._levels[: 1 + len(levels)] = (self._folded(before, [level, *levels]),)
        except (RecursionError, MemoryError):
            pass
        finally:
            self._guard.release(claim)

    def _folded(self, state: tuple[int, float, float], levels: list[float]) -> tuple[int, float, float]:
        number, current, before = state
        current = max([current, *levels])
        now = int(self._clock() // self._window)
        if now == number:
            return number, current, before
        # After a longer pause, the past window is no longer recent.
        return now, levels[0], current if now == number + 1 else levels[0]


class InFlight:
    """Work in flight: how much now, and the recent peak.

    It holds a weak reference to a token of each piece of work. So a second end, or an end without a begin, changes
    nothing. Work that is interrupted before its end is counted out when its token is freed.
    """

    __slots__ = ("_active", "_peak")

    def __init__(self) -> None:
        self._active: set[ref[object]] = set()
        self._peak = Peak()

    def enter(self, token: object) -> None:
        """Count work `token` in."""
        self._active.add(ref(token, self._active.discard))
        self._peak.note(len(self._active))

    def leave(self, token: object) -> None:
        """Count work `token` out."""
        self._active.discard(ref(token))

    def now(self) -> int:
        """Return the number of pieces of work in flight."""
        return len(self._active)

    def peak(self) -> float:
        """Return the most pieces of work in flight at the same time in the last 30 to 60 seconds."""
        return self._peak.read(len(self._active))

    def clear(self) -> None:
        """Forget everything: in a forked child, the parent goes on with the work."""
        self._active.clear()
        self._peak = Peak()
