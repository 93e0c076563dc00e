"""The process gauges follow the process."""

from __future__ import annotations

import os

from mnemoscope import catalog
from mnemoscope.instrumentation.exporters.process_gauges import (
    memory_limit,
    observe_process,
    open_files,
    resident_bytes,
)
from mnemoscope.instrumentation.recording.registry import Registry


def test_open_files_follow_what_the_process_opens() -> None:
    before = open_files()
    read, write = os.pipe()
    assert open_files() == before + 2
    os.close(read)
    os.close(write)
    assert open_files() == before


def test_memory_is_within_its_limit_and_grows_with_use() -> None:
    before = resident_bytes()
    block = bytearray(64 << 20)
    block[::4096] = b"x" * len(block[::4096])
    assert resident_bytes() - before > 32 << 20
    assert 0 < resident_bytes() < memory_limit()


def test_the_gauges_appear_in_a_snapshot() -> None:
    registry = Registry()
    assert observe_process(registry)
    shown = {family.metric for family in registry.snapshot().families}
    assert {catalog.SERVICE_OPEN_FILES, catalog.SERVICE_MEMORY, catalog.SERVICE_MEMORY_LIMIT} <= shown
