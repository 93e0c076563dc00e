"""When holds began, for locks that several may hold, or that may be let go by another than who took them."""

from __future__ import annotations

from threading import get_ident
from time import perf_counter


class Holds:
    """The holds under way, by thread. A hold taken again by its thread runs from the outermost to the last release.

    Any thread may end a hold of any other at any moment, without a lock between them: each step is one that no other
    thread can come into.
    """

    __slots__ = ("_starts",)

    def __init__(self) -> None:
        self._starts: dict[int, list[float]] = {}

    def begin(self) -> None:
        """This thread holds from now on, or holds once more."""
        thread = get_ident()
        starts = self._starts.setdefault(thread, [])
        starts.append(perf_counter())
        if self._starts.get(thread) is not starts:  # somebody who let go for us dropped it while it was empty
            self._keep(thread, starts)

    def depth(self) -> int:
        """How often this thread holds."""
        return len(self._starts.get(get_ident(), ()))

    def threads(self) -> list[int]:
        """Who holds."""
        return [thread for thread, starts in self._starts.copy().items() if starts]

    def end(self, *, whole: bool = True) -> tuple[int, float] | None:
        """This thread lets go, or, if it holds nothing, whoever has held for longest.

        Gives who it was and for how many seconds it held; None if nobody held, or if the hold goes on because it
        was taken again meanwhile. With `whole` false, each level is a hold of its own.
        """
        while True:
            thread = get_ident()
            starts = self._starts.get(thread)
            if not starts:
                others = self._starts.copy().items()
                begun = [(first[0], other) for other, its in others if (first := its[:1])]
                if not begun:
                    return None
                thread = min(begun)[1]
                starts = self._starts.get(thread, [])
            try:
                started = starts.pop()
            except IndexError:
                continue  # that hold has just been ended by another thread
            if not starts:
                self._drop(thread)
            elif whole:
                return None
            return thread, perf_counter() - started

    def _drop(self, thread: int) -> None:
        starts = self._starts.pop(thread, None)
        if starts:  # the thread has begun again meanwhile
            self._keep(thread, starts)

    def _keep(self, thread: int, starts: list[float]) -> None:
        kept = self._starts.setdefault(thread, starts)
        if kept is not starts:
            kept.extend(starts)
