"""The contents of a metrics file, built and changed in memory; `own_file` and `directory` write them to disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from struct import Struct
from typing import Any
from zlib import crc32

from ..catalog import Metric
from ..recording.snapshot import Exemplar
from .file_format import (
    COPY_HEAD,
    EXEMPLAR_BYTES,
    HEADER_BYTES,
    NO_PARENT,
    RECORD,
    USED,
    Header,
    RecordType,
    metric_to_json,
    pack_used,
    padded,
    to_json,
    value_struct,
)


class Cell:
    """The place of a value's two copies.

    Attributes:
        at: offset of the first copy.
        layout: how the value is packed.
        number: the number of the series in the file.
        sequence: sequence number of the newer copy.
        exemplars: the cells of the series' exemplars, by bucket.
    """

    __slots__ = ("at", "exemplars", "layout", "number", "sequence")

    def __init__(self, at: int, layout: Struct, number: int) -> None:
        self.at = at
        self.layout = layout
        self.number = number
        self.sequence = 0
        self.exemplars: dict[int, Cell] = {}


_EXEMPLAR = Struct(f"<{EXEMPLAR_BYTES}s")


class FileContents:
    """The contents of a metrics file.

    Args:
        pid: id of the process; 0 for an archive.
        started: Unix time from which the process counts.
        parent: id of the parent process' file.
        log: size of the write-ahead log in bytes, which are zero here.

    Attributes:
        data: the bytes as they should be in the file, except the log.
        records: offset of the records.
        id: random id of this file.
        changed: the places of values that were changed since they were stored in the file.
    """

    def __init__(self, pid: int, started: float, parent: bytes = NO_PARENT, log: int = 0) -> None:
        self.id = os.urandom(16)
        self.data = bytearray(HEADER_BYTES + log)
        self.changed: list[slice] = []
        self.records = len(self.data)
        self.data[:HEADER_BYTES] = Header(pid, started, self.id, parent, self.records, self.records).pack()
        self._families: dict[str, int] = {}
        self._series = 0

    def series(self, metric: Metric, labels: tuple[str, ...]) -> Cell:
        """Return a new cell for a series; set it before the contents are saved."""
        family = self._families.get(metric.name)
        if family is None:
            family = self._families[metric.name] = len(self._families)
            self._append(RecordType.FAMILY, metric_to_json(metric), 0)
        layout = value_struct(metric.kind, len(metric.buckets))
        at = self._append(RecordType.SERIES, [family, labels], layout.size)
        self._series += 1
        return Cell(at, layout, self._series - 1)

    def set(self, cell: Cell, values: tuple[float, ...]) -> None:
        """Set the next value of a cell."""
        self._write(cell, cell.layout.pack(*values))

    def set_exemplars(self, cell: Cell, exemplars: Mapping[int, Exemplar]) -> None:
        """Set exemplars of a series; leave out one that is too long."""
        for bucket, exemplar in exemplars.items():
            text = to_json(exemplar)
            if len(text) > EXEMPLAR_BYTES:
                continue
            kept = cell.exemplars.get(bucket)
            if kept is None:
                at = self._append(RecordType.EXEMPLAR, [cell.number, bucket], EXEMPLAR_BYTES)
                kept = cell.exemplars[bucket] = Cell(at, _EXEMPLAR, -1)
            self._write(kept, text.ljust(EXEMPLAR_BYTES, b" "))

    def set_archived(self, ids: list[bytes]) -> None:
        """Add the ids of the files whose values are in this archive."""
        self._append(RecordType.ARCHIVED, [file_id.hex() for file_id in ids], 0)

    def _append(self, type_: RecordType, key: Any, payload: int) -> int:
        """Add a record, and return the offset of its cell."""
        text = to_json(key)
        cell_size = 2 * (COPY_HEAD.size + payload) if payload else 0
        at = len(self.data) + RECORD.size + padded(len(text))
        length = RECORD.size + padded(len(text)) + cell_size
        head = RECORD.pack(length, type_, len(text), 0)[:-4]
        self.data += head + crc32(text, crc32(head)).to_bytes(4, "little")
        self.data += text.ljust(padded(len(text)), b"\0") + bytes(cell_size)
        self.data[USED] = pack_used(len(self.data))
        return at

    def _write(self, cell: Cell, payload: bytes) -> None:
        cell.sequence += 1
        body = cell.sequence.to_bytes(8, "little") + payload
        size = COPY_HEAD.size + len(payload)
        start = cell.at + (cell.sequence & 1) * size
        place = slice(start, start + size)
        self.data[place] = COPY_HEAD.pack(crc32(body), 0)[:8] + body
        self.changed.append(place)
