"""Ctrl-C, SIGTERM, SIGHUP and the time limit become exceptions, and none interrupts the clean-up."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from mnemoscope.errors import MnemoscopeError
from mnemoscope.examples.demo import interrupts

PROGRAM = """
import signal
from mnemoscope.examples.demo import interrupts
with interrupts.as_exceptions():
    try:
        print("running", flush=True)
        signal.pause()
    finally:
        interrupts.hold_off()
        print("cleaning", flush=True)
        input()
        print("clean", flush=True)
"""
SECONDS = 60


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_request_to_end_runs_the_clean_up_and_a_second_one_does_not_cut_it_short(
    number: signal.Signals, code: int
) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    with program.stdin, program.stdout:
        assert program.stdout.readline() == "running\n"
        program.send_signal(number)
        assert program.stdout.readline() == "cleaning\n"
        program.send_signal(number)
        program.stdin.write("\n")
        program.stdin.flush()

        assert program.stdout.readline() == "clean\n"
        assert program.wait(SECONDS) == code


def test_the_time_limit_names_the_step() -> None:
    def oversleep() -> None:
        with interrupts.as_exceptions():
            interrupts.time_limit(0.05, lambda: "count sheep")
            signal.pause()

    with pytest.raises(MnemoscopeError, match=r"not finished within 0.05 s; the step was: count sheep") as raised:
        oversleep()

    assert raised.value.exit_code == 1


def test_handlers_and_timer_are_restored() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with interrupts.as_exceptions():
        interrupts.time_limit(60, lambda: "nothing")
        assert signal.getsignal(signal.SIGTERM) is not before

    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
