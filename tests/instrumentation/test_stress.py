"""A short run of the stress program; `.ci/run` runs a long one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_threads_signals_finalisers_scrapes_and_forks_record_together_without_loss_or_deadlock() -> None:
    program = Path(__file__).with_name("stress.py")
    result = subprocess.run([sys.executable, program, "4"], capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ", 0 faults" in result.stdout
