"""When holds began, for locks that several may hold, or that may be let go by another than who took them."""

from __future__ import annotations

from threading import get_ident
from time import perf_counter


class Holds:
    """The holds under way, by thread. A hold taken again by its thread runs from the outermost to the last release."""

    __slots__ = ("_starts",)

    def __init__(self) -> None:
        self._starts: dict[int, list[float]] = {}

    def begin(self) -> None:
        """This thread holds from now on, or holds once more."""
        self._starts.setdefault(get_ident(), []).append(perf_counter())

    def depth(self) -> int:
        """How often this thread holds."""
        return len(self._starts.get(get_ident(), ()))

    def threads(self) -> list[int]:
        """Who holds."""
        return list(self._starts)

    def end(self, *, whole: bool = True) -> tuple[int, float] | None:
        """This thread lets go, or, if it holds nothing, whoever has held for longest.

        Gives who it was and for how many seconds it held; None if nobody held, or if the hold goes on because it
        was taken again meanwhile. With `whole` false, each level is a hold of its own.
        """
        thread = get_ident()
        starts = self._starts.get(thread)
        if not starts:
            if not self._starts:
                return None
            thread, starts = min(self._starts.items(), key=lambda item: item[1][0] if item[1] else 0.0)
            if not starts:
                return None
        started = starts.pop()
        if not starts:
            self._starts.pop(thread, None)
        elif whole:
            return None
        return thread, perf_counter() - started
