"""Files that are empty, foreign, cut, flipped or from another version: set aside, counted, and the scrape served."""

from __future__ import annotations

import math
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mp_helpers import end, histogram, mode, points, until, value

from mnemoscope.instrumentation import catalog
from mnemoscope.instrumentation.multiprocess import own_file
from mnemoscope.instrumentation.multiprocess.file_contents import FileContents
from mnemoscope.instrumentation.multiprocess.file_format import (
    COPY_HEAD,
    HEADER_BYTES,
    LOG_ENTRY,
    MAX_SERIES,
    Header,
    RejectedError,
    first_key,
)
from mnemoscope.instrumentation.multiprocess.file_reader import FileReader
from mnemoscope.instrumentation.recording.registry import Registry
from mnemoscope.instrumentation.recording.snapshot import Exemplar, HistogramPoint, NumberPoint

Member = Callable[..., Registry]


def contents_of(count: float = 5, exemplar: bool = True) -> FileContents:
    """Return the contents of a file with a counter, a gauge and a histogram."""
    contents = FileContents(1, 1.0, log=16 * LOG_ENTRY.size)
    stale = contents.series(catalog.CACHE_STALE_READS, ("a",))
    contents.set(stale, (count, 0.0, 0.0, 1))
    contents.set(contents.series(catalog.LOCK_WAITERS, ("x", "read")), (1.0, 2.0))
    wait = contents.series(catalog.LOCK_WAIT_DURATION, ("x", "read"))
    contents.set(wait, (*range(len(catalog.LOCK_WAIT_DURATION.buckets) + 1), 1.5, 0.0, 0.0, 3))
    if exemplar:
        contents.set_exemplars(wait, {3: Exemplar((("trace_id", "abc"),), 0.1, 5.0)})
    return contents


def with_log(contents: FileContents, *entries: tuple[float, int]) -> bytes:
    """Return the file with log entries: a value and a key each."""
    data = bytearray(contents.data)
    for number, entry in enumerate(entries):
        LOG_ENTRY.pack_into(data, HEADER_BYTES + number * LOG_ENTRY.size, *entry, *entry)
    return bytes(data)


WHOLE = bytes(contents_of().data)
COUNTER, GAUGE, HISTOGRAM, NOTHING = map(first_key, range(4))
UNPUBLISHED = [(0.5, COUNTER), (2.0, COUNTER + 1), (0.25, HISTOGRAM + 2), (0.25, HISTOGRAM + 3), (4.0, COUNTER + 2)]
"""Recordings: the first of the counter, and the third of the histogram, are published."""


def with_version(number: int) -> bytes:
    return WHOLE[:8] + struct.pack("<I", number) + WHOLE[12:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"#!/bin/sh\necho hello\n", "foreign"),
        (bytes(100_000), "foreign"),
        (with_version(99), "version"),
        (WHOLE[:30], "truncated"),
        (WHOLE[:-1], "truncated"),
        (WHOLE[: HEADER_BYTES + 40], "truncated"),
        (WHOLE[:80] + b"\xff" * 8 + WHOLE[88:], "corrupt"),
    ],
)
def test_a_file_that_cannot_be_used_is_set_aside_and_counted_once(
    member: Member, directory: Path, content: bytes, reason: str
) -> None:
    worker, reader, other = member(), member(), member()
    worker.counter(catalog.CACHE_STALE_READS, cache="a").inc(2)
    worker.snapshot()
    (directory / "77-ab.cells").write_bytes(content)

    assert value(reader, catalog.CACHE_STALE_READS, "a") == 2
    assert value(reader, catalog.INSTRUMENTATION_FILES_REJECTED, reason) == 1
    assert (directory / "77-ab.cells.bad").read_bytes() == content
    assert value(other, catalog.INSTRUMENTATION_FILES_REJECTED, reason) == 1, "no second reader counts it again"


