"""Tests of the alerts on targets: down, gone from service discovery, never seen; with and without a cluster label."""

from __future__ import annotations

from collections.abc import Iterator

from mnemoscope.model.settings import Settings

from ..model import Alert, Pack
from ..rules.targets import ABSENT, DOWN
from . import series
from .clock import Clock
from .expected import Firing
from .scenario import Check, Scenario, due
from .series import Series

OTHER_CLUSTER = "us-1"


def scenarios(settings: Settings, pack: Pack) -> Iterator[Scenario]:
    """Yield the tests of both alerts, if the pack has them."""
    for rule in pack.rules_of(ABSENT):
        yield from _absent(settings, rule)
    for rule in pack.rules_of(DOWN):
        yield from _down(settings, rule)


def _absent(settings: Settings, rule: Alert) -> Iterator[Scenario]:
    clock = Clock.of(settings)
    at = due(clock, rule, 0)
    before = (Check(at - clock.evaluation, ABSENT),) if at else ()

    def fires(when: int, cluster: str) -> Check:
        labels = _without_process(settings, cluster)
        return Check(when, ABSENT, (Firing(rule, labels, 1.0),))

    back, recovered = _returns(clock, at)
    always = _steady(clock, at, 1)
    yield Scenario(
        "fires when every instance of a cluster is down, names the cluster, and recovers with one instance",
        ABSENT,
        (
            _up(settings, "a", series.CLUSTER, back),
            _up(settings, "b", series.CLUSTER, _steady(clock, at, 0)),
            _up(settings, "a", OTHER_CLUSTER, always),
        ),
        (*before, fires(at, series.CLUSTER), Check(recovered, ABSENT)),
    )
    yield Scenario(
        "fires without a cluster label",
        ABSENT,
        (_up(settings, "a", "", back),),
        (*before, fires(at, ""), Check(recovered, ABSENT)),
    )
    gone = clock.evaluated(4 * clock.scrape)
    yield Scenario(
        "fires when the targets of one cluster leave service discovery",
        ABSENT,
        (
            _up(settings, "a", series.CLUSTER, "1x3 stale"),
            _up(settings, "a", OTHER_CLUSTER, _steady(clock, gone + at, 1)),
        ),
        (fires(due(clock, rule, gone), series.CLUSTER),),
    )
    yield Scenario("fires when there is no trace of the job at all", ABSENT, (), (*before, fires(at, "")))
    yield Scenario(
        "stays silent while one instance of the cluster is up",
        ABSENT,
        (_up(settings, "a", series.CLUSTER, always), _up(settings, "b", series.CLUSTER, _steady(clock, at, 0))),
        (Check(at + clock.evaluation, ABSENT),),
    )


def _down(settings: Settings, rule: Alert) -> Iterator[Scenario]:
    clock = Clock.of(settings)
    at = due(clock, rule, 0)
    before = (Check(at - clock.evaluation, DOWN),) if at else ()
    later = (Check(at + clock.evaluation, DOWN),)
    alive, dead = _steady(clock, at, 1), _steady(clock, at, 0)
    back, recovered = _returns(clock, at)
    for cluster, name in (
        (series.CLUSTER, "fires for the instance that is down, and recovers"),
        ("", "fires without a cluster label"),
    ):
        labels = series.identity(settings, "b", cluster)
        yield Scenario(
            name,
            DOWN,
            (_up(settings, "a", cluster, alive), _up(settings, "b", cluster, back)),
            (
                *before,
                Check(at, DOWN, (Firing(rule, labels, 0.0),)),
                Check(recovered, DOWN),
            ),
        )
    yield Scenario(
        "stays silent when no instance of the cluster is up; another alert fires then",
        DOWN,
        (
            _up(settings, "a", series.CLUSTER, dead),
            _up(settings, "b", series.CLUSTER, dead),
            _up(settings, "a", OTHER_CLUSTER, alive),
        ),
        later,
    )
    yield Scenario(
        "stays silent while all instances are up",
        DOWN,
        (_up(settings, "a", series.CLUSTER, alive), _up(settings, "b", series.CLUSTER, alive)),
        later,
    )
    yield Scenario("stays silent when there are no series at all", DOWN, (), later)


def _up(settings: Settings, instance: str, cluster: str, values: str) -> Series:
    return Series(series.full_name("up", series.identity(settings, instance, cluster)), values)


def _returns(clock: Clock, at: int) -> tuple[str, int]:
    """Return the samples of a target that is down until after `at`, and the first evaluation that sees it up again."""
    down = clock.samples(at)
    up = clock.evaluated((down + 1) * clock.scrape)
    return f"0x{down} 1x{clock.samples(up) + 2}", up


def _steady(clock: Clock, until: int, value: int) -> str:
    return series.constant(value, clock, until + 4 * (clock.scrape + clock.evaluation))


def _without_process(settings: Settings, cluster: str) -> dict[str, str]:
    return series.without_instance(settings, series.identity(settings, "a", cluster))
