"""Blocks whose labels name a tenant: one tenant, slightly fewer than the limit on label sets, and more than the limit.

The limit is 1,000. Each figure has its own registry, so that it starts with no label sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

from ..percall import Sampler, per_call

BASELINE = "next(tenants); work()"


def ours_1() -> Sampler:
    return _ours(1)


def ours_900() -> Sampler:
    return _ours(900)


def ours_1100() -> Sampler:
    return _ours(1_100)


def ours_5000() -> Sampler:
    return _ours(5_000)


def ours_lambda() -> Sampler:
    """Write a lambda in the block: it is a new object each time."""
    return _ours(1, options="is_error=lambda error: not isinstance(error, KeyError), ")


def prometheus_1() -> Sampler:
    return _prometheus(1)


def prometheus_5000() -> Sampler:
    return _prometheus(5_000)


def _ours(tenants: int, options: str = "") -> Sampler:
    import mnemoscope as scope
    from mnemoscope.instrumentation import Registry

    return per_call(
        f"with scope.storage(next(tenants), 'load', {options}registry=registry): work()",
        BASELINE,
        scope=scope,
        registry=Registry(),
        tenants=_in_turn(tenants),
    )


def _prometheus(tenants: int) -> Sampler:
    from .prometheus import histogram

    return per_call(
        "with h.labels(next(tenants), 'ok').time(): work()", BASELINE, h=histogram(), tenants=_in_turn(tenants)
    )


def _in_turn(tenants: int) -> Iterator[str]:
    return cycle([f"tenant-{number:04}" for number in range(tenants)])
