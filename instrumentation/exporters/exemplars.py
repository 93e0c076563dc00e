"""Checks of exemplars: one that a format cannot carry would fail the whole scrape, so it is left out."""

from __future__ import annotations

import math

from ..recording.snapshot import Exemplar
from ..recording.values import MAX_EXEMPLAR_CHARACTERS
from .utf8 import valid

_MAX_NANOSECONDS = 2**64  # OTLP's


def sound(exemplar: Exemplar | None) -> Exemplar | None:
    """Return the exemplar with float numbers and valid text; None if its labels or numbers cannot be used.

    >>> sound(Exemplar((("trace_id", "0af7"),), 1, 2))
    Exemplar(labels=(('trace_id', '0af7'),), value=1.0, timestamp=2.0)
    >>> sound(Exemplar((("user", 7),), 1, 2))
    """
    if exemplar is None:
        return None
    try:
        labels, value, timestamp = tuple(exemplar.labels), float(exemplar.value), float(exemplar.timestamp)
        good = all(_is_label(*label) for label in labels) and len(dict(labels)) == len(labels)
    except Exception:
        return None
    if good and math.isfinite(value) and 0 <= timestamp * 1e9 < _MAX_NANOSECONDS:
        return Exemplar(tuple((name, valid(text)) for name, text in labels), value, timestamp)
    return None


def short(exemplar: Exemplar | None) -> Exemplar | None:
    """Return the exemplar if it is sound and short enough for OpenMetrics; otherwise None."""
    exemplar = sound(exemplar)
    if exemplar is None or sum(len(name) + len(text) for name, text in exemplar.labels) > MAX_EXEMPLAR_CHARACTERS:
        return None
    return exemplar


def _is_label(name: object, text: object) -> bool:
    # In an exemplar, but not in other labels, Prometheus takes a zero byte for the end of the scrape.
    return (
        isinstance(name, str) and name.isascii() and name.isidentifier() and isinstance(text, str) and "\0" not in text
    )
