"""Objectives carry the reviews' numbers and refuse contradictions."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest

from mnemoscope import catalog
from mnemoscope.model.objectives import OBJECTIVES

O = {o.key: o for o in OBJECTIVES}  # noqa: E741


def test_the_four_objectives_are_what_the_reviews_ask_for() -> None:
    assert {key: (str(o.target), o.within and str(o.within)) for key, o in O.items()} == {
        "recall_latency": ("0.99", "0.1"),
        "index_write_latency": ("0.99", "0.05"),
        "storage_success": ("0.999", None),
        "availability": ("0.999", None),
    }


def test_an_error_budget_is_exact() -> None:
    assert O["availability"].budget == Decimal("0.001")


def test_keys_are_unique() -> None:
    assert len(O) == len(OBJECTIVES)


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="is not a histogram"):
        dataclasses.replace(O["availability"], metric=catalog.CACHE_LOOKUPS)
    with pytest.raises(ValueError, match="between 0 and 1"):
        dataclasses.replace(O["availability"], target=Decimal("1"))
