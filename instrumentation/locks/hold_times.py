"""When holds began, for locks that several threads can hold, or that another thread can release."""

from __future__ import annotations

from threading import get_ident
from time import perf_counter

from .signal_safe import signal_safe
from .watch.holders import Hold

_Start = tuple[float, Hold | None]


class HoldTimes:
    """The holds under way, by thread. If a thread acquires again, its hold lasts until the last release.

    Any thread may end a hold of any other thread at any moment. There is no lock around this, so each step is atomic.
    """

    __slots__ = ("_starts",)

    def __init__(self) -> None:
        self._starts: dict[int, list[_Start]] = {}

    def begin(self, hold: Hold | None = None) -> None:
        """Begin a hold of this thread, or one more level of it. `hold` is tracked for the order of locks."""
        thread = get_ident()
        starts = self._starts.setdefault(thread, [])
        starts.append((perf_counter(), hold))
        if hold is not None:
            hold.begin()
        if self._starts.get(thread) is not starts:  # a thread that released for this thread removed the empty list
            self._keep(thread, starts)

    def depth(self) -> int:
        """Return how many levels this thread holds."""
        return len(self._starts.get(get_ident(), ()))

    def several(self) -> bool:
        """Return whether more than one thread may be holding."""
        return len(self._starts) > 1

    def threads(self) -> list[int]:
        """Return the threads that hold."""
        return [thread for thread, starts in self._starts.copy().items() if starts]

    def undo(self, depth: int) -> None:
        """Drop the levels that this thread has begun beyond `depth`."""
        starts = self._starts.get(get_ident(), [])
        while len(starts) > max(0, depth):
            _, hold = starts[-1]
            if hold is not None:
                hold.end()
            del starts[-1:]

    def end(self, *, whole: bool = True) -> float | None:
        """End a hold of this thread, or the longest of all if this thread has none. Return its seconds.

        Return None if there was none, or if levels of it remain. If `whole` is false, each level is a separate hold.
        """
        while True:
            thread = get_ident()
            starts = self._starts.get(thread)
            if not starts:
                others = self._starts.copy().items()
                begun = [(first[0][0], other) for other, its in others if (first := its[:1])]
                if not begun:
                    return None
                thread = min(begun)[1]
                starts = self._starts.get(thread, [])
            try:
                for started, hold in signal_safe(starts.pop):
                    break
            except IndexError:
                continue  # that hold has just been ended by another thread
            if hold is not None:
                holder, hold.holder = hold.holder, None  # before any call, because an exception can come with a call
                if holder is not None:
                    holder.drop(hold)
            if not starts:
                self._drop(thread)
            elif whole:
                return None
            return perf_counter() - started

    def _drop(self, thread: int) -> None:
        starts = self._starts.pop(thread, None)
        if starts:  # the thread has begun another hold meanwhile
            self._keep(thread, starts)

    def _keep(self, thread: int, starts: list[_Start]) -> None:
        kept = self._starts.setdefault(thread, starts)
        if kept is not starts:
            kept.extend(starts)
