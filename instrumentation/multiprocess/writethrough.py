"""Recordings that outlive their process at once: each is stored in the file's tail when it is appended to its journal.

That is a store to memory which the process shares with the file, and no call into the system: it survives whatever the
process dies of. The publisher brings recordings into the file's values later, and then gives their slots back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from mmap import mmap
from typing import Any

from ..recording.journal import Journal
from .layout import ENTRY, HEADER_BYTES, KEYS, MOST_SERIES, TAIL_BYTES, first_key

_SLOTS = list(range(HEADER_BYTES + TAIL_BYTES - ENTRY.size, HEADER_BYTES - 1, -ENTRY.size))
_store = ENTRY.pack_into
_append = list.append
_TOO_LITTLE = (RecursionError, MemoryError)
"""What must not reach the code that records: there is too little stack or memory left to publish."""


class Tail:
    """The slots for recordings in the file of this process.

    Args:
        make_room: called where no slot is free, with whether it would help to publish what was recorded so far.

    Attributes:
        area: the mapped file; no slot is free while there is none.
        free: offsets of the slots that hold nothing, or what is published; the next one is the last.
        filled: offsets of the slots whose recordings are in their journals.
    """

    __slots__ = ("_make_room", "area", "filled", "free")

    def __init__(self, make_room: Callable[[bool], None]) -> None:
        self._make_room = make_room
        self.area: mmap | None = None
        self.free: list[int] = []
        self.filled: list[int] = []

    def use(self, area: mmap | None) -> None:
        """Store in `area` from now on; not at all until one is given."""
        if area is not None:
            if self.area is None:
                self.free[:] = _SLOTS
            self.area = area

    def slot(self) -> int | None:
        """Return a slot where none was free: after a publication, if that was possible."""
        self._make_room(self.area is not None)
        try:
            return self.free.pop()
        except IndexError:
            return None

    def release(self, count: int) -> None:
        """Free the first of the filled slots: what they hold is published."""
        end = len(self.free)
        # No call stands between the two, so no signal handler's exception leaves one of them undone.
        self.free[end:], self.filled[:count] = self.filled[:count], ()
        if self.area is not None and not self.free and not self.filled:
            self.free[:] = _SLOTS  # each was in the hands of a thread that a signal handler's exception has interrupted

    def shut(self) -> None:
        """Leave no slot free until the next `release`."""
        with suppress(IndexError):
            while True:
                self.filled.append(self.free.pop())


class SharedJournal(Journal):
    """The journal of a series that is in the file."""

    __slots__ = ()

    def append(self, value: float, /) -> None:
        """Append a recording, and store it in the tail."""
        journal, added = self, [value]
        keys, tail = self.pen
        # No call stands between the two, so no other thread and no signal handler comes between: the keys are in the
        # order of the journal, and as many.
        for key in keys:  # used below
            journal += added
            break
        try:
            slot = tail.free.pop()
        except IndexError:
            try:
                slot = tail.slot()
            except _TOO_LITTLE:
                return
        if slot is not None:
            _store(tail.area, slot, value, key, value, key)
            tail.filled.append(slot)


class TellingJournal(Journal):
    """The journal of a gauge, or of a series that is not in the file yet: says so when something is recorded."""

    __slots__ = ()

    def append(self, entry: Any, /) -> None:
        """Append, then tell."""
        _append(self, entry)
        try:
            self.tell()
        except _TOO_LITTLE:
            return


_NO_PEN = iter(range(KEYS)), Tail(lambda _: None)


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
    first = first_key(number)
    journal.pen = iter(range(first + _appended(journal), first + KEYS)), tail
    journal.__class__ = SharedJournal


def catch_up(journal: Journal) -> None:
    """Skip the keys of recordings that a thread has appended without one just when `write_through` was called."""
    appended = _appended(journal)
    keys = journal.pen[0]
    for _ in range(appended - (KEYS - keys.__length_hint__())):
        next(keys)


def _appended(journal: Journal) -> int:
    """Return how many recordings the journal has ever taken."""
    totals, *recorded = journal[:]
    return int(totals[-1]) + len(recorded)
