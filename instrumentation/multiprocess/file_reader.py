"""A reader of one metrics file. It parses the keys once, since they only grow, and the values at each reading."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from struct import Struct, error
from typing import Any, NamedTuple
from zlib import crc32

from ..catalog import Kind, Metric
from ..recording.snapshot import Exemplar
from ..recording.values import LARGEST
from .file_format import (
    COPY_HEAD,
    EXEMPLAR_BYTES,
    HEADER_BYTES,
    LOG_ENTRY,
    NO_PARENT,
    RECORD,
    Header,
    RecordType,
    RejectedError,
    metric_from_json,
    padded,
    split_key,
    value_struct,
)

Key = tuple[Metric, tuple[str, ...]]
Row = tuple[Any, ...]
Resolve = Callable[[Metric], "Metric | None"]
"""Returns the metric that all files share for one file's metric of that name; None if the two cannot be merged."""


class _Place(NamedTuple):
    """The place of a value's two copies, and how to read them."""

    at: int
    size: int
    heads: Struct  # checksum and sequence number of both copies
    value: Struct


class FileReader:
    """The parsed keys of one file.

    Attributes:
        id: the file's id; empty before the first `parse`.
        started: Unix time from which the file's process counts.
        parent: id of the parent process' file.
        archived: for an archive, the ids of the files whose values are in it.
        mismatched: the number of metrics that another process defines differently; they are left out.
    """

    def __init__(self, resolve: Resolve) -> None:
        self.id = b""
        self.started = 0.0
        self.parent = NO_PARENT
        self.archived: frozenset[bytes] = frozenset()
        self.mismatched = 0
        self._resolve = resolve
        self._log = slice(0)
        self._parsed = 0
        self._families: list[tuple[Metric, bool]] = []
        self._series: list[Key | None] = []  # by number; None where the family is left out
        self._values: list[tuple[Key, _Place]] = []
        self._indexes: dict[int, int] = {}
        """The index of each series in the list of values, by its number."""
        self._exemplars: list[tuple[Key, int, _Place]] = []

    def parse(self, data: bytes) -> None:
        """Parse the records that are new since the last call.

        Raises:
            RejectedError: the file cannot be used.
        """
        header = Header.unpack(data)
        if not self.id:
            self.id, self.started, self.parent = header.id, header.started, header.parent
            self._log, self._parsed = slice(HEADER_BYTES, header.records), header.records
        if self.id != header.id or header.used < self._parsed:
            raise RejectedError("corrupt")
        with _rejecting():
            while self._parsed < header.used:
                self._parsed += self._record(data, self._parsed, header.used)

    def _record(self, data: bytes, at: int, end: int) -> int:
        """Parse one record, and return its length."""
        length, type_, size, checksum = RECORD.unpack_from(data, at)
        text = data[at + RECORD.size : at + RECORD.size + size]
        if crc32(text, crc32(data[at : at + RECORD.size - 4])) != checksum or not 0 < length <= end - at:
            raise RejectedError("corrupt")
        _PARSERS[RecordType(type_)](self, json.loads(text), at + RECORD.size + padded(size))
        return int(length)

    def _add_family(self, definition: list[Any], _at: int) -> None:
        own = metric_from_json(definition)
        shared = self._resolve(own)
        self.mismatched += shared is None
        self._families.append((shared or own, shared is not None))

    def _add_series(self, key: list[Any], at: int) -> None:
        number, labels = key
        metric, usable = self._families[number]
        if len(labels) != len(metric.labels) or not all(isinstance(value, str) for value in labels):
            raise RejectedError("corrupt")
        self._series.append((metric, tuple(labels)) if usable else None)
        if usable:
            value = value_struct(metric.kind, len(metric.buckets))
            self._indexes[len(self._series) - 1] = len(self._values)
            self._values.append(((metric, tuple(labels)), _place(at, value)))

    def _add_exemplar(self, key: list[Any], at: int) -> None:
        number, bucket = key
        series = self._series[number]
        if series is not None and 0 <= bucket <= len(series[0].buckets):
            self._exemplars.append((series, bucket, _place(at, _TEXT)))

    def _set_archived(self, ids: list[str], _at: int) -> None:
        self.archived = frozenset(map(bytes.fromhex, ids))

    def values(self, data: bytes, lenient: bool) -> list[tuple[Key, Row]]:
        """Return the current value of every series.

        Args:
            data: the file's bytes, read just now and parsed.
            lenient: use the older copy of a value whose newer copy is damaged. If the writer was in the middle of a
                write, another reading finds a whole value; if the writer was killed there, it does not.

        Raises:
            RejectedError: a value cannot be read.
        """
        found = []
        with _rejecting():
            for key, (at, size, heads, value) in self._values:
                first_sum, first, second_sum, second = heads.unpack_from(data, at)
                if second > first:
                    start, checksum = at + size, second_sum
                else:
                    start, checksum = at, first_sum
                if crc32(data[start + 8 : start + size]) != checksum:
                    start = _older_copy(data, at, start, size, lenient)
                found.append((key, value.unpack_from(data, start + 16)))
        return found

    def unpublished(self, data: bytes, values: list[tuple[Key, Row]]) -> Iterator[tuple[Key, float]]:
        """Yield every recording in the log that is not part of these values, which come from the same `data`.

        This is for a process that has ended: a living one publishes them a moment later. Invalid entries are left out.
        """
        log = data[self._log].rstrip(b"\0")  # the slots are used from the first one on
        whole_entries = -(-len(log) // LOG_ENTRY.size) * LOG_ENTRY.size
        for value, key, value_again, key_again in LOG_ENTRY.iter_unpack(log.ljust(whole_entries, b"\0")):
            if key == key_again and value == value_again and 0.0 <= value <= LARGEST:
                number, ordinal = split_key(key)
                index = self._indexes.get(number)
                if index is not None:
                    series, row = values[index]
                    if series[0].kind is not Kind.GAUGE and ordinal >= row[-1]:
                        yield series, value

    def exemplars(self, data: bytes) -> list[tuple[Key, int, Exemplar]]:
        """Return every exemplar, except those whose newer copy is damaged or being written.

        Raises:
            RejectedError: an exemplar is invalid.
        """
        if not self._exemplars:
            return []
        with _rejecting():
            return list(self._read_exemplars(data))

    def _read_exemplars(self, data: bytes) -> Iterator[tuple[Key, int, Exemplar]]:
        for key, bucket, (at, size, heads, value) in self._exemplars:
            first_sum, first, second_sum, second = heads.unpack_from(data, at)
            start, checksum = (at + size, second_sum) if second > first else (at, first_sum)
            if crc32(data[start + 8 : start + size]) == checksum:
                labels, number, when = json.loads(value.unpack_from(data, start + 16)[0])
                pairs = tuple((name, text) for name, text in labels)
                yield key, bucket, Exemplar(pairs, float(number), float(when))


_TEXT = Struct(f"<{EXEMPLAR_BYTES}s")
_PARSERS: dict[RecordType, Callable[[FileReader, list[Any], int], None]] = {
    RecordType.FAMILY: FileReader._add_family,
    RecordType.SERIES: FileReader._add_series,
    RecordType.EXEMPLAR: FileReader._add_exemplar,
    RecordType.ARCHIVED: FileReader._set_archived,
}


def _place(at: int, value: Struct) -> _Place:
    return _Place(at, COPY_HEAD.size + value.size, _heads(value.size), value)


@contextmanager
def _rejecting() -> Iterator[None]:
    """Raise one kind of error for everything that parsing invalid data raises."""
    try:
        yield
    except (error, ValueError, TypeError, LookupError) as broken:
        raise RejectedError("corrupt") from broken


@lru_cache(maxsize=256)
def _heads(payload: int) -> Struct:
    return Struct(f"<I4xQ{payload}xI4xQ")


def _older_copy(data: bytes, at: int, newer: int, size: int, lenient: bool) -> int:
    """Return the offset of the copy that is not at `newer`, if it may be used instead."""
    older = at if newer != at else at + size
    checksum, sequence = COPY_HEAD.unpack_from(data, older)
    if not lenient or not sequence or crc32(data[older + 8 : older + size]) != checksum:
        raise RejectedError("corrupt")
    return older
