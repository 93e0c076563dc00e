"""The benchmarks from end to end, with so little work that the figures mean nothing.

The libraries they compare with are no dependencies of the project. Those that happen not to be installed here must
be named, by the exit code, by the report and on stderr; everything else must have been measured.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measures import MEASURES
from benchmarks.targets import ROWS

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parent.parent.parent
SECONDS = 600
OPTIONAL = {
    "async_prometheus": "prometheus_async",
    "aio_prometheus": "aioprometheus",
    "locks_locklib": "locklib",
    "locks_threadle": "threadle",
    "locks_oslo": "oslo_concurrency",
}


@dataclass(frozen=True)
class Run:
    code: int
    page: str
    errors: str
    folder: Path

    @property
    def report(self) -> Any:
        return json.loads((self.folder / "results.json").read_text(encoding="utf-8"))

    def measures(self) -> dict[str, Any]:
        return {measure["key"]: measure for row in self.report["rows"] for measure in row["measures"]}


def bench(folder: Path, *arguments: str) -> Run:
    command = [sys.executable, "-m", "benchmarks", "--output", str(folder)]
    command += ["--rounds", "2", "--load", "0.01", "--installed-python", sys.executable]
    command += ["--autometrics-python", str(folder / "no-such-python")]
    done = subprocess.run(
        [*command, *arguments], cwd=CHECKOUT, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    return Run(done.returncode, done.stdout, done.stderr, folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return bench(tmp_path_factory.mktemp("results"))


def absent(key: str) -> bool:
    """Whether a figure needs what this environment lacks."""
    module = MEASURES[key].case.partition(":")[0]
    library = OPTIONAL.get(module) or ("aioprometheus" if key.startswith("aioprometheus") else None)
    return module == "auto_metrics" or (library is not None and importlib.util.find_spec(library) is None)


def test_the_report_has_every_row_target_and_figure(whole: Run) -> None:
    rows = whole.report["rows"]

    assert [row["key"] for row in rows] == [row.key for row in ROWS]
    for row, wanted in zip(rows, ROWS, strict=True):
        assert [measure["key"] for measure in row["measures"]] == list(wanted.measures)
        assert [target["what"] for target in row["targets"]] == [target.what for target in wanted.targets]


@pytest.mark.parametrize("key", [key for key in MEASURES if not absent(key)])
def test_every_figure_is_measured(whole: Run, key: str) -> None:
    measure = whole.measures()[key]

    assert measure["reason"] is None
    assert measure["rounds"] == len(measure["samples"]) > 0
    assert measure["low"] <= measure["median"] <= measure["high"]


@pytest.mark.parametrize("key", [key for key in MEASURES if absent(key)])
def test_a_figure_that_cannot_be_measured_is_named_with_the_reason(whole: Run, key: str) -> None:
    measure = whole.measures()[key]

    assert measure["median"] is None
    assert measure["reason"]
    assert f"{MEASURES[key].title}: {measure['reason']}" in whole.errors
    assert whole.code == 1


def test_a_target_is_judged_or_says_why_not(whole: Run) -> None:
    for row in whole.report["rows"]:
        for target in row["targets"]:
            assert (target["met"] is None) == (target["median"] is None) == bool(target["reason"])


def test_the_page_has_a_line_for_every_target_and_figure_and_is_what_was_printed(whole: Run) -> None:
    page = (whole.folder / "RESULTS.md").read_text(encoding="utf-8")

    assert page == whole.page
    lines = page.splitlines()
    for row in ROWS:
        for target in row.targets:
            assert any(line.startswith(f"| {row.key} | {target.what} |") for line in lines)
        for key in row.measures:
            assert any(line.startswith(f"| {MEASURES[key].title} |") for line in lines)


def test_neither_the_host_nor_its_folders_are_named(whole: Run) -> None:
    written = "".join(path.read_text(encoding="utf-8") for path in whole.folder.iterdir())

    assert str(CHECKOUT) not in written
    assert str(whole.folder) not in written
    assert not re.search(r"/(?:tmp|home|root|usr)/", written)


def test_chosen_rows_alone_are_measured_and_a_missed_target_is_no_failure(tmp_path: Path) -> None:
    run = bench(tmp_path, "--rows", "scrape, memory".replace(" ", ""), "--rows", "memory,threads")

    assert run.code == 0, run.errors
    assert [row["key"] for row in run.report["rows"]] == ["threads", "memory"]


def test_a_row_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    run = bench(tmp_path, "--rows", "call,nonsense")

    assert run.code == 2
    assert f"no row nonsense; rows are {', '.join(row.key for row in ROWS)}" in " ".join(run.errors.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rounds", ["0", "-1", "many"])
def test_a_number_of_rounds_that_measures_nothing_is_refused(tmp_path: Path, rounds: str) -> None:
    run = bench(tmp_path, f"--rounds={rounds}")

    assert run.code == 2
    assert "at least 1" in run.errors


def test_without_a_folder_a_quick_run_leaves_the_kept_results_alone() -> None:
    kept = [CHECKOUT / "benchmarks" / name for name in ("RESULTS.md", "results.json")]
    before = [path.read_bytes() if path.exists() else None for path in kept]

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--rounds", "1", "--load", "0.01", "--rows", "series-memory"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "| series-memory | series with a full journal, B |" in done.stdout
    assert [path.read_bytes() if path.exists() else None for path in kept] == before
