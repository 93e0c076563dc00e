"""Names of parametrised tests."""

from __future__ import annotations

import re


def shown(value: object) -> str:
    """Return `repr(value)` without addresses, so that every process collects the same tests."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