def test_what_is_no_file_at_all_is_set_aside_too(member: Member, directory: Path) -> None:
    reader = member()
    (directory / "folder.cells").mkdir()
    os.mkfifo(directory / "pipe.cells")

    assert value(reader, catalog.INSTRUMENTATION_FILES_REJECTED, "unreadable") is not None
    assert value(reader, catalog.INSTRUMENTATION_FILES_REJECTED, "unreadable") == 2
    assert not list(directory.glob("*r.cells")) + list(directory.glob("pipe.cells"))


def test_a_damaged_archive_costs_the_dead_and_nothing_else(member: Member, directory: Path) -> None:
    reader, worker = member(), member()
    worker.counter(catalog.CACHE_STALE_READS, cache="a").inc(2)
    end(worker)
    reader.counter(catalog.CACHE_STALE_READS, cache="a").inc(10)
    assert value(reader, catalog.CACHE_STALE_READS, "a") == 12
    archive = directory / "archive"
    archive.write_bytes(archive.read_bytes()[:-20])

    assert value(reader, catalog.CACHE_STALE_READS, "a") == 10
    assert value(reader, catalog.INSTRUMENTATION_FILES_REJECTED, "truncated") == 1


@pytest.mark.parametrize("how", ["cut", "emptied", "overwritten", "removed"])
def test_a_living_process_makes_its_file_anew_when_it_publishes(how: str, member: Member, directory: Path) -> None:
    worker, reader = member(), member()
    worker.counter(catalog.CACHE_STALE_READS, cache="a").inc(2)
    worker.snapshot()
    path = directory / mode(worker)._publisher._file.name
    path.chmod(0o600)
    if how == "removed":
        path.unlink()
    elif how == "overwritten":
        path.write_bytes(b"x" * path.stat().st_size)
    else:
        os.truncate(path, 100 if how == "cut" else 0)
    worker.snapshot()
    worker.counter(catalog.CACHE_STALE_READS, cache="a").inc(3)

    assert until(lambda: value(reader, catalog.CACHE_STALE_READS, "a") == 5, "all its counts are there again")


