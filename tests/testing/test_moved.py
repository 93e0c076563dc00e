"""`moved` passes if a metric moved as it should, and otherwise lists what moved instead."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.testing import moved

PUT = {"backend": "s3", "operation": "put"}


@pytest.fixture
def registry() -> scope.Registry:
    return scope.Registry(strict=True)


def failed(registry: scope.Registry, **labels: str) -> None:
    registry.counter(m.STORAGE_ERRORS, **{"kind": "timeout", **PUT, **labels}).inc()


def written(registry: scope.Registry, *seconds: float, outcome: str = "ok") -> None:
    for each in seconds:
        registry.histogram(m.INDEX_WRITE_DURATION, index="s", outcome=outcome).observe(each)


# Counters -------------------------------------------------------------------------------------------


def test_a_counter_that_rises_as_said_passes_whatever_it_was_before(registry: scope.Registry) -> None:
    for _ in range(2):
        with moved(m.STORAGE_ERRORS, **PUT, kind="timeout", by=1, registry=registry) as change:
            failed(registry)
        assert change.by == 1
        assert math.isnan(change.mean)


def test_without_an_amount_any_increase_passes_and_none_fails(registry: scope.Registry) -> None:
    with moved(m.STORAGE_ERRORS, registry=registry):
        failed(registry)
    with (
        pytest.raises(AssertionError, match=r"^storage\.errors: expected an increase, got 0\nno series of it moved"),
        moved(m.STORAGE_ERRORS, registry=registry),
    ):
        pass


def test_at_least_lets_more_pass_and_less_fail(registry: scope.Registry) -> None:
    with moved(m.STORAGE_ERRORS, at_least=1, registry=registry):
        failed(registry)
        failed(registry)
    with (
        pytest.raises(AssertionError, match="expected a change by at least 2, got 1"),
        moved(m.STORAGE_ERRORS, at_least=2, registry=registry),
    ):
        failed(registry)


def test_by_zero_fails_where_it_moved(registry: scope.Registry) -> None:
    with moved(m.STORAGE_ERRORS, kind="busy", by=0, registry=registry):
        failed(registry, kind="timeout")
    with (
        pytest.raises(AssertionError, match="expected a change by 0, got 1"),
        moved(m.STORAGE_ERRORS, kind="busy", by=0, registry=registry),
    ):
        failed(registry, kind="busy")


def test_the_failure_names_metric_labels_and_what_moved_instead(registry: scope.Registry) -> None:
    failed(registry, kind="quota")

    with (
        pytest.raises(AssertionError) as refused,
        moved(m.STORAGE_ERRORS, **PUT, kind="timeout", by=1, registry=registry),
    ):
        failed(registry, kind="busy")

    assert str(refused.value) == (
        'storage.errors{backend="s3", operation="put", kind="timeout"}: expected a change by 1, got 0\n'
        "series of storage.errors that moved:\n"
        '    {backend="s3", operation="put", kind="busy"} by 1'
    )


def test_where_nothing_moved_the_failure_lists_what_there_is(registry: scope.Registry) -> None:
    with pytest.raises(AssertionError) as refused, moved(m.CACHE_STALE_READS, cache="redb", by=1, registry=registry):
        pass
    assert str(refused.value).splitlines()[1] == "no series of it moved; nothing was recorded in cache.stale_reads"
    registry.counter(m.CACHE_STALE_READS, cache="lmdb").inc(2)

    with pytest.raises(AssertionError) as refused, moved(m.CACHE_STALE_READS, cache="redb", by=1, registry=registry):
        pass
    assert str(refused.value).splitlines()[1:] == ["no series of it moved; there are:", '    {cache="lmdb"} 2']


def test_fractions_are_compared_as_precisely_as_floats_add_up(registry: scope.Registry) -> None:
    counter = registry.counter(m.CACHE_STALE_READS, cache="redb")
    counter.inc(1e6)
    with moved(m.CACHE_STALE_READS, by=0.3, registry=registry):
        for _ in range(3):
            counter.inc(0.1)
    with pytest.raises(AssertionError), moved(m.CACHE_STALE_READS, by=0.3, registry=registry):
        counter.inc(0.30001)


# Gauges ---------------------------------------------------------------------------------------------


def test_a_gauge_moves_both_ways_and_starts_at_zero_where_it_is_new(registry: scope.Registry) -> None:
    with moved(m.INDEX_ENTRIES, index="s", by=10, registry=registry):
        registry.gauge(m.INDEX_ENTRIES, index="s").set(10)
    with moved(m.INDEX_ENTRIES, index="s", by=-3, registry=registry) as change:
        registry.gauge(m.INDEX_ENTRIES, index="s").set(7)
    assert change.by == -3


def test_several_gauges_are_refused_before_the_block_runs(registry: scope.Registry) -> None:
    for index in ("a", "b"):
        registry.gauge(m.INDEX_ENTRIES, index=index).set(1)
    ran = False

    with (
        pytest.raises(AssertionError, match=r"^index\.entries: gauges are not added up"),
        moved(m.INDEX_ENTRIES, registry=registry),
    ):
        ran = True

    assert not ran


# Histograms -----------------------------------------------------------------------------------------


def test_a_histogram_moves_by_its_observations_and_the_change_holds_their_mean(registry: scope.Registry) -> None:
    written(registry, 0.9)

    with moved(m.INDEX_WRITE_DURATION, index="s", outcome="ok", by=2, within=(0.0, 0.5), registry=registry) as change:
        written(registry, 0.1, 0.3)

    assert change.by == 2
    assert change.mean == pytest.approx(0.2)


def test_too_few_observations_fail(registry: scope.Registry) -> None:
    with (
        pytest.raises(AssertionError) as refused,
        moved(m.INDEX_WRITE_DURATION, index="s", outcome="ok", by=2, registry=registry),
    ):
        written(registry, 0.1)
        written(registry, 0.1, outcome="error")

    assert str(refused.value) == (
        'index.write.duration{index="s", outcome="ok"}: '
        "expected a change by 2 in the number of observations, got 1\n"
        "series of index.write.duration that moved:\n"
        '    {index="s", outcome="error"} by 1\n'
        '    {index="s", outcome="ok"} by 1'
    )


@pytest.mark.parametrize(
    ("seconds", "within", "got"),
    [
        ((0.1, 0.6), (0.0, 0.5), r"got 1 of 2 in the bucket \(0\.5, 1\]"),
        ((0.1, 7.0), (0.0, 1.0), r"got 1 of 2 in the bucket \(1, inf\]"),
        ((0.0001, 0.1), (0.05, 0.5), r"got 1 of 2 in the bucket \(-inf, 0\.0005\]"),
        ((0.31, 0.32), (0.4, 0.5), r"got a mean of 0\.315"),  # the bucket reaches from 0.3 to 0.5
        ((0.31, 0.32), (0.2, 0.305), r"got a mean of 0\.315"),
    ],
)
def test_an_observation_out_of_range_fails(
    registry: scope.Registry, seconds: tuple[float, ...], within: tuple[float, float], got: str
) -> None:
    written(registry, 0.0001, 0.1, 0.6, 7.0)  # what was there before does not count

    with (
        pytest.raises(AssertionError, match=rf"expected the new observations within \S+ and \S+ seconds, {got}"),
        moved(m.INDEX_WRITE_DURATION, by=2, within=within, registry=registry),
    ):
        written(registry, *seconds)


SECONDS = st.one_of(st.sampled_from((0.0, *m.INDEX_WRITE_DURATION.buckets)), st.floats(0, 3))


@given(st.lists(SECONDS, max_size=5), st.lists(SECONDS, min_size=1, max_size=5), SECONDS, SECONDS)
def test_a_range_that_holds_every_observation_passes_and_one_that_no_bucket_reaches_fails(
    before: list[float], new: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    registry = scope.Registry()
    written(registry, *before)
    try:
        with moved(m.INDEX_WRITE_DURATION, within=(low, high), registry=registry):
            written(registry, *new)
    except AssertionError:
        passed = False
    else:
        passed = True

    bounds = m.INDEX_WRITE_DURATION.buckets
    lowest = max((bound for bound in (-math.inf, *bounds) if bound < min(new)), default=-math.inf)
    highest = min((bound for bound in (*bounds, math.inf) if bound >= max(new)), default=math.inf)
    if low <= min(new) <= max(new) <= high:
        assert passed
    if passed:
        assert lowest < high
        assert highest >= low
        assert low - 1e-9 <= math.fsum(new) / len(new) <= high + 1e-9


# The block ------------------------------------------------------------------------------------------


def test_what_the_block_raises_comes_through(registry: scope.Registry) -> None:
    with pytest.raises(KeyError, match="lost"), moved(m.STORAGE_ERRORS, by=1, registry=registry):
        raise KeyError("lost")


async def test_a_coroutine_may_be_awaited_in_the_block(registry: scope.Registry) -> None:
    @scope.completion(registry=registry)
    async def complete() -> None: ...

    with moved(m.COMPLETION_DURATION, outcome="ok", by=1, registry=registry):
        await complete()


def test_blocks_nest(registry: scope.Registry) -> None:
    with moved(m.STORAGE_ERRORS, by=2, registry=registry):
        failed(registry)
        with moved(m.STORAGE_ERRORS, by=1, registry=registry):
            failed(registry)


def test_what_cannot_be_met_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match=r"storage\.errors has no label 'backnd'; it has backend, operation, kind"):
        moved(m.STORAGE_ERRORS, backnd="s3")
    with pytest.raises(ValueError, match="label outcome is never 'okay'; it is one of ok, error, cancelled"):
        moved(m.INDEX_WRITE_DURATION, outcome="okay")
    with pytest.raises(ValueError, match=r"storage\.errors is a counter; only a histogram"):
        moved(m.STORAGE_ERRORS, within=(0, 1))
    with pytest.raises(ValueError, match=r"within=\(1, 0\) holds no number"):
        moved(m.INDEX_WRITE_DURATION, within=(1, 0))
    with pytest.raises(TypeError, match="by= or at_least=, not both"):
        moved(m.STORAGE_ERRORS, by=1, at_least=1)  # type: ignore[call-overload]
