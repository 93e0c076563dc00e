# ruff: noqa: F403, F405
"""What is measured: every metric of the pack, declared once.

There is no `__all__`: a star import re-exports every constant to type checkers, without a second list of them.

>>> from mnemoscope import catalog
>>> catalog.LOCK_WAIT_DURATION.prometheus_name()
'mnemo_lock_wait_duration_seconds'
>>> catalog.by_name("cache.lookups").label_names
('cache', 'result')
"""

from __future__ import annotations

from . import index_cache, locks, memory, service, storage
from .declare import *
from .exposed import ExposedNames as ExposedNames
from .index_cache import *
from .labels import *
from .locks import *
from .memory import *
from .model import *
from .service import *
from .storage import *

CATALOG: tuple[Metric, ...] = tuple(
    value
    for module in (locks, index_cache, storage, memory, service)
    for value in vars(module).values()
    if isinstance(value, Metric)
)
"""Every metric, in the order of definition."""

_BY_NAME = {metric.name: metric for metric in CATALOG}
if len(_BY_NAME) != len(CATALOG):
    raise ValueError("two metrics of the catalog share a name")


def find(name: str) -> Metric | None:
    """Return the metric with this dotted name, if there is one."""
    return _BY_NAME.get(name)


def by_name(name: str) -> Metric:
    """Return the metric with this dotted name.

    Raises:
        KeyError: there is none; the message offers the nearest.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        from difflib import get_close_matches

        near = get_close_matches(name, _BY_NAME, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise KeyError(f"unknown metric {name!r}{hint}") from None
