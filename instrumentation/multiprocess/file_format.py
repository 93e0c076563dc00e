"""The format of a metrics file, which is a process' file or the archive: header, write-ahead log, records.

All parts are multiples of eight bytes, little-endian. A record has a key (JSON) and, if it has a value, a cell. A cell
holds two copies of the value, each with a checksum and a sequence number. The writer overwrites the older copy. A
reader takes the newer one if its checksum is right, and otherwise the older one. So a process that is killed during a
write leaves the previous value, and no reader mixes two values.

The log holds single recordings that may not be in the values yet, in any order. An archive has no log. A value contains
the number of its recordings, and a log entry the ordinal of its recording. So the reader of an ended process' file
knows which entries to add.
"""

from __future__ import annotations

import json
from enum import IntEnum
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

from ..catalog import Across, Kind, Label, Metric, Unit

MAGIC = b"mnemcell"
VERSION = 3

_HEADER = Struct("<8sI4xQd16s16sQ4xI")
"""Magic, version, process id, start (Unix time), id of the file, id of the parent process' file, offset of the records,
checksum of everything before it."""
_USED = Struct("<II")
"""How many bytes of the file are in use, and the same with all bits inverted: eight bytes, stored in one step."""
USED = slice(_HEADER.size, _HEADER.size + _USED.size)
HEADER_BYTES = USED.stop
LOG_ENTRY = Struct("<dQdQ")
"""One recording in the log: value and key, twice. In a damaged or half-written entry, the two differ."""
LOG_BYTES = 2000 * LOG_ENTRY.size
RECORD = Struct("<IIII")
"""Length of the whole record, type, length of the key, checksum of the key and of the fields before the checksum."""
COPY_HEAD = Struct("<I4xQ")
"""Before each copy of a value: checksum of what follows it, and sequence number (0 if never written)."""

NO_PARENT = bytes(16)
"""The parent's id in a process that was not forked by a process in multi-process mode."""
EXEMPLAR_BYTES = 248
"""Room for one exemplar as JSON. OpenMetrics allows 128 characters of labels, which fit unless most need four bytes."""
SUM_PARTS = 3
"""The number of floats that add up to a sum exactly; see `merge.exact`."""


class RecordType(IntEnum):
    """The type of a record; the comment describes its key."""

    FAMILY = 1  # definition of a metric
    SERIES = 2  # [number of its family, label values]
    EXEMPLAR = 3  # [number of its series, bucket]
    ARCHIVED = 4  # ids of the files whose values are in the archive


class RejectedError(Exception):
    """A file that cannot be used; `reason` is a value of the label of `instrumentation.files_rejected`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Header(NamedTuple):
    """The process of a file, the time from which it counts, and where its parts are."""

    pid: int
    started: float
    id: bytes
    parent: bytes
    records: int
    used: int

    def pack(self) -> bytes:
        """Return the header as bytes."""
        body = _HEADER.pack(MAGIC, VERSION, *self[:-1], 0)[:-4]
        return body + crc32(body).to_bytes(4, "little") + pack_used(self.used)

    @classmethod
    def unpack(cls, data: bytes) -> Header:
        """Return the header of `data`.

        Raises:
            RejectedError: it is not a metrics file that this version can read.
        """
        if not data:
            raise RejectedError("empty")
        if not data.startswith(MAGIC):
            raise RejectedError("foreign")
        if len(data) < HEADER_BYTES:
            raise RejectedError("truncated")
        _, version, pid, started, file_id, parent, records, checksum = _HEADER.unpack_from(data)
        end, inverted = _USED.unpack_from(data, USED.start)
        if version != VERSION:
            raise RejectedError("version")
        if crc32(data[: USED.start - 4]) != checksum or end != inverted ^ _ALL_BITS:
            raise RejectedError("corrupt")
        if end > len(data):
            raise RejectedError("truncated")
        return cls(pid, started, file_id, parent, records, end)


_ALL_BITS = 0xFFFFFFFF


def pack_used(end: int) -> bytes:
    """Return the changing part of the header, for a file with `end` bytes in use."""
    return _USED.pack(end, end ^ _ALL_BITS)


def padded(length: int) -> int:
    """Return `length`, rounded up to a multiple of eight."""
    return -(-length // 8) * 8


@lru_cache(maxsize=256)
def value_struct(kind: Kind, buckets: int) -> Struct:
    """Return how a series' value is packed.

    A counter has the parts of its total. A gauge has its value (NaN if it has none now) and the time of its last
    change. A histogram has the count of each bucket, the last one unbounded, and the parts of its sum. After a sum
    stands the number of its recordings by the process.
    """
    if kind is Kind.COUNTER:
        return Struct(f"<{SUM_PARTS}dQ")
    if kind is Kind.GAUGE:
        return Struct("<2d")
    return Struct(f"<{buckets + 1}Q{SUM_PARTS}dQ")


_ORDINAL_BITS = 44
KEYS_PER_SERIES = 1 << _ORDINAL_BITS
"""The keys of one series: more recordings than a busy thread makes in two months."""
MAX_SERIES = (1 << 63 - _ORDINAL_BITS) - 1
"""The number of series in a file whose recordings can have keys."""


def first_key(number: int) -> int:
    """Return the key of the first recording of the series with this number; the next keys follow. No key is 0."""
    return (number + 1) << _ORDINAL_BITS


def split_key(key: int) -> tuple[int, int]:
    """Return the number of a recording's series, and the recording's ordinal in it, both from 0."""
    return (key >> _ORDINAL_BITS) - 1, key & (KEYS_PER_SERIES - 1)


def to_json(value: Any) -> bytes:
    """Return compact JSON; a lone surrogate, which UTF-8 cannot hold, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode("utf-8", "replace")


def metric_to_json(metric: Metric) -> list[Any]:
    """Return the definition of a metric, as the key of its record."""
    labels = [[label.name, list(label.values)] for label in metric.labels]
    return [
        *(metric.name, metric.kind, metric.unit, metric.help),
        *(labels, list(metric.buckets), metric.across),
    ]


def metric_from_json(definition: list[Any]) -> Metric:
    """Return the metric of a definition.

    Raises:
        ValueError, TypeError: the definition is wrong.
    """
    name, kind, unit, help_, labels, buckets, across = definition
    return Metric(
        name,
        Kind(kind),
        Unit(unit),
        help_,
        tuple(Label(label, "", tuple(values)) for label, values in labels),
        tuple(float(bound) for bound in buckets),
        across=Across(across),
    )