def test_nobody_cuts_a_file_in_place_by_mistake(member: Member, directory: Path) -> None:
    # The process would be killed when it next records: behind its mapping there would be nothing.
    worker = member()
    worker.snapshot()
    (path,) = directory.glob("*.cells")

    assert path.stat().st_mode & 0o777 == 0o444
    done = subprocess.run(
        [sys.executable, "-c", "import os, sys; os.getuid() or os.setuid(65534); os.truncate(sys.argv[1], 0)", path],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert "PermissionError" in done.stderr


def test_a_value_whose_writer_was_killed_in_the_middle_is_the_value_before() -> None:
    contents = contents_of(exemplar=False)
    file = FileReader(lambda metric: metric)
    file.parse(bytes(contents.data))
    stale = contents.series(catalog.CACHE_STALE_READS, ("b",))
    contents.set(stale, (1.0, 0.0, 0.0, 1))
    before = bytes(contents.data)
    contents.set(stale, (2.0, 0.0, 0.0, 2))
    after = bytes(contents.data)

    for written in range(stale.at, len(after) + 1):
        torn = after[:written] + before[written:]
        file.parse(torn)
        found = dict(file.values(torn, lenient=True))
        (number,) = [row[0] for (metric, labels), row in found.items() if labels == ("b",)]
        assert number in (1.0, 2.0)
        assert (number == 2.0) == (torn == after)


def test_a_value_that_is_being_written_makes_the_reader_read_again() -> None:
    contents = contents_of()
    file = FileReader(lambda metric: metric)
    data = bytearray(contents.data)
    file.parse(bytes(data))
    (_, slots) = file._values[0]
    data[slots.at + slots.size + COPY_HEAD.size] ^= 1

    with pytest.raises(RejectedError, match="corrupt"):
        file.values(bytes(data), lenient=False)
    with pytest.raises(RejectedError, match="corrupt"):
        file.values(bytes(data), lenient=True)  # there is no value before


def test_a_value_that_was_being_written_is_read_again_rather_than_taken_from_before(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, reader = member(), member()
    for _ in range(2):
        worker.counter(catalog.CACHE_STALE_READS, cache="a").inc()
        worker.snapshot()
    directory = mode(reader)._directory
    assert value(reader, catalog.CACHE_STALE_READS, "a") == 2
    name = mode(worker)._publisher._file.name
    places = {key[1]: slots for key, slots in directory._known[name]._values if key[0] is catalog.CACHE_STALE_READS}
    readings = []

    def contents(wanted: str) -> tuple[bytes, bool]:
        data, alive = type(directory)._read_file(directory, wanted)
        if wanted == name:
            readings.append(data)
        if wanted == name and len(readings) == 1:
            slots, torn = places["a",], bytearray(data)
            newest = max((0, 1), key=lambda i: COPY_HEAD.unpack_from(data, slots.at + i * slots.size)[1])
            torn[slots.at + newest * slots.size + COPY_HEAD.size] ^= 1
            return bytes(torn), alive
        return data, alive

    monkeypatch.setattr(directory, "_read_file", contents)
    assert value(reader, catalog.CACHE_STALE_READS, "a") == 2
    assert len(readings) == 2


def read(data: bytes) -> list[NumberPoint | HistogramPoint]:
    return list(points(data, alive=True).values())


def left(data: bytes) -> tuple[float, int, float]:
    """Return an ended process' count, and the number and the sum of its observations, from its file."""
    found = points(data, alive=False)
    stale, waits = found[catalog.CACHE_STALE_READS.name, "a"], found[catalog.LOCK_WAIT_DURATION.name, "x", "read"]
    assert isinstance(stale, NumberPoint)
    assert isinstance(waits, HistogramPoint)
    return stale.value, waits.observations, waits.sum


def test_only_what_an_ended_process_has_not_published_is_added() -> None:
    counted, observed, total = left(WHOLE)
    data = with_log(contents_of(), *UNPUBLISHED)

    assert left(data) == (counted + 6, observed + 1, total + 0.25)
    assert read(data) == read(WHOLE), "of a living process, nothing is added"


@pytest.mark.parametrize(
    "entry",
    [
        (1.0, 0),
        (1.0, 5),
        (1.0, NOTHING + 3),
        (1.0, first_key(MAX_SERIES - 1) + 5),
        (1.0, (1 << 64) - 1),
        (1.0, GAUGE + 5),
        (-1.0, COUNTER + 5),
        (math.nan, COUNTER + 5),
        (math.inf, COUNTER + 5),
        (1e300, HISTOGRAM + 5),
    ],
)
def test_an_entry_that_makes_no_sense_is_left_out(entry: tuple[float, int]) -> None:
    assert left(with_log(contents_of(), entry)) == left(WHOLE)
    assert left(with_log(contents_of(), *UNPUBLISHED, entry)) == left(with_log(contents_of(), *UNPUBLISHED))


def test_an_entry_whose_writer_was_killed_in_the_middle_is_left_out() -> None:
    before, after = with_log(contents_of(), (0.5, COUNTER)), with_log(contents_of(), (2.0, COUNTER + 1))
    for written in range(HEADER_BYTES, HEADER_BYTES + LOG_ENTRY.size + 1):
        torn = after[:written] + before[written:]
        assert left(torn)[0] == left(WHOLE)[0] + (2 if torn == after else 0)


def test_no_flipped_bit_in_the_tail_adds_to_what_was_recorded() -> None:
    data = bytearray(with_log(contents_of(), *UNPUBLISHED))
    counted, observed, total = left(WHOLE)
    for bit in range(16 * LOG_ENTRY.size * 8):
        data[HEADER_BYTES + bit // 8] ^= 1 << bit % 8
        now = left(bytes(data))
        assert now[0] - counted in (2, 4, 6)
        assert (now[1] - observed, now[2] - total) in ((0, 0), (1, 0.25))
        data[HEADER_BYTES + bit // 8] ^= 1 << bit % 8


@settings(max_examples=200)
@given(st.binary(max_size=16 * LOG_ENTRY.size))
def test_no_bytes_in_the_tail_keep_a_file_from_being_read(content: bytes) -> None:
    data = bytearray(WHOLE)
    data[HEADER_BYTES : HEADER_BYTES + len(content)] = content
    assert left(bytes(data))[1] >= 3


def test_no_flipped_bit_and_no_cut_is_taken_for_a_value() -> None:
    chance = random.Random(20)
    whole = read(WHOLE)
    served = 0
    for _ in range(4000):
        damaged = bytearray(WHOLE)
        if chance.random() < 0.2:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            for _ in range(chance.choice((1, 1, 2, 8))):
                damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        try:
            points = read(bytes(damaged))
        except RejectedError:
            continue
        served += 1
        # What still reads is right: the damage was in padding, an unused slot, or an exemplar, which is left out.
        assert [p._replace(exemplars=()) if len(p) == 4 else p for p in points] == [
            p._replace(exemplars=()) if len(p) == 4 else p for p in whole
        ]
    assert 0 < served < 3000


def test_no_damaged_file_among_others_keeps_a_scrape_from_being_served(member: Member, directory: Path) -> None:
    chance = random.Random(21)
    reader = member()
    reader.histogram(catalog.LOCK_WAIT_DURATION, lock="x", mode="read").observe(0.2)
    for i in range(150):
        damaged = bytearray(bytes(contents_of().data))
        for _ in range(chance.randrange(1, 30)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (directory / f"{i}-x.cells").write_bytes(damaged[: chance.randrange(len(damaged) * 2)])

        assert histogram(reader, catalog.LOCK_WAIT_DURATION, "x", "read").observations >= 1
    assert not list(directory.glob("*-x.cells")), "every one was set aside, or taken into the archive"


def test_a_full_disk_keeps_what_is_new_to_the_process_and_harms_nothing(
    member: Member, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker, reader = member(), member()
    counter = worker.counter(catalog.CACHE_STALE_READS, cache="a")
    counter.inc(2)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    caches = [f"cache {number}" for number in range(300)]
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        counter.inc(3)
        assert until(lambda: value(reader, catalog.CACHE_STALE_READS, "a") == 5, "it has its place")
        for cache in caches:
            worker.counter(catalog.CACHE_STALE_READS, cache=cache).inc()
        for _ in range(5000):
            counter.inc()
        assert until(lambda: value(reader, catalog.CACHE_STALE_READS, "a") == 5005, "it still has its place")
        assert value(reader, catalog.CACHE_STALE_READS, caches[-1]) is None
        assert value(worker, catalog.CACHE_STALE_READS, caches[-1]) == 1, "its own scrape comes from memory"
    (line,) = [record.getMessage() for record in caplog.records if "No space left on device" in record.getMessage()]
    assert "other processes see no new recordings of this process" in line
    assert until(lambda: value(reader, catalog.CACHE_STALE_READS, caches[-1]) == 1, "published once there is room")


def test_a_file_that_cannot_be_mapped_is_written_instead(
    member: Member, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def impossible(*_: object) -> None:
        raise OSError(19, "No such device")

    monkeypatch.setattr(own_file, "mmap", impossible)
    worker, reader = member(), member()
    series = [worker.counter(catalog.CACHE_STALE_READS, cache=f"{number}") for number in range(300)]
    for number, counter in enumerate(series):
        for _ in range(5):
            counter.inc(number)

    assert until(lambda: value(reader, catalog.CACHE_STALE_READS, "299") == 5 * 299, "published by its thread")
    assert until(lambda: "a killed process can lose recordings" in caplog.text, "one line in the log")


def test_the_header_says_who_wrote_a_file() -> None:
    contents = contents_of()
    header = Header.unpack(bytes(contents.data))
    assert (header.pid, header.started, header.id, header.used) == (1, 1.0, contents.id, len(contents.data))
