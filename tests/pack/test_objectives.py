"""Objectives and thresholds carry the reviews' numbers and refuse contradictions."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from mnemoscope import catalog
from mnemoscope.model.objectives import OBJECTIVES, THRESHOLDS

T = {t.key: t for t in THRESHOLDS}
O = {o.key: o for o in OBJECTIVES}  # noqa: E741


@pytest.mark.parametrize(
    ("key", "yellow", "red"),
    [
        ("index_write_p99", "0.05", "0.2"),
        ("recall_p99", "0.1", "0.5"),
        ("storage_error_ratio", "0.001", "0.01"),
        ("concurrent_completions", "10", "20"),
        ("concept_quality", "0.65", None),
        ("vector_search_p95", "0.025", None),
        ("wal_size", "10000000000", None),
        ("open_files", "10000", None),
        ("memory_ratio", "0.8", None),
        ("authentication_p95", "0.5", None),
        ("fragmentation", "0.5", None),
        ("lock_deadlocks", "1", "2"),
    ],
)
def test_a_threshold_is_what_the_reviews_ask_for(key: str, yellow: str, red: str | None) -> None:
    assert T[key].yellow == Decimal(yellow)
    if red is not None:
        assert T[key].red == Decimal(red)


def test_the_four_objectives_are_what_the_reviews_ask_for() -> None:
    assert {key: (str(o.target), o.within and str(o.within)) for key, o in O.items()} == {
        "recall_latency": ("0.99", "0.1"),
        "index_write_latency": ("0.99", "0.05"),
        "storage_success": ("0.999", None),
        "availability": ("0.999", None),
    }


def test_a_limit_that_is_itself_bad_says_so() -> None:
    assert T["lock_deadlocks"].description == "Deadlocks: yellow 1 or more, red 2 or more"
    assert T["lock_wait_p99"].description == "Lock wait, p99: yellow above 50 ms, red above 1 s"
    at_most = dataclasses.replace(T["cache_hit_ratio"], inclusive=True)
    assert at_most.beyond(at_most.yellow) == "80 % or less"


def test_an_error_budget_is_exact() -> None:
    assert O["availability"].budget == Decimal("0.001")


def test_keys_are_unique() -> None:
    assert len(T) == len(THRESHOLDS)
    assert len(O) == len(OBJECTIVES)


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="must be below yellow"):
        dataclasses.replace(T["cache_hit_ratio"], red=Decimal("0.9"))
    with pytest.raises(ValueError, match="name a source"):
        dataclasses.replace(T["recall_p99"], sources=())
    with pytest.raises(ValueError, match="is not a histogram"):
        dataclasses.replace(O["availability"], metric=catalog.CACHE_LOOKUPS)
    with pytest.raises(ValueError, match="between 0 and 1"):
        dataclasses.replace(O["availability"], target=Decimal("1"))
