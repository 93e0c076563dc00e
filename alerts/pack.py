"""The whole rule pack for one set of settings."""

from __future__ import annotations

from collections.abc import Iterable

from mnemoscope.objectives import OBJECTIVES
from mnemoscope.settings import Settings

from . import absence, burnrate, faults, overrides, records, zones
from .model import Alert, Group, Pack


def alert_names() -> tuple[str, ...]:
    """Every alert of the pack, also those that a site may have switched off."""
    return (
        *(zone.name for zone in zones.ZONES),
        *(burnrate.alert_name(objective) for objective in OBJECTIVES),
        faults.DEADLOCK,
        faults.INVERSION,
        absence.ABSENT,
        absence.DOWN,
    )


def build(settings: Settings) -> Pack:
    """Recording rules first, then the alerts that read them.

    Raises:
        MnemoscopeError: an override names no alert, or a limit or target lets an alert never fire.
    """
    overrides.check_names(settings, alert_names())
    areas: tuple[tuple[str, Iterable[Alert]], ...] = (
        ("dual-memory", zones.alerts(settings, zones.DUAL)),
        ("cognitive-metrics", zones.alerts(settings, zones.COGNITIVE)),
        ("locks", faults.alerts(settings)),
        ("budgets", burnrate.alerts(settings)),
        ("targets", absence.alerts(settings)),
    )
    alerting = (Group(f"{settings.prefix}.alerts.{area}", overrides.apply(settings, found)) for area, found in areas)
    return Pack(
        (
            *records.groups(settings),
            *burnrate.records(settings),
            *(group for group in alerting if group.rules),
        )
    )
