"""The bytes of a file of cells, made and changed in memory; `owner` and `directory` bring them into files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from struct import Struct
from typing import Any
from zlib import crc32

from ..catalog import Metric
from ..recording.snapshot import Exemplar
from .file_format import (
    EXEMPLAR_BYTES,
    HEADER_BYTES,
    NO_PARENT,
    RECORD,
    SLOT,
    USED,
    Header,
    RecordType,
    metric_to_json,
    padded,
    to_json,
    used,
    value_struct,
)


class Cell:
    """Where in an contents a value stands: its two slots.

    Attributes:
        layout: how the value is packed.
        exemplars: the cells of its exemplars, by bucket.
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
    """A file of cells in memory.

    Args:
        pid: the process that it is about.
        started: Unix time from which that process counts.
        parent: id of the file of the process that forked it.
        log: bytes for recordings, which are written by others; zeros here.

    Attributes:
        data: the bytes as they should be in the file, the log's apart.
        records: where the records begin.
        id: what tells this file from every other, also from one of the same process id.
        changed: which values were changed since they were stored in the file.
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
        """A new cell for a series; set it before the contents is saved."""
        family = self._families.get(metric.name)
        if family is None:
            family = self._families[metric.name] = len(self._families)
            self._append(RecordType.FAMILY, metric_to_json(metric), 0)
        layout = value_struct(metric.kind, len(metric.buckets))
        at = self._append(RecordType.SERIES, [family, labels], layout.size)
        self._series += 1
        return Cell(at, layout, self._series - 1)

    def set(self, cell: Cell, values: tuple[float, ...]) -> None:
        """Give a cell its next value."""
        self._write(cell, cell.layout.pack(*values))

    def set_exemplars(self, cell: Cell, exemplars: Mapping[int, Exemplar]) -> None:
        """Keep these exemplars with a series; one that is too long to keep is left out."""
        for bucket, exemplar in exemplars.items():
            text = to_json(exemplar)
            if len(text) > EXEMPLAR_BYTES:
                continue
            kept = cell.exemplars.get(bucket)
            if kept is None:
                at = self._append(RecordType.EXEMPLAR, [cell.number, bucket], EXEMPLAR_BYTES)
                kept = cell.exemplars[bucket] = Cell(at, _EXEMPLAR, -1)
            self._write(kept, text.ljust(EXEMPLAR_BYTES, b" "))

    def archived(self, ids: list[bytes]) -> None:
        """Say which files' values are part of this one; for an archive."""
        self._append(RecordType.ARCHIVED, [file_id.hex() for file_id in ids], 0)

    def _append(self, type_: RecordType, key: Any, payload: int) -> int:
        """Add a record; where its first slot stands."""
        text = to_json(key)
        slots = 2 * (SLOT.size + payload) if payload else 0
        at = len(self.data) + RECORD.size + padded(len(text))
        length = RECORD.size + padded(len(text)) + slots
        head = RECORD.pack(length, type_, len(text), 0)[:-4]
        self.data += head + crc32(text, crc32(head)).to_bytes(4, "little")
        self.data += text.ljust(padded(len(text)), b"\0") + bytes(slots)
        self.data[USED] = used(len(self.data))
        return at

    def _write(self, cell: Cell, payload: bytes) -> None:
        cell.sequence += 1
        body = cell.sequence.to_bytes(8, "little") + payload
        size = SLOT.size + len(payload)
        start = cell.at + (cell.sequence & 1) * size
        place = slice(start, start + size)
        self.data[place] = SLOT.pack(crc32(body), 0)[:8] + body
        self.changed.append(place)
