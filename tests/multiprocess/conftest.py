"""Registries that share a directory, and leave it at the end of the test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mp_helpers import end

import mnemoscope as scope
from mnemoscope.instrumentation.recording.registry import Registry


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cells"


@pytest.fixture
def member(directory: Path) -> Iterator[Callable[[], Registry]]:
    """Makes registries that are to each other as those of different processes: each has a file and a lock."""
    made: list[Registry] = []

    def make(**options: int) -> Registry:
        registry = Registry(**options)
        assert scope.share_directory(directory, registry=registry)
        made.append(registry)
        return registry

    yield make
    for registry in made:
        end(registry)


@pytest.fixture(autouse=True)
def no_directory_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MNEMOSCOPE_MULTIPROC_DIR", raising=False)
    assert "MNEMOSCOPE_MULTIPROC_DIR" not in os.environ
