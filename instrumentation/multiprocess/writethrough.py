"""Recordings that outlive their process at once: each is stored in the file's tail before it is in its journal.

That is a store to memory which the process shares with the file, and no call into the system: it survives whatever the
process dies of. The publisher brings recordings into the file's values later, and then gives their slots back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from mmap import mmap
from typing import Any

from ..journal import Journal
from .layout import ENTRY, HEADER, KEYS, MOST_SERIES, TAIL_BYTES, first_key

_SLOTS = list(range(HEADER.size + TAIL_BYTES - ENTRY.size, HEADER.size - 1, -ENTRY.size))
_store = ENTRY.pack_into
_append = list.append


class Tail:
    """The slots for recordings in the file of this process.

    Args:
        make_room: called where no slot is free: has what was recorded so far published.

    Attributes:
        area: the mapped file; no slot is free while there is none.
        free: offsets of the slots that hold nothing, or what is published; the next one is the last.
    """

    __slots__ = ("_make_room", "area", "free")

    def __init__(self, make_room: Callable[[], None]) -> None:
        self._make_room = make_room
        self.area: mmap | None = None
        self.free: list[int] = []

    def moved(self, area: mmap | None) -> None:
        """Use `area` from now on, which holds nothing yet."""
        self.area = area
        self.free[:] = _SLOTS if area is not None else ()

    def store_late(self, value: float, key: int) -> None:
        """Store a recording for which there was no slot."""
        self._make_room()
        with suppress(IndexError):
            slot = self.free.pop()
            if self.area is not None:
                _store(self.area, slot, value, key, value, key)

    def used(self) -> Collection[int]:
        """The slots that are free again once everything is published; none while most of them are free anyway."""
        if self.area is None or len(self.free) > len(_SLOTS) // 2:
            return ()
        return set(_SLOTS).difference(self.free) if self.free else _SLOTS


class SharedJournal(Journal):
    """The journal of a series that is in the file."""

    __slots__ = ()

    def append(self, value: float, /) -> None:
        """Store a recording in the tail, and append it."""
        keys, tail = self.pen
        # Nothing interrupts us between `try` and the first call, nor between `finally` and the last: so the keys that
        # are taken are as many as the recordings that are appended.
        try:
            key = next(keys)
            _store(tail.area, tail.free.pop(), value, key, value, key)
        except IndexError:
            tail.store_late(value, key)
        finally:
            _append(self, value)


class TellingJournal(Journal):
    """The journal of a gauge, or of a series that is not in the file yet: says so when something is recorded."""

    __slots__ = ()

    def append(self, entry: Any, /) -> None:
        """Append, then tell."""
        _append(self, entry)
        self.tell()


_NO_PEN = iter(range(KEYS)), Tail(lambda: None)


def tell(journal: Journal, told: Callable[[], None]) -> None:
    """Have `told` called after each recording, and nothing stored."""
    journal.tell = told
    journal.__class__ = TellingJournal
    journal.pen = _NO_PEN


def write_through(journal: Journal, number: int, tail: Tail) -> None:
    """Have what is recorded stored in `tail` too, where the series is in the file under `number`."""
    if number >= MOST_SERIES:
        journal.__class__ = Journal
        return
    so_far = journal[:]
    first = first_key(number)
    journal.pen = iter(range(first + so_far[0][-1] + len(so_far) - 1, first + KEYS)), tail
    journal.__class__ = SharedJournal


def catch_up(journal: Journal, recorded: int) -> None:
    """Skip the keys of recordings that a thread has appended without one just when `write_through` was called."""
    keys = journal.pen[0]
    for _ in range(recorded - (KEYS - keys.__length_hint__())):
        next(keys)
