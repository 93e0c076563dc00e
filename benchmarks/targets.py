"""The targets: a table of rows, each with its figures and bounds."""

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
        """Return whether a value is within the bound."""
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """Figures that are measured in turn, round by round, and their targets.

    Attributes:
        key: what `ROWS` selects it by.
        title: heading of its table.
        share: its number of rounds, as a share of the run's.
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
        (Target("decorated call, times the floor", "ours", "floor", at_most=1.5),),
    ),
    Row(
        "tail",
        "Single calls, one by one: ns, with the call and the reading of the clock",
        1.0,
        (
            "floor p50",
            "ours p50",
            "prometheus p50",
            "floor p99",
            "ours p99",
            "prometheus p99",
            "floor p99.9",
            "ours p99.9",
            "prometheus p99.9",
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
        (Target("coroutine, cheaper than prometheus-async", "prometheus-async", "ours coroutine", at_least=1),),
    ),
    Row(
        "block",
        "Block with a probe that is made in place, kept or shared: ns over a bare call",
        1.0,
        (
            "ours inline",
            "ours kept",
            "ours nested",
            "ours shared",
            "ours storage",
            "prometheus labels",
            "prometheus block",
            "prometheus 8 threads",
        ),
        (
            Target("inline block, cheaper than labels().time()", "prometheus labels", "ours inline", at_least=1),
            Target("kept probe, cheaper than labels().time()", "prometheus labels", "ours kept", at_least=1),
        ),
    ),
    Row(
        "tenants",
        "Block whose labels name a tenant, each in turn: ns over a bare call",
        1.0,
        (
            "ours 1 tenant",
            "ours 900 tenants",
            "ours 1,100 tenants",
            "ours 5,000 tenants",
            "ours lambda",
            "prometheus 1 tenant",
            "prometheus 5,000 tenants",
        ),
        (
            Target("900 tenants, times one", "ours 900 tenants", "ours 1 tenant", at_most=3),
            Target("1,100 tenants, times one", "ours 1,100 tenants", "ours 1 tenant", at_most=3),
            Target("5,000 tenants, times one", "ours 5,000 tenants", "ours 1 tenant", at_most=3),
            Target("lambda written in the block, times none", "ours lambda", "ours 1 tenant", at_most=3),
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
        (
            Target("bound inc, cheaper than prometheus_client's", "prometheus counter", "ours counter", at_least=1),
            Target(
                "inc by labels, cheaper than prometheus_client's",
                "prometheus counter labels",
                "ours counter labels",
                at_least=1,
            ),
        ),
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
    ),
    Row(
        "threads",
        "Concurrent threads: ns a call over a bare call",
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
    ),
    Row(
        "scrape",
        "Scrape of 10,500 samples: ms",
        0.6,
        ("ours scrape", "prometheus scrape", "aioprometheus scrape"),
        (Target("scrape, faster than generate_latest", "prometheus scrape", "ours scrape", at_least=1),),
    ),
    Row(
        "workers",
        "Scrape of 8 workers with 700 histograms each: ms",
        0.3,
        ("ours eight", "prometheus eight"),
        (Target("8 workers, faster than MultiProcessCollector", "prometheus eight", "ours eight", at_least=1),),
    ),
    Row(
        "dead",
        "Scrape after 800 workers have died: ms",
        1.0,
        ("ours none dead", "ours dead", "prometheus none dead", "prometheus dead"),
    ),
    Row(
        "dying",
        "The first scrape after 800 workers have ended: ms",
        0.12,
        ("ours first after dead",),
    ),
    Row(
        "idle",
        "8 idle worker processes: CPU seconds a minute, all together",
        0.12,
        ("ours idle", "prometheus idle"),
    ),
    Row(
        "asgi",
        "Longest stall of the event loop while 40,000 lines are served: ms",
        0.4,
        ("idle loop", "ours loop wall", "ours loop", "ours loop plain", "prometheus loop", "aioprometheus loop"),
    ),
    Row(
        "memory",
        "A histogram child of 15 buckets: bytes",
        0.12,
        ("ours child", "ours child rendered", "prometheus child"),
    ),
    Row(
        "series-memory",
        "One of 2,000 histograms under traffic, before the next scrape: bytes",
        0.12,
        ("ours series", "ours series rendered", "prometheus series"),
        (
            Target("series with a full journal, B", "ours series", at_most=4_096),
            Target("series with a full journal and kept text, B", "ours series rendered", at_most=4_096),
        ),
    ),
    Row(
        "import",
        "Import: ms over the start of a bare interpreter",
        0.6,
        (
            "ours import",
            "ours import cpu",
            "prometheus import",
            "prometheus import cpu",
            "otel import",
            "foreign modules",
        ),
        (
            Target("import, times prometheus_client's, wall clock", "ours import", "prometheus import", at_most=0.6),
            Target(
                "import, times prometheus_client's, CPU time", "ours import cpu", "prometheus import cpu", at_most=0.6
            ),
        ),
    ),
    Row(
        "locks",
        "A free lock acquired and released: ns over a bare call",
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
            Target("lock with metrics, times threading.Lock", "our lock", "standard lock", at_most=3),
            Target("lock with its order tracked, times threading.Lock", "our tracked lock", "standard lock", at_most=4),
        ),
    ),
    Row(
        "contention",
        "Locks that 8 threads contend for: wall-clock ns a use",
        0.6,
        ("standard contended", "our contended", "standard readers", "our readers"),
    ),
)
