"""Numbers are exact, and limits have readable units."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mnemoscope.instrumentation.catalog import Unit
from mnemoscope.model.units import humanize, number, seconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("14.40"), "14.4"),
        (Decimal("1") - Decimal("0.999"), "0.001"),
        (Decimal("1E+10"), "10000000000"),
        (0.1, "0.1"),
        (5, "5"),
        (Decimal("100"), "100"),
    ],
)
def test_a_number_is_exact_and_without_exponent(value: Decimal | float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        ("0.05", Unit.SECONDS, "50 ms"),
        ("1", Unit.SECONDS, "1 s"),
        ("0.0001", Unit.RATIO, "0.01 %"),
        ("0.999", Unit.RATIO, "99.9 %"),
        ("10000000000", Unit.BYTES, "10 GB"),
        ("2500000", Unit.BYTES, "2.5 MB"),
        ("12", Unit.BYTES, "12 B"),
        ("20", Unit.COUNT, "20"),
    ],
)
def test_a_limit_reads_as_a_person_writes_it(value: str, unit: Unit, text: str) -> None:
    assert humanize(Decimal(value), unit) == text


@pytest.mark.parametrize(("text", "value"), [("30s", 30), ("1h30m", 5400), ("500ms", 0.5), ("30d", 2_592_000)])
def test_durations_are_read_as_prometheus_reads_them(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "m", "5mm"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)
