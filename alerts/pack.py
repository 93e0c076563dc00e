"""The whole rule pack for one set of settings."""

from __future__ import annotations

from collections.abc import Iterable

from mnemoscope.model.objectives import OBJECTIVES
from mnemoscope.model.settings import Settings

from . import overrides
from .model import Alert, Group, Pack
from .rules import (
    burn_rate,
    locks,
    recording,
    targets,
    thresholds,
)


def alert_names() -> tuple[str, ...]:
    """Every alert of the pack, also those that a site may have switched off."""
    return (
        *(zone.name for zone in thresholds.ZONES),
        *(burn_rate.alert_name(objective) for objective in OBJECTIVES),
        locks.DEADLOCK,
        locks.INVERSION,
        targets.ABSENT,
        targets.DOWN,
    )


def build(settings: Settings) -> Pack:
    """Recording rules first, then the alerts that read them.

    Raises:
        MnemoscopeError: an override names no alert, or a limit or target lets an alert never fire.
    """
    overrides.check_names(settings, alert_names())
    areas: tuple[tuple[str, Iterable[Alert]], ...] = (
        ("dual-memory", thresholds.alerts(settings, thresholds.DUAL)),
        ("cognitive-metrics", thresholds.alerts(settings, thresholds.COGNITIVE)),
        ("locks", locks.alerts(settings)),
        ("budgets", burn_rate.alerts(settings)),
        ("targets", targets.alerts(settings)),
    )
    alerting = (Group(f"{settings.prefix}.alerts.{area}", overrides.apply(settings, found)) for area, found in areas)
    return Pack(
        (
            *recording.groups(settings),
            *burn_rate.records(settings),
            *(group for group in alerting if group.rules),
        )
    )
