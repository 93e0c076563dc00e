"""Medians, quartiles and ratios of the benchmarks, on data of which they are known."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measures import MEASURES, PLACES, Measure
from benchmarks.rounds import Result, rounds_of
from benchmarks.spread import Summary, paired_ratios, summarise
from benchmarks.targets import ROWS, Row, Target


def result(samples: dict[str, list[float]], *targets: Target, failures: dict[str, str] | None = None) -> Result:
    return Result(Row("row", "A row", 1.0, tuple(samples), targets), samples, failures or {})


def test_the_summary_of_known_rounds_is_their_median_and_quartiles() -> None:
    assert summarise([9.0, 1.0, 5.0, 3.0, 7.0]) == Summary(median=5.0, low=3.0, high=7.0, rounds=5)
    assert summarise([2.0, 4.0]) == Summary(median=3.0, low=2.5, high=3.5, rounds=2)


def test_one_round_has_no_spread() -> None:
    assert summarise([4.0]) == Summary(4.0, 4.0, 4.0, 1)


def test_one_disturbed_round_moves_neither_the_median_nor_the_quartiles() -> None:
    calm = [10.0, 11.0, 12.0, 13.0, 14.0]

    assert summarise([*calm[:4], 14_000.0]) == summarise(calm)


def test_no_round_has_no_summary() -> None:
    with pytest.raises(ValueError, match="no round"):
        summarise([])


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=40))
def test_the_median_is_the_standard_librarys_and_lies_between_the_quartiles(values: list[float]) -> None:
    summary = summarise(values)

    assert summary.median == pytest.approx(statistics.median(values), abs=1e-6)
    assert min(values) - 1e-6 <= summary.low <= summary.median + 1e-6
    assert summary.median - 1e-6 <= summary.high <= max(values) + 1e-6


def test_ratios_are_taken_round_by_round_so_that_a_slow_machine_cancels_out() -> None:
    costs = [100.0, 100.0, 100.0]
    peers = [800.0, 800.0, 800.0]
    slowness = [1.0, 5.0, 2.0]

    ratios = paired_ratios(
        [c * s for c, s in zip(peers, slowness, strict=True)], [c * s for c, s in zip(costs, slowness, strict=True)]
    )

    assert ratios == [8.0, 8.0, 8.0]


def test_a_cost_that_drowned_in_noise_takes_no_part() -> None:
    assert paired_ratios([10.0, 10.0, 10.0], [5.0, 0.0, -1.0]) == [2.0]


def test_costs_of_different_rounds_make_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_ratios([1.0, 2.0], [1.0])


def test_a_target_is_held_against_the_median_of_its_ratios() -> None:
    target = Target("ours, times the floor", "ours", "floor", at_most=1.8)
    measured = result({"ours": [150.0, 180.0, 400.0], "floor": [100.0, 100.0, 100.0]}, target)

    reached = measured.summary(target)

    assert reached is not None
    assert reached.median == 1.8
    assert target.met(reached.median)
    assert not target.met(1.81)


def test_a_lower_bound_is_met_from_the_bound_up() -> None:
    target = Target("cheaper", "peer", "ours", at_least=8)

    assert [target.met(value) for value in (7.99, 8.0, 9.0)] == [False, True, True]


def test_a_target_without_a_ratio_bounds_the_figure_itself() -> None:
    target = Target("bytes", "child", at_most=700)

    assert result({"child": [600.0, 620.0, 640.0]}, target).values(target) == [600.0, 620.0, 640.0]


def test_a_target_whose_figure_failed_says_why() -> None:
    target = Target("cheaper", "peer", "ours", at_least=8)
    measured = result({"ours": [1.0]}, target, failures={"peer": "ModuleNotFoundError: No module named 'peer'"})

    assert measured.summary(target) is None
    assert "No module named 'peer'" in measured.reason(target)


@pytest.mark.parametrize("bounds", [{}, {"at_most": 1.0, "at_least": 1.0}])
def test_a_target_has_one_bound(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give one bound"):
        Target("what", "measure", **bounds)


def test_costly_rows_get_fewer_rounds_but_never_none() -> None:
    row = Row("row", "A row", 0.12, ())

    assert [rounds_of(row, rounds) for rounds in (1, 25, 100)] == [1, 3, 12]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_every_row_measures_what_its_targets_speak_of(row: Row) -> None:
    assert set(row.measures) <= set(MEASURES)
    for target in row.targets:
        assert target.measure in row.measures
        assert not target.over or target.over in row.measures
        assert not target.over or MEASURES[target.measure].unit == MEASURES[target.over].unit


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES.keys())
def test_every_figure_has_a_place_and_is_in_a_row(measure: Measure) -> None:
    assert measure.place in PLACES
    assert any(MEASURES[name] is measure for row in ROWS for name in row.measures)
