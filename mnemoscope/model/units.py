"""Formatting and parsing of numbers: exact decimals for PromQL, durations, and limits with their units."""

from __future__ import annotations

import re
from decimal import Decimal

from mnemoscope.instrumentation.catalog import Unit


def number(value: Decimal | float | int) -> str:
    """Return a number as PromQL text: exact, never in exponent form."""
    text = f"{Decimal(str(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_DURATION = re.compile(r"(?:\d+(?:ms|[smhdwy]))+\Z")


def seconds(duration: str) -> float:
    """Return a Prometheus duration, such as `5m` or `1h30m`, in seconds.

    Raises:
        ValueError: the text is not a duration.
    """
    if not _DURATION.match(duration):
        raise ValueError(f"{duration!r} is not a duration such as 30s, 5m or 1h30m")
    return sum(int(n) * _UNIT_SECONDS[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))


def humanize(value: Decimal | float, unit: Unit) -> str:
    """Return a limit with its unit: `50 ms`, `0.1 %`, `10 GB`, `20`.

    >>> humanize(Decimal("0.05"), Unit.SECONDS), humanize(Decimal("0.001"), Unit.RATIO)
    ('50 ms', '0.1 %')
    """
    exact = Decimal(str(value))
    if unit is Unit.SECONDS:
        return f"{number(exact * 1000)} ms" if exact < 1 else f"{number(exact)} s"
    if unit is Unit.RATIO:
        return f"{number(exact * 100)} %"
    if unit is Unit.BYTES:
        for size, word in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
            if exact >= size:
                return f"{number(exact / size)} {word}"
        return f"{number(exact)} B"
    return number(exact)
