"""The write-ahead log: each recording is stored in the process' file when it is appended to its journal.

The store goes to memory that the process shares with the file. It needs no system call, and survives the end of the
process, whatever the cause. The publisher adds the recordings to the file's values later, and then frees their slots.
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
"""Errors of a publication with too little stack or memory left; they must not reach the code that records."""


class WriteAheadLog:
    """The slots of the log: each is free, or holds one recording.

    Args:
        make_room: called if no slot is free. Its argument is whether publishing can free slots.

    Attributes:
        mapping: the mapped file; no slot is free before it is set.
        free: offsets of the slots that are empty, or whose recordings are published. The last one is used next.
        filled: offsets of the slots whose recordings are in their journals.
    """

    __slots__ = ("_make_room", "filled", "free", "mapping")

    def __init__(self, make_room: Callable[[bool], None]) -> None:
        self._make_room = make_room
        self.mapping: mmap | None = None
        self.free: list[int] = []
        self.filled: list[int] = []

    def use_mapping(self, mapping: mmap | None) -> None:
        """Store recordings in `mapping` from now on; None changes nothing."""
        if mapping is not None:
            if self.mapping is None:
                self.free[:] = _OFFSETS
            self.mapping = mapping

    def take_slot(self) -> int | None:
        """Return a slot after making room; None if there is none."""
        self._make_room(self.mapping is not None)
        try:
            return self.free.pop()
        except IndexError:
            return None

    def release(self, count: int) -> None:
        """Free the first `count` filled slots, whose recordings are published."""
        end = len(self.free)
        # No call stands between the two assignments, so an exception from a signal handler cannot separate them.
        self.free[end:], self.filled[:count] = self.filled[:count], ()
        if self.mapping is not None and not self.free and not self.filled:
            # Every slot was lost by a thread that an exception from a signal handler interrupted.
            self.free[:] = _OFFSETS

    def occupy_free_slots(self) -> None:
        """Leave no slot free until the next `release`, so that the next recording calls `make_room`."""
        with suppress(IndexError):
            while True:
                self.filled.append(self.free.pop())


class LoggedJournal(Journal):
    """The journal of a series with a place in the file: it stores each recording in the log as well."""

    __slots__ = ()

    def append(self, value: float, /) -> None:
        """Append a recording, and store it in the log."""
        journal, added = self, [value]
        keys, log = self.keys_and_log
        # No call stands between taking a key and appending, so no other thread and no signal handler runs in between.
        # So the keys have the order and the number of the journal's recordings.
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
    """The journal of a gauge, or of a series without a place in the file: it calls `notify` after each recording."""

    __slots__ = ()

    def append(self, entry: Any, /) -> None:
        """Append a recording, then call `notify`."""
        _append(self, entry)
        try:
            self.notify()
        except _TOO_LITTLE:
            return


_NO_KEYS_AND_LOG = iter(range(KEYS_PER_SERIES)), WriteAheadLog(lambda _: None)


def notify_on_append(journal: Journal, notify: Callable[[], None]) -> None:
    """Make a journal call `notify` after each recording, and store nothing in the log."""
    journal.notify = notify
    journal.__class__ = NotifyingJournal
    journal.keys_and_log = _NO_KEYS_AND_LOG


def log_on_append(journal: Journal, number: int, log: WriteAheadLog) -> None:
    """Make a journal store each recording in `log`; `number` is that of its series in the file."""
    if number >= MAX_SERIES:
        journal.__class__ = Journal
        return
    first = first_key(number)
    journal.keys_and_log = iter(range(first + _appended(journal), first + KEYS_PER_SERIES)), log
    journal.__class__ = LoggedJournal


def skip_missed_keys(journal: Journal) -> None:
    """Skip the keys of recordings that another thread appended without a key during `log_on_append`."""
    appended = _appended(journal)
    keys = journal.keys_and_log[0]
    for _ in range(appended - (KEYS_PER_SERIES - keys.__length_hint__())):
        next(keys)


def _appended(journal: Journal) -> int:
    """Return the number of all recordings that the journal has ever taken."""
    totals, *recorded = journal[:]
    return int(totals[-1]) + len(recorded)
