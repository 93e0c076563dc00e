"""What is to reach, row by row: a table, to be edited as such."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A bound on a figure, or on its ratio to another one of the same round.

    Attributes:
        what: the claim in words.
        measure: the figure, or the ratio's numerator.
        over: the ratio's denominator.
        at_most: upper bound, or
        at_least: lower bound; exactly one of the two is given.
    """

    what: str
    measure: str
    over: str = ""
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"{self.what}: give one bound")

    def met(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """Figures that are measured in turn, round by round, and what is to reach.

    Attributes:
        key: what `ROWS` selects it by.
        title: heading of its table.
        share: how many rounds it gets for each one that the run is told to make.
        measures: keys of the figures, in the order in which a round takes them.
        targets: bounds; a row may have none.
    """

    key: str
    title: str
    share: float
    measures: tuple[str, ...]
    targets: tuple[Target, ...] = ()


ROWS: tuple[Row, ...] = (
    Row(
        "call",
        "Decorated function, histogram with outcome: ns over a bare call",
        1.0,
        (
            "bare",
            "floor",
            "ours",
            "prometheus labels",
            "prometheus bound",
            "otel",
            "aioprometheus",
            "autometrics",
            "autometrics otel",
        ),
        (
            Target("decorated call, times the floor", "ours", "floor", at_most=1.8),
            Target("decorated call, cheaper than labels().time()", "prometheus labels", "ours", at_least=8),
            Target("decorated call, cheaper than the OpenTelemetry SDK", "otel", "ours", at_least=20),
        ),
    ),
    Row(
        "coroutine",
        "Decorated coroutine, histogram with outcome: ns over a bare await",
        1.0,
        (
            "bare await",
            "floor coroutine",
            "ours coroutine",
            "prometheus-async",
            "otel coroutine",
            "aioprometheus coroutine",
            "autometrics coroutine",
        ),
        (Target("coroutine, cheaper than prometheus-async", "prometheus-async", "ours coroutine", at_least=5),),
    ),
    Row(
        "context",
        "Context manager: ns over a bare call",
        1.0,
        ("ours inline", "ours kept", "prometheus labels", "prometheus block"),
        (
            Target("inline block, cheaper than labels().time()", "prometheus labels", "ours inline", at_least=4),
            Target("kept probe, cheaper than labels().time()", "prometheus labels", "ours kept", at_least=4),
        ),
    ),
    Row(
        "counter",
        "Counters, gauges and bare observations: ns over none",
        1.0,
        (
            "ours counter",
            "ours counter labels",
            "prometheus counter",
            "prometheus counter labels",
            "otel counter",
            "aioprometheus counter",
            "ours observe",
            "prometheus observe",
            "ours observe spread",
            "prometheus observe spread",
            "ours in flight",
            "prometheus in progress",
        ),
        (Target("bound inc, cheaper than prometheus_client's", "prometheus counter", "ours counter", at_least=2),),
    ),
    Row(
        "multiprocess",
        "Multi-process mode: ns over a bare call",
        1.0,
        (
            "ours",
            "ours files",
            "ours files inline",
            "ours files counter",
            "prometheus files",
            "prometheus files bound",
            "prometheus files observe",
            "prometheus files counter",
        ),
        (
            Target("multi-process, times single process", "ours files", "ours", at_most=1.3),
            Target("multi-process, cheaper than labels().time()", "prometheus files", "ours files", at_least=5),
            Target("multi-process, cheaper than bound time()", "prometheus files bound", "ours files", at_least=5),
        ),
    ),
    Row(
        "threads",
        "Threads that call at once: ns a call over a bare call",
        0.4,
        (
            "floor 1 thread",
            "floor 8 threads",
            "floor 1 thread wall",
            "floor 8 threads wall",
            "ours 1 thread",
            "ours 8 threads",
            "ours 1 thread wall",
            "ours 8 threads wall",
            "prometheus 1 thread",
            "prometheus 8 threads",
        ),
        (
            Target("8 threads, times one thread, wall clock", "ours 8 threads wall", "ours 1 thread wall", at_most=1.2),
            Target("8 threads, times one thread, CPU time", "ours 8 threads", "ours 1 thread", at_most=1.2),
        ),
    ),
    Row(
        "scrape",
        "Scrape of 10,500 samples: ms",
        0.6,
        ("ours scrape", "prometheus scrape", "aioprometheus scrape"),
        (Target("scrape, faster than generate_latest", "prometheus scrape", "ours scrape", at_least=8),),
    ),
    Row(
        "workers",
        "Scrape of 8 workers with 700 histograms each: ms",
        0.3,
        ("ours eight", "prometheus eight"),
        (Target("8 workers, faster than MultiProcessCollector", "prometheus eight", "ours eight", at_least=10),),
    ),
    Row(
        "dead",
        "Scrape after 800 workers have died: ms",
        1.0,
        ("ours none dead", "ours dead", "prometheus none dead", "prometheus dead"),
        (Target("800 dead workers, times none", "ours dead", "ours none dead", at_most=1.5),),
    ),
    Row(
        "dying",
        "The one scrape that meets 800 newly dead workers: ms",
        0.12,
        ("ours first after dead",),
    ),
    Row(
        "asgi",
        "Longest stall of the event loop while 40,000 lines are served: ms",
        0.4,
        ("idle loop", "ours loop wall", "ours loop", "ours loop plain", "prometheus loop", "aioprometheus loop"),
        (
            Target("40,000 lines, longest stall, ms of wall clock", "ours loop wall", at_most=5),
            Target("40,000 lines, longest stall, ms of CPU time", "ours loop", at_most=5),
        ),
    ),
    Row(
        "memory",
        "A histogram child of 15 buckets: bytes",
        0.12,
        ("ours child", "ours child rendered", "ours child between", "prometheus child"),
        (Target("histogram child, B", "ours child", at_most=700),),
    ),
    Row(
        "import",
        "Import: ms over the start of a bare interpreter",
        0.6,
        ("ours import", "ours import cpu", "prometheus import", "otel import", "foreign modules"),
        (
            Target("import, ms of wall clock over bare start-up", "ours import", at_most=25),
            Target("import, ms of CPU time over bare start-up", "ours import cpu", at_most=25),
            Target("import, modules from outside the standard library", "foreign modules", at_most=0),
        ),
    ),
    Row(
        "locks",
        "A free lock taken and let go: ns over a bare call",
        1.0,
        (
            "standard lock",
            "our lock",
            "our tracked lock",
            "plain wrapper",
            "our rlock",
            "observed lock",
            "locklib",
            "threadle",
            "oslo",
            "standard lock calls",
            "our lock calls",
        ),
        (
            Target("lock with metrics, times threading.Lock", "our lock", "standard lock", at_most=2.2),
            Target(
                "lock with its order tracked, times threading.Lock", "our tracked lock", "standard lock", at_most=3.5
            ),
        ),
    ),
    Row(
        "contention",
        "Locks that 8 threads want at once: wall-clock ns a use",
        0.6,
        ("standard contended", "our contended", "standard readers", "our readers"),
        (
            Target("contended lock, times threading.Lock", "our contended", "standard contended", at_most=1.1),
            Target("95 % reads, faster than threading.Lock", "standard readers", "our readers", at_least=1),
        ),
    ),
)
