"""Checks of arguments at set-up, so that a wrong value raises there and not at run time."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any


def seconds(name: str, value: object) -> float:
    """Return `value` if it is a number of seconds that a thread can wait.

    >>> seconds("timeout", "15s")
    Traceback (most recent call last):
    ...
    ValueError: timeout must be a number of seconds above 0, not '15s'
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= threading.TIMEOUT_MAX:
        return value
    raise ValueError(f"{name} must be a number of seconds above 0, not {value!r}")


def whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """Return `value` if it is a whole number from `least` to `most`.

    >>> whole("port", -1, 0, 65535)
    Traceback (most recent call last):
    ...
    ValueError: port must be a whole number from 0 to 65535, not -1
    """
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= (value if most is None else most):
        return value
    limits = f"from {least} on" if most is None else f"from {least} to {most}"
    raise ValueError(f"{name} must be a whole number {limits}, not {value!r}")


def mapping(name: str, value: object) -> Mapping[Any, Any]:
    """Return `value` if it is a mapping. The message does not show its content, which may be a password."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping from text to text, not {type(value).__name__}")
    return value
