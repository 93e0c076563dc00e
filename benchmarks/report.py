"""The results as JSON for programs and as Markdown for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .measures import MEASURES
from .rounds import Result
from .spread import summarise
from .targets import Target

METHOD = """
Each round takes one sample of every figure in a table, in turn (A B C A B C ...). The processes that measure are
started before and stay; only one of them is busy at a time.

Figures are medians over the rounds, with the first and third quartile. A ratio is computed for each round; the table
shows the median of the ratios.

Costs per call and scrapes are CPU time of the measuring process, which stays on one CPU, so that other processes have
little effect. Threads and event loops have all CPUs. The stall of an event loop is CPU time of its process, with all
threads, between two ticks of one millisecond. Figures in wall-clock time are marked as such. Imports are wall-clock
time: the best of three starts in a round, in an environment with a plain install.

A cost per call is the cost above the same loop with a bare call, which is sampled just before. A sample has at least
5,000 calls and takes about 10 ms, so that it includes work that is deferred to every hundredth call. `tail` shows the
cost of such a call: it times 100,000 calls of each sample separately, in wall-clock time, and subtracts nothing.

The measured code does nothing, so its durations fall into one bucket, like those of most free locks and cache hits.
mnemoscope's histograms cost least in that case; "over many buckets" is the cost of an observation when durations
scatter.

The first sample of each figure is a warm-up and is discarded. The garbage collector runs before each sample and is off
during it, for all libraries.

Each of the `tenants` occurs several times before the first sample. Memory is measured by tracemalloc; `series-memory`
measures the worst moment for mnemoscope, just before a fold.

In multi-process mode another process reads the files of both libraries. The figure includes the CPU time of threads
that write them. Each page is checked to show every observation of every process. `idle` is the CPU time of all threads
of eight processes within five seconds; each process has recorded and been scraped once.

`labels().time()` is measured as a block in the caller, without the outcome and without a wrapper: its cheapest form.
OpenTelemetry has no timer; it gets the decorator that its users write.
"""


def document(facts: dict[str, Any], rounds: int, results: Sequence[Result]) -> dict[str, Any]:
    """Return all results with their single samples, for JSON."""
    return {
        "machine": facts,
        "rounds": rounds,
        "method": METHOD,
        "rows": [
            {
                "key": result.row.key,
                "title": result.row.title,
                "targets": [_target(result, target) for target in result.row.targets],
                "measures": [_measure(result, name) for name in result.row.measures],
            }
            for result in results
        ],
    }


def unmeasured(results: Sequence[Result]) -> list[str]:
    """Return a line for each figure that could not be measured."""
    return [
        f"{result.row.key}: {MEASURES[name].title}: {reason}"
        for result in results
        for name, reason in result.failures.items()
    ]


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a page, from what `document` returns."""
    return "\n".join(_page(report)) + "\n"


def _target(result: Result, target: Target) -> dict[str, Any]:
    reached = result.summary(target)
    return {
        "what": target.what,
        "measure": target.measure,
        "over": target.over or None,
        "at_most": target.at_most,
        "at_least": target.at_least,
        "median": reached and reached.median,
        "low": reached and reached.low,
        "high": reached and reached.high,
        "rounds": reached.rounds if reached else 0,
        "met": target.met(reached.median) if reached else None,
        "reason": None if reached else result.reason(target),
    }


def _measure(result: Result, name: str) -> dict[str, Any]:
    values = result.samples.get(name, [])
    summary = summarise(values) if values else None
    return {
        "key": name,
        "title": MEASURES[name].title,
        "unit": MEASURES[name].unit,
        "median": summary and summary.median,
        "low": summary and summary.low,
        "high": summary and summary.high,
        "rounds": len(values),
        "samples": values,
        "reason": result.failures.get(name),
    }


def _page(report: dict[str, Any]) -> Iterator[str]:
    machine = report["machine"]
    yield "# Benchmarks"
    yield ""
    yield "Written by `make bench`; `ROUNDS=3` makes a quick run, `ROWS=call,scrape` chooses tables."
    yield ""
    yield from _machine(machine, report["rounds"])
    yield ""
    yield "## To reach"
    yield ""
    yield "| row | what | to reach | reached | quartiles | rounds | met |"
    yield "|---|---|---|---|---|---|---|"
    for row in report["rows"]:
        for target in row["targets"]:
            yield _target_line(row["key"], target)
    for row in report["rows"]:
        yield ""
        yield f"## {row['key']}: {row['title']}"
        yield ""
        yield "| | median | quartiles | rounds |"
        yield "|---|---:|---:|---:|"
        for measure in row["measures"]:
            yield _measure_line(measure)
    yield ""
    yield "## Method"
    yield ""
    yield report["method"].strip()


def _machine(machine: dict[str, Any], rounds: int) -> Iterator[str]:
    load = ", ".join(str(value) for value in machine["load"])
    yield f"{machine['cpus']} CPUs ({machine['cpu']}), {machine['system']}, {machine['python']}; {rounds} rounds;"
    yield f"load average {load} when the run began."
    for name, versions in machine["versions"].items():
        if versions:
            yield ""
            yield f"Environment `{name}`: " + ", ".join(f"{k} {v}" for k, v in versions.items()) + "."


def _target_line(key: str, target: dict[str, Any]) -> str:
    bound = f"≤ {target['at_most']:g}" if target["at_most"] is not None else f"≥ {target['at_least']:g}"
    if target["median"] is None:
        return f"| {key} | {target['what']} | {bound} | - | {target['reason']} | 0 | not measured |"
    spread = f"{_number(target['low'])} to {_number(target['high'])}"
    met = "yes" if target["met"] else "**no**"
    reached = _number(target["median"])
    return f"| {key} | {target['what']} | {bound} | {reached} | {spread} | {target['rounds']} | {met} |"


def _measure_line(measure: dict[str, Any]) -> str:
    if measure["median"] is None:
        return f"| {measure['title']} | - | {measure['reason']} | 0 |"
    unit = measure["unit"]
    spread = f"{_number(measure['low'])} to {_number(measure['high'])}"
    return f"| {measure['title']} | {_number(measure['median'])} {unit} | {spread} | {measure['rounds']} |"


def _number(value: float) -> str:
    """Return three significant digits, or all before the point: the figures are not more exact.

    >>> _number(1234.5), _number(12.34), _number(0.1234), _number(0)
    ('1,234', '12.3', '0.123', '0')
    """
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
