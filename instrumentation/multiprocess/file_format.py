"""The format of a file of cells: what a process writes, what the archive is, what every reader checks.

A header, the log, then records, all in multiples of eight bytes, little-endian. A record is a key (JSON) and, for what
has a value, two slots. A slot holds a checksum, a sequence number and the value. The writer fills the slot that
is not the newest; the newest one whose checksum is right is the value. So a process that is killed while it
writes leaves the value before, and no reader ever takes half of one value and half of another.

The log holds single recordings that may not be part of the values yet, in any order; an archive has none. A value says
how many recordings it is made of, and an entry of the log which recording it is. So a reader knows, of a process that
has ended, which entries to add.
"""

from __future__ import annotations

import json
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

from ..catalog import Across, Area, Kind, Label, Metric, Unit

MAGIC = b"mnemcell"
VERSION = 2

_HEADER = Struct("<8sI4xQd16s16sQ4xI")
"""Magic, version, process id, start (Unix time), id of the file, id of the file of the process that forked this one,
where the records begin, checksum of all before it."""
_USED = Struct("<II")
"""How much of the file is in use, and the same with all bits turned: eight bytes that are stored at once."""
USED = slice(_HEADER.size, _HEADER.size + _USED.size)
HEADER_BYTES = USED.stop
LOG_ENTRY = Struct("<dQdQ")
"""One recording in the log, its value and its key, twice: a damaged or half written one is not equal to itself."""
LOG_BYTES = 2000 * LOG_ENTRY.size
RECORD = Struct("<IIII")
"""Length of the whole record, type, length of the key, checksum of key and fields before it."""
SLOT = Struct("<I4xQ")
"""Checksum of all behind it, sequence number (0: never written); the value follows."""

NO_PARENT = bytes(16)
"""In the place of a parent's id: the process was not forked by one that shares the directory."""
EXEMPLAR_BYTES = 248
"""Room for one exemplar as JSON; OpenMetrics allows 128 characters of labels, which fit unless all are exotic."""
SUM_PARTS = 3
"""A sum is kept as so many floats that add up to it exactly; see `merge.exact`."""


class RecordType(IntEnum):
    """What a record is; the comment is its key."""

    FAMILY = 1  # definition of a metric
    SERIES = 2  # [number of its family, label values]
    EXEMPLAR = 3  # [number of its series, bucket]
    ARCHIVED = 4  # ids of the files that an archive has taken in


class RejectedError(Exception):
    """A file that cannot be used; `reason` is a value of the label of `instrumentation.files_rejected`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Header(NamedTuple):
    """Who wrote a file, when it began to count, and where its parts are."""

    pid: int
    started: float
    id: bytes
    parent: bytes
    records: int
    used: int

    def pack(self) -> bytes:
        """The header's bytes."""
        body = _HEADER.pack(MAGIC, VERSION, *self[:-1], 0)[:-4]
        return body + crc32(body).to_bytes(4, "little") + used(self.used)

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        """The header of `data`.

        Raises:
            RejectedError: it is no file of ours, or not one that this version can read.
        """
        if not data:
            raise RejectedError("empty")
        if not data.startswith(MAGIC):
            raise RejectedError("foreign")
        if len(data) < HEADER_BYTES:
            raise RejectedError("truncated")
        _, version, pid, started, file_id, parent, records, checksum = _HEADER.unpack_from(data)
        end, turned = _USED.unpack_from(data, USED.start)
        if version != VERSION:
            raise RejectedError("version")
        if crc32(data[: USED.start - 4]) != checksum or end != turned ^ _ALL_BITS:
            raise RejectedError("corrupt")
        if end > len(data):
            raise RejectedError("truncated")
        return cls(pid, started, file_id, parent, records, end)


_ALL_BITS = 0xFFFFFFFF


def used(end: int) -> bytes:
    """The part of the header that changes, for a file of which so much is in use."""
    return _USED.pack(end, end ^ _ALL_BITS)


def padded(length: int) -> int:
    """`length`, up to the next multiple of eight."""
    return -(-length // 8) * 8


@lru_cache(maxsize=256)
def value_struct(kind: Kind, buckets: int) -> Struct:
    """How a series' value is packed.

    A counter is the parts of its total; a gauge its value (NaN: none now) and when it became that; a histogram
    the count of each bucket and of what is above them, and the parts of the sum. What is behind a sum is how many
    recordings of the process are in it.
    """
    if kind is Kind.COUNTER:
        return Struct(f"<{SUM_PARTS}dQ")
    if kind is Kind.GAUGE:
        return Struct("<2d")
    return Struct(f"<{buckets + 1}Q{SUM_PARTS}dQ")


_ORDINAL_BITS = 44
KEYS_PER_SERIES = 1 << _ORDINAL_BITS
"""Room for the keys of one series: more recordings than a thread can make in two months that does nothing else."""
MAX_SERIES = (1 << 63 - _ORDINAL_BITS) - 1
"""Series of a file whose recordings can have keys."""


def first_key(number: int) -> int:
    """Return the key of the first recording of a series, by its number in the file; the others follow. None is 0."""
    return (number + 1) << _ORDINAL_BITS


def split_key(key: int) -> tuple[int, int]:
    """Return which series a recording belongs to, and which of its recordings it is, both from 0."""
    return (key >> _ORDINAL_BITS) - 1, key & (KEYS_PER_SERIES - 1)


def to_json(value: Any) -> bytes:
    """Compact JSON; a lone surrogate, which no encoding can hold, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")


def metric_to_json(metric: Metric) -> list[Any]:
    """The definition of a metric as the key of its record."""
    labels = [[label.name, list(label.values)] for label in metric.labels]
    return [
        *(metric.name, metric.kind, metric.unit, metric.help, metric.area),
        *(labels, list(metric.buckets), metric.across),
    ]


def metric_from_json(definition: list[Any]) -> Metric:
    """The metric that a definition describes.

    Raises:
        ValueError, TypeError: it describes none.
    """
    name, kind, unit, help_, area, labels, buckets, across = definition
    return Metric(
        name,
        Kind(kind),
        Unit(unit),
        help_,
        Area(area),
        tuple(Label(label, "", tuple(values)) for label, values in labels),
        tuple(float(bound) for bound in buckets),
        across=Across(across),
    )
