"""`value` says what was recorded, and refuses what a test cannot mean."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import pytest

import mnemoscope as scope
from mnemoscope import catalog as m
from mnemoscope.testing import value


class Backend(StrEnum):
    S3 = "s3"


@pytest.fixture
def registry() -> scope.Registry:
    return scope.Registry(strict=True)


def test_a_counter_comes_to_its_total_and_some_labels_to_the_sum_of_the_series_that_carry_them(
    registry: scope.Registry,
) -> None:
    for backend, kind, times in (("s3", "timeout", 2), ("s3", "busy", 3), ("turso", "timeout", 0.5)):
        registry.counter(m.STORAGE_ERRORS, backend=backend, operation="put", kind=kind).inc(times)

    assert value(m.STORAGE_ERRORS, backend="s3", operation="put", kind="timeout", registry=registry) == 2
    assert value(m.STORAGE_ERRORS, kind="timeout", registry=registry) == 2.5
    assert value(m.STORAGE_ERRORS, backend=Backend.S3, registry=registry) == 5
    assert value(m.STORAGE_ERRORS, registry=registry) == 5.5


def test_a_histogram_comes_to_its_number_of_observations(registry: scope.Registry) -> None:
    for outcome, seconds in (("ok", 0.1), ("ok", 99), ("error", 0)):
        registry.histogram(m.INDEX_WRITE_DURATION, index="s", outcome=outcome).observe(seconds)

    assert value(m.INDEX_WRITE_DURATION, outcome="ok", registry=registry) == 2
    assert value(m.INDEX_WRITE_DURATION, index="s", registry=registry) == 3


def test_counters_and_histograms_that_are_not_there_come_to_zero(registry: scope.Registry) -> None:
    assert value(m.CACHE_LOOKUPS, cache="redb", registry=registry) == 0
    assert value(m.INDEX_WRITE_DURATION, registry=registry) == 0
    registry.counter(m.CACHE_LOOKUPS, cache="lmdb", result="hit").inc()
    assert value(m.CACHE_LOOKUPS, cache="redb", registry=registry) == 0


def test_a_gauge_comes_to_its_value_whether_it_was_set_or_is_asked_for(registry: scope.Registry) -> None:
    registry.gauge(m.MEMORY_WEIGHT, memory="episodic").set(0.7)
    registry.gauge(m.COMPLETION_QUEUE_DEPTH).set_function(lambda: 3)

    assert value(m.MEMORY_WEIGHT, registry=registry) == 0.7
    assert value(m.COMPLETION_QUEUE_DEPTH, registry=registry) == 3


def test_gauges_are_not_added_up_and_those_there_are_get_listed(registry: scope.Registry) -> None:
    for memory, weight in (("episodic", 0.7), ("semantic", 0.25)):
        registry.gauge(m.MEMORY_WEIGHT, memory=memory).set(weight)

    with pytest.raises(AssertionError) as refused:
        value(m.MEMORY_WEIGHT, registry=registry)

    assert str(refused.value) == (
        "memory.weight: gauges are not added up; name one of these series:\n"
        '    {memory="episodic"} 0.7\n'
        '    {memory="semantic"} 0.25'
    )


def test_a_gauge_that_is_not_there_is_no_zero_and_those_there_are_get_listed(registry: scope.Registry) -> None:
    with pytest.raises(AssertionError, match=r"no such series; nothing was recorded in memory\.weight$"):
        value(m.MEMORY_WEIGHT, memory="episodic", registry=registry)
    registry.gauge(m.MEMORY_WEIGHT, memory="semantic").set(0.25)

    with pytest.raises(AssertionError) as refused:
        value(m.MEMORY_WEIGHT, memory="episodic", registry=registry)

    assert str(refused.value) == (
        'memory.weight{memory="episodic"}: there is no such series; there are:\n    {memory="semantic"} 0.25'
    )


def test_a_long_list_of_series_is_cut(registry: scope.Registry) -> None:
    for number in range(30):
        registry.gauge(m.INDEX_ENTRIES, index=f"i{number:02}").set(number)

    with pytest.raises(AssertionError, match=r'\{index="i19"\} 19\n    and 10 more$'):
        value(m.INDEX_ENTRIES, registry=registry)


def test_a_misspelt_label_or_a_value_outside_its_set_is_refused_with_what_there_is(registry: scope.Registry) -> None:
    with pytest.raises(ValueError, match=r"^storage\.errors has no label 'backnd'; it has backend, operation, kind$"):
        value(m.STORAGE_ERRORS, backnd="s3", registry=registry)
    with pytest.raises(ValueError, match=r"^recall\.fallbacks has no label 'path'; it has none$"):
        value(m.RECALL_FALLBACKS, path="flat", registry=registry)
    with pytest.raises(ValueError, match=r"^cache\.lookups: label result is never 'hits'; it is one of hit, miss, err"):
        value(m.CACHE_LOOKUPS, result="hits", registry=registry)


def test_what_a_registry_recorded_as_other_can_be_asked_for() -> None:
    registry = scope.Registry()
    registry.counter(m.CACHE_LOOKUPS, cache="redb", result="hits").inc()

    assert value(m.CACHE_LOOKUPS, result="other", registry=registry) == 1


def test_a_label_value_is_turned_into_text_as_the_registry_does_it(registry: scope.Registry) -> None:
    registry.gauge(m.INDEX_ENTRIES, index=UUID(int=7)).set(3)

    assert value(m.INDEX_ENTRIES, index=UUID(int=7), registry=registry) == 3


def test_a_metric_of_a_services_own_is_read_as_those_of_the_catalog_are(registry: scope.Registry) -> None:
    orders = m.counter("orders.placed", "Orders")
    registry.counter(orders).inc(4)

    assert value(orders, registry=registry) == 4
