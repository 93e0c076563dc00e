"""`python -m benchmarks`: measure, print the page, and write RESULTS.md and results.json.

A whole run writes the files beside this module. A run with fewer rounds or rows writes them only if the command line
names a folder, so that a short run never replaces the committed results.

The exit code is 0 if everything was measured, whether or not the targets are met; 1 if a figure could not be measured;
2 for an unknown row.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from .facts import machine
from .percall import LOAD_VARIABLE
from .report import document, markdown, unmeasured
from .rounds import Result, measure, rounds_of
from .targets import ROWS, Row
from .workers import CHECKOUT

DEFAULT_ROUNDS = 25
_KEYS = tuple(row.key for row in ROWS)


def main() -> int:
    """Measure the rows of the command line, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure everything side by side.")
    parser.add_argument("--rounds", type=_positive, default=DEFAULT_ROUNDS, help="rounds of the cheap rows")
    parser.add_argument("--rows", type=_rows, default=ROWS, metavar="KEY,...", help=f"of {', '.join(_KEYS)}")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable))
    for name in ("installed", "autometrics"):
        parser.add_argument(f"--{name}-python", type=Path, default=CHECKOUT / f".venv-bench-{name}" / "bin" / "python")
    parser.add_argument("--load", type=float, default=1.0, help="share of the work; below 1 figures mean nothing")
    parser.add_argument("--output", type=Path, help="folder of the two files")
    options = parser.parse_args()

    # Not resolved: a virtual environment's interpreter is a link, and means something else at its end.
    interpreters = {
        "peers": options.peers_python.absolute(),
        "installed": options.installed_python.absolute(),
        "autometrics": options.autometrics_python.absolute(),
    }
    os.environ[LOAD_VARIABLE] = str(options.load)
    facts = machine(interpreters)
    results: list[Result] = []
    for row in options.rows:
        print(f"{row.key}: {rounds_of(row, options.rounds)} rounds of {len(row.measures)}", file=sys.stderr, flush=True)
        results.append(measure(row, options.rounds, interpreters))
    report = document(facts, options.rounds, results)
    page = markdown(report)
    whole = options.rows == ROWS and options.rounds >= DEFAULT_ROUNDS and options.load == 1
    if folder := options.output or (Path(__file__).parent if whole else None):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (folder / "RESULTS.md").write_text(page, encoding="utf-8")
    print(page, end="")

    missing = unmeasured(results)
    for line in missing:
        print(f"not measured: {line}", file=sys.stderr)
    return 1 if missing else 0


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number of rounds is at least 1")
    return int(text)


def _rows(text: str) -> tuple[Row, ...]:
    wanted = [key.strip() for key in text.split(",") if key.strip()]
    unknown = [key for key in wanted if key not in _KEYS]
    if unknown or not wanted:
        raise argparse.ArgumentTypeError(f"no row {', '.join(unknown) or 'is named'}; rows are {', '.join(_KEYS)}")
    return tuple(row for row in ROWS if row.key in wanted)


if __name__ == "__main__":
    sys.exit(main())
