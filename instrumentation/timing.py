"""The probe that most others are: a duration, by outcome. It has the short ways that make it cost next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any, ClassVar, Self

from .catalog import Kind, Metric
from .decorate import COROUTINE, FUNCTION
from .operation import ERROR, OK, IsError, Probe, Sink
from .registry import DEFAULT, Registry, default_registry
from .series import JOURNAL_LIMIT, Histogram


class Durations(Sink):
    """Where the durations of one kind of operation go.

    Every outcome's series exists from the start, at zero. A metric without the label `outcome` has one series.
    """

    __slots__ = ("by_outcome", "ok", "other")

    def __init__(self, registry: Registry, metric: Metric, is_error: IsError | None = None, **labels: str) -> None:
        super().__init__(is_error)
        if metric.kind is not Kind.HISTOGRAM:
            raise ValueError(f"{metric.name} is a {metric.kind.value}; only a histogram can be timed")
        self.by_outcome: dict[str, Histogram] = {}
        if "outcome" in metric.label_names and "outcome" not in labels:
            values = metric.label("outcome").values
            self.by_outcome = {value: registry.histogram(metric, outcome=value, **labels) for value in values}
            self.ok = self.by_outcome.get(OK) or self.by_outcome[values[0]]
            self.other = self.by_outcome.get(ERROR) or self.ok
        else:
            self.ok = self.other = registry.histogram(metric, **labels)

    def record(self, seconds: float, outcome: str) -> None:
        """Record a duration; an outcome that the metric does not know counts as an error."""
        self.by_outcome.get(outcome, self.other).observe(seconds)

    def ended(self, seconds: float, error: BaseException) -> None:
        """Record the duration of what ended by an exception."""
        self.record(seconds, self.outcome_of(error))


class Timer(Probe):
    """A probe that records how long an operation took, and how it ended; its sink is `Durations`."""

    __slots__ = ("journal",)
    wrappers: ClassVar[dict[str, Callable[..., Any]]] = {}

    def record(self, seconds: float, outcome: str, error: BaseException | None) -> None:
        self.sink.record(seconds, outcome)

    def end(self, error: BaseException | None) -> None:
        super().end(error)
        self.outcome = None  # while the probe is still ours: the short way in does not reset it

    # The next three say again what Probe says, without its calls: those are most of what a block costs.

    def __init__(self, sink: Durations) -> None:
        self.sink = sink
        self.journal = sink.ok.journal
        self.idle = [True]
        self._others = {}
        self.outcome = None

    def __enter__(self) -> Self:
        try:
            self.idle.pop()
        except IndexError:
            return self._enter_again()
        if self._others:
            self._mark()
        self.started = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None and self.outcome is None and not self._others:
            journal = self.journal
            journal.append(perf_counter() - self.started)
            self.idle.append(True)
            if len(journal) > JOURNAL_LIMIT:
                self.sink.ok.fold()
        else:
            super().__exit__(kind, error, traceback)


_GLANCE = 0.0005
"""Seconds until a wrapper looks again whether its journal is long; each time would make a call a tenth dearer."""

# The two wrappers call nothing that they can do without; even unpacking no keywords copies a dictionary.


def _function(target: Callable[..., Any], probe: Timer) -> Callable[..., Any]:
    journal, fold, ended = probe.sink.ok.journal, probe.sink.ok.fold, probe.sink.ended
    append = journal.append
    due = 0.0

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal due
        started = perf_counter()
        try:
            result = target(*args, **kwargs) if kwargs else target(*args)
        except BaseException as error:
            ended(perf_counter() - started, error)
            raise
        append(perf_counter() - started)
        if started > due:
            due = started + _GLANCE
            if len(journal) > JOURNAL_LIMIT:
                fold()
        return result

    return wrapper


def _coroutine(target: Callable[..., Any], probe: Timer) -> Callable[..., Any]:
    journal, fold, ended = probe.sink.ok.journal, probe.sink.ok.fold, probe.sink.ended
    append = journal.append
    due = 0.0

    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal due
        started = perf_counter()
        try:
            result = await (target(*args, **kwargs) if kwargs else target(*args))
        except BaseException as error:
            ended(perf_counter() - started, error)
            raise
        append(perf_counter() - started)
        if started > due:
            due = started + _GLANCE
            if len(journal) > JOURNAL_LIMIT:
                fold()
        return result

    return wrapper


Timer.wrappers.update({FUNCTION: _function, COROUTINE: _coroutine})


def timer(registry: Registry | None, key: tuple[Any, ...]) -> Timer:
    """A timer of `(metric, is_error, *values)`: its labels other than `outcome`, in the metric's order.

    The one made for the same key before, if nobody is using it: a probe that a service writes inside a function costs
    no new object then. Should somebody enter it first, `Probe` sees to it that both are right.
    """
    try:
        kept: Timer = (registry or DEFAULT[0]).kept[key]
    except LookupError:  # the first of its kind, or the first of all
        chosen = registry or default_registry()
        kept = chosen.keep(key, _new_timer(chosen, *key))
    return kept if kept.idle else Timer(kept.sink)


def _new_timer(registry: Registry, metric: Metric, is_error: IsError | None, *values: str) -> Timer:
    names = [name for name in metric.label_names if name != "outcome"]
    return Timer(Durations(registry, metric, is_error, **dict(zip(names, values, strict=True))))
