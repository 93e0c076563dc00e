"""What a reader knows of one file of cells: its keys, parsed once, since they only grow; its values, read each time."""

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
    EXEMPLAR_BYTES,
    HEADER_BYTES,
    LOG_ENTRY,
    NO_PARENT,
    RECORD,
    SLOT,
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
"""The metric that all files share for what one file calls by that name; None where the two cannot be merged."""


class _Slots(NamedTuple):
    """Where the two slots of a value stand, and how to read them."""

    at: int
    size: int
    heads: Struct  # checksum and sequence number of both slots
    value: Struct


class FileReader:
    """The parsed keys of one file.

    Attributes:
        id: the file's own; empty before the first `parse`.
        started: Unix time from which it counts.
        parent: id of the file of the process that forked its owner.
        archived: for an archive, the ids of the files that it has taken in.
        mismatched: metrics of the file that another process defines otherwise, and that are therefore left out.
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
        self._values: list[tuple[Key, _Slots]] = []
        self._places: dict[int, int] = {}
        """Where in the list of values a series stands, by its number."""
        self._exemplars: list[tuple[Key, int, _Slots]] = []

    def parse(self, data: bytes) -> None:
        """Take note of the records that are new since the last call.

        Raises:
            RejectedError: the file cannot be used.
        """
        header = Header.unpack(data)
        if not self.id:
            self.id, self.started, self.parent = header.id, header.started, header.parent
            self._log, self._parsed = slice(HEADER_BYTES, header.records), header.records
        if self.id != header.id or header.used < self._parsed:
            raise RejectedError("corrupt")
        with _checked():
            while self._parsed < header.used:
                self._parsed += self._record(data, self._parsed, header.used)

    def _record(self, data: bytes, at: int, end: int) -> int:
        length, type_, size, checksum = RECORD.unpack_from(data, at)
        text = data[at + RECORD.size : at + RECORD.size + size]
        if crc32(text, crc32(data[at : at + RECORD.size - 4])) != checksum or not 0 < length <= end - at:
            raise RejectedError("corrupt")
        _READERS[RecordType(type_)](self, json.loads(text), at + RECORD.size + padded(size))
        return int(length)

    def _family(self, definition: list[Any], _at: int) -> None:
        own = metric_from_json(definition)
        shared = self._resolve(own)
        self.mismatched += shared is None
        self._families.append((shared or own, shared is not None))

    def _one_series(self, key: list[Any], at: int) -> None:
        number, labels = key
        metric, usable = self._families[number]
        if len(labels) != len(metric.labels) or not all(isinstance(value, str) for value in labels):
            raise RejectedError("corrupt")
        self._series.append((metric, tuple(labels)) if usable else None)
        if usable:
            layout = value_struct(metric.kind, len(metric.buckets))
            self._places[len(self._series) - 1] = len(self._values)
            self._values.append(((metric, tuple(labels)), _slots(at, layout)))

    def _exemplar(self, key: list[Any], at: int) -> None:
        number, bucket = key
        series = self._series[number]
        if series is not None and 0 <= bucket <= len(series[0].buckets):
            self._exemplars.append((series, bucket, _slots(at, _TEXT)))

    def _archived(self, ids: list[str], _at: int) -> None:
        self.archived = frozenset(map(bytes.fromhex, ids))

    def values(self, data: bytes, lenient: bool) -> list[tuple[Key, Row]]:
        """Every series' value now.

        Args:
            data: the file as it was read just now, parsed.
            lenient: take the value before where the newest is damaged. It was being written while we read, and
                may be whole at the next reading; or its writer was killed there, and it never will be.

        Raises:
            RejectedError: a value cannot be read.
        """
        found = []
        with _checked():
            for key, (at, size, heads, value) in self._values:
                first_sum, first, second_sum, second = heads.unpack_from(data, at)
                if second > first:
                    start, checksum = at + size, second_sum
                else:
                    start, checksum = at, first_sum
                if crc32(data[start + 8 : start + size]) != checksum:
                    start = _other(data, at, start, size, lenient)
                found.append((key, value.unpack_from(data, start + 16)))
        return found

    def unpublished(self, data: bytes, values: list[tuple[Key, Row]]) -> Iterator[tuple[Key, float]]:
        """Give every recording in the log that is not part of these values, which were read from the same `data`.

        Only of a process that has ended: a living one brings them into its values a moment later. What makes no sense
        is left out.
        """
        log = data[self._log].rstrip(b"\0")  # slots are used from the first on
        for value, key, value_again, key_again in LOG_ENTRY.iter_unpack(log.ljust(_complete(len(log)), b"\0")):
            if key == key_again and value == value_again and 0.0 <= value <= LARGEST:
                number, ordinal = split_key(key)
                place = self._places.get(number)
                if place is not None:
                    series, row = values[place]
                    if series[0].kind is not Kind.GAUGE and ordinal >= row[-1]:
                        yield series, value

    def exemplars(self, data: bytes) -> list[tuple[Key, int, Exemplar]]:
        """Every exemplar; one that is just being written is left out.

        Raises:
            RejectedError: what stands there is none.
        """
        if not self._exemplars:
            return []
        with _checked():
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
_READERS: dict[RecordType, Callable[[FileReader, list[Any], int], None]] = {
    RecordType.FAMILY: FileReader._family,
    RecordType.SERIES: FileReader._one_series,
    RecordType.EXEMPLAR: FileReader._exemplar,
    RecordType.ARCHIVED: FileReader._archived,
}


def _complete(size: int) -> int:
    """Return `size`, up to the next multiple of an entry."""
    return -(-size // LOG_ENTRY.size) * LOG_ENTRY.size


def _slots(at: int, value: Struct) -> _Slots:
    return _Slots(at, SLOT.size + value.size, _heads(value.size), value)


@contextmanager
def _checked() -> Iterator[None]:
    """Turn whatever reading nonsense raises into one error."""
    try:
        yield
    except (error, ValueError, TypeError, LookupError) as broken:
        raise RejectedError("corrupt") from broken


@lru_cache(maxsize=256)
def _heads(payload: int) -> Struct:
    return Struct(f"<I4xQ{payload}xI4xQ")


def _other(data: bytes, at: int, start: int, size: int, lenient: bool) -> int:
    """Where the slot that is not the newest stands, if it may be used instead."""
    other = at if start != at else at + size
    checksum, sequence = SLOT.unpack_from(data, other)
    if not lenient or not sequence or crc32(data[other + 8 : other + size]) != checksum:
        raise RejectedError("corrupt")
    return other
