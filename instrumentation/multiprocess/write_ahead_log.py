"""Recordings that outlive their process at once: each is stored in the file's log when it is appended to its journal.

That is a store to memory which the process shares with the file, and no call into the system: it survives whatever the
process dies of. The publisher brings recordings into the file's values later, and then gives their slots back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from mmap import mmap
from typing import Any

from ..recording.journal import Journal
from .file_format import HEADER_BYTES, KEYS_PER_SERIES, LOG_BYTES, LOG_ENTRY, MAX_SERIES, first_key

_OFFSETS = list(range(HEADER_BYTES + LOG_BYTES - LOG_ENTRY.size, HEADER_BYTES - 1, -LOG_ENTRY.size))
_store = LOG_ENTRY.pack_into
_append = list.append
_TOO_LITTLE = (RecursionError, MemoryError)
"""What must not reach the code that records: there is too little stack or memory left to publish."""


class WriteAheadLog:
    """The slots for recordings in the file of this process.

    Args:
        make_room: called where no slot is free, with whether it would help to publish what was recorded so far.

    Attributes:
        mapping: the mapped file; no slot is free while there is none.
        free: offsets of the slots that hold nothing, or what is published; the next one is the last.
        filled: offsets of the slots whose recordings are in their journals.
    """

    __slots__ = ("_make_room", "filled", "free", "mapping")

    def __init__(self, make_room: Callable[[bool], None]) -> None:
        self._make_room = make_room
        self.mapping: mmap | None = None
        self.free: list[int] = []
        self.filled: list[int] = []

    def use_mapping(self, mapping: mmap | None) -> None:
        """Store in `mapping` from now on; not at all until one is given."""
        if mapping is not None:
            if self.mapping is None:
                self.free[:] = _OFFSETS
            self.mapping = mapping

    def take_slot(self) -> int | None:
        """Return a slot where none was free: after a publication, if that was possible."""
        self._make_room(self.mapping is not None)
        try:
            return self.free.pop()
        except IndexError:
            return None

    def release(self, count: int) -> None:
        """Free the first of the filled slots: what they hold is published."""
        end = len(self.free)
        # No call stands between the two, so no signal handler's exception leaves one of them undone.
        self.free[end:], self.filled[:count] = self.filled[:count], ()
        if self.mapping is not None and not self.free and not self.filled:
            self.free[:] = (
                _OFFSETS  # each was in the hands of a thread that a signal handler's exception has interrupted
            )

    def occupy_free_slots(self) -> None:
        """Leave no slot free until the next `release`."""
        with suppress(IndexError):
            while True:
                self.filled.append(self.free.pop())


class LoggedJournal(Journal):
    """The journal of a series that is in the file."""

    __slots__ = ()

    def append(self, value: float, /) -> None:
        """Append a recording, and store it in the log."""
        journal, added = self, [value]
        keys, log = self.keys_and_log
        # No call stands between the two, so no other thread and no signal handler comes between: the keys are in the
        # order of the journal, and as many.
        for key in keys:  # used below
            journal += added
            break
        try:
            slot = log.free.pop()
        except IndexError:
            try:
                slot = log.take_slot()
            except _TOO_LITTLE:
                return
        if slot is not None:
            _store(log.mapping, slot, value, key, value, key)
            log.filled.append(slot)


class NotifyingJournal(Journal):
    """The journal of a gauge, or of a series that is not in the file yet: says so when something is recorded."""

    __slots__ = ()

    def append(self, entry: Any, /) -> None:
        """Append, then tell."""
        _append(self, entry)
        try:
            self.notify()
        except _TOO_LITTLE:
            return


_NO_KEYS_AND_LOG = iter(range(KEYS_PER_SERIES)), WriteAheadLog(lambda _: None)


def notify_on_append(journal: Journal, notify: Callable[[], None]) -> None:
    """Have `notify` called after each recording, and nothing stored."""
    journal.notify = notify
    journal.__class__ = NotifyingJournal
    journal.keys_and_log = _NO_KEYS_AND_LOG


def log_appends(journal: Journal, number: int, log: WriteAheadLog) -> None:
    """Have what is recorded stored in `log` too, where the series is in the file under `number`."""
    if number >= MAX_SERIES:
        journal.__class__ = Journal
        return
    first = first_key(number)
    journal.keys_and_log = iter(range(first + _appended(journal), first + KEYS_PER_SERIES)), log
    journal.__class__ = LoggedJournal


def skip_missed_keys(journal: Journal) -> None:
    """Skip the keys of recordings that a thread has appended without one just when `log_appends` was called."""
    appended = _appended(journal)
    keys = journal.keys_and_log[0]
    for _ in range(appended - (KEYS_PER_SERIES - keys.__length_hint__())):
        next(keys)


def _appended(journal: Journal) -> int:
    """Return how many recordings the journal has ever taken."""
    totals, *recorded = journal[:]
    return int(totals[-1]) + len(recorded)
