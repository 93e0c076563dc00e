"""Turn a service's arguments into values that can be recorded: floats, label texts, exemplar labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from math import isfinite
from numbers import Complex, Real

from ..catalog.labels import DropReason

LARGEST = 1e292
"""The largest number that is recorded. 10^16 of them, more than a process can record, have a finite sum."""

MAX_EXEMPLAR_CHARACTERS = 128
"""OpenMetrics' limit for the names and values of an exemplar's labels together."""

_EXEMPLAR_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_EXEMPLAR_VALUE = re.compile(r'[^"\\\n\0]*\Z')  # prometheus_client's parser fails on escapes


class UnrecordableError(ValueError):
    """A value that cannot be recorded; `reason` is a value of the label `reason` of `instrumentation.dropped`."""

    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason)
        self.reason: DropReason = reason


def number(value: object, least: float = -LARGEST) -> float:
    """Return a number of any kind (int, Decimal, Fraction, a NumPy scalar) as a float.

    Raises:
        UnrecordableError: it is no real number, not finite, too large, or smaller than `least`.
    """
    if type(value) is not int and not _is_real(value):
        raise UnrecordableError("wrong_type")
    try:
        found = float(value)  # type: ignore[arg-type]  # anything may be passed in
    except OverflowError:
        raise UnrecordableError("overflow") from None
    except Exception:  # of a foreign __float__
        raise UnrecordableError("wrong_type") from None
    if not isfinite(found):
        raise UnrecordableError("not_finite")
    if abs(found) > LARGEST:
        raise UnrecordableError("overflow")
    if found < least:
        raise UnrecordableError("negative")
    return found


def _is_real(value: object) -> bool:
    kind = type(value)
    try:
        # Decimal and NumPy's bool are not registered as real numbers. An array or a tensor with one element converts to
        # a float as well, so a value with a length is no number.
        return issubclass(kind, Real) or (
            hasattr(kind, "__float__") and not hasattr(kind, "__len__") and not issubclass(kind, Complex)
        )
    except Exception:  # of a foreign metaclass
        return False


def label_text(value: object) -> str:
    """Return a label value as text: an enum member's value, else `str`.

    Raises:
        UnrecordableError: it cannot be written as text.
    """
    if type(value) is str:
        return value
    try:
        if isinstance(value, Enum):
            value = value.value
        return str.__str__(str(value))  # an exact str: `str` may return an instance of a subclass
    except Exception:
        raise UnrecordableError("label_value") from None


def exemplar_labels(given: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return the labels of an exemplar as pairs of texts.

    Raises:
        UnrecordableError: not a mapping, a name that is no label name, a value that is no plain text, or too long.
    """
    try:
        pairs = tuple((name, label_text(value)) for name, value in given.items())
        valid = all(
            type(name) is str and _EXEMPLAR_LABEL.match(name) and _EXEMPLAR_VALUE.match(value) for name, value in pairs
        )
    except Exception:
        raise UnrecordableError("exemplar") from None
    if not valid or sum(len(name) + len(value) for name, value in pairs) > MAX_EXEMPLAR_CHARACTERS:
        raise UnrecordableError("exemplar")
    return pairs
