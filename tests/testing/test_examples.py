"""The examples in the documentation of the catalog and of the helpers are right."""

from __future__ import annotations

import doctest
import importlib

import pytest

PLACES = ("catalog", "catalog.model", "catalog.exposed", "testing.moved", "testing.value")


@pytest.mark.parametrize("place", PLACES)
def test_the_examples_of_a_module_are_right(place: str) -> None:
    failures, tried = doctest.testmod(importlib.import_module(f"mnemoscope.instrumentation.{place}"))

    assert tried
    assert not failures
