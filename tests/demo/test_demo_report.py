"""The demo prints one line for each proof, and a progress bar on terminals only."""

from __future__ import annotations

import io

from rich.console import Console

from mnemoscope.examples.demo.proofs import Proof
from mnemoscope.examples.demo.report import Report

GOOD = Proof("all targets are up", "2 of 2")
BAD = Proof(
    "every query returns data", "1 of 3", ("board / [panel] / A: no series", "board / panel / B: nothing but NaN")
)


def reporting(terminal: bool = False) -> tuple[Report, io.StringIO]:
    written = io.StringIO()
    return Report(Console(file=written, force_terminal=terminal, soft_wrap=True, highlight=False)), written


def test_a_proof_is_a_line_and_each_failure_one_more_as_it_stands() -> None:
    report, written = reporting()

    report.add(GOOD)
    report.add(BAD)
    report.conclude()

    assert written.getvalue().splitlines() == [
        "ok   all targets are up: 2 of 2",
        "FAIL every query returns data: 1 of 3",
        "       board / [panel] / A: no series",
        "       board / panel / B: nothing but NaN",
        "1 of 2 proofs hold, FAILED",
    ]


def test_a_long_list_of_failures_is_cut_and_counted() -> None:
    report, written = reporting()

    report.add(Proof("claim", "found", tuple(f"failure {n}" for n in range(25))))

    lines = written.getvalue().splitlines()
    assert len(lines) == 22
    assert lines[-1].strip() == "and 5 more"


def test_all_hold_only_when_there_was_a_proof_and_none_failed() -> None:
    report, _ = reporting()
    assert not report.all_hold

    report.add(GOOD)
    assert report.all_hold

    report.add(BAD)
    assert not report.all_hold


def test_progress_is_plain_lines_where_there_is_no_terminal() -> None:
    report, written = reporting()

    with report.progress("work", 10) as advance:
        advance(0, "starting")
        advance(1, "too soon for another line")
        advance(10, "7 completed")

    assert written.getvalue().splitlines() == ["     work: 0%, starting", "     work: 100%, 7 completed"]


def test_progress_is_a_bar_on_a_terminal() -> None:
    report, written = reporting(terminal=True)

    with report.progress("work", 10) as advance:
        advance(10, "7 completed")

    assert "━" in written.getvalue()
    assert "7 completed" in written.getvalue()
