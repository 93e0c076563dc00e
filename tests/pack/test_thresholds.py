"""Thresholds carry the reviews' numbers and refuse contradictions."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from mnemoscope import catalog
from mnemoscope.model.thresholds import THRESHOLDS

T = {t.key: t for t in THRESHOLDS}


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


def test_the_description_of_an_inclusive_limit_includes_the_limit() -> None:
    assert T["lock_deadlocks"].description == "Deadlocks: yellow 1 or more, red 2 or more"
    assert T["lock_wait_p99"].description == "Lock wait, p99: yellow above 50 ms, red above 1 s"
    at_most = dataclasses.replace(T["cache_hit_ratio"], inclusive=True)
    assert at_most.beyond(at_most.yellow) == "80 % or less"


def test_keys_and_alert_names_are_unique() -> None:
    names = [t.alert.name for t in THRESHOLDS if t.alert]

    assert len(T) == len(THRESHOLDS)
    assert len(set(names)) == len(names)


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="must be below yellow"):
        dataclasses.replace(T["cache_hit_ratio"], red=Decimal("0.9"))
    with pytest.raises(ValueError, match="name a source"):
        dataclasses.replace(T["recall_p99"], sources=())
    with pytest.raises(ValueError, match=r"Mean\(\) needs a histogram, not cache.lookups"):
        dataclasses.replace(T["concept_quality"], metric=catalog.CACHE_LOOKUPS)
