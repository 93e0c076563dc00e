"""The whole rule pack for one set of settings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from mnemoscope.model.links import BOARDS
from mnemoscope.model.objectives import OBJECTIVES
from mnemoscope.model.settings import Settings

from . import overrides
from .model import Alert, Group, Pack
from .rules import burn_rate, locks, recording, targets, thresholds


def alert_names() -> tuple[str, ...]:
    """Return the names of all alerts, those that a site disables included."""
    return (
        *thresholds.names(),
        *(burn_rate.alert_name(objective) for objective in OBJECTIVES),
        locks.DEADLOCK,
        locks.INVERSION,
        targets.ABSENT,
        targets.DOWN,
    )


def build(settings: Settings) -> Pack:
    """Return the pack of one site: recording rules first, then the alerts that read them.

    Raises:
        MnemoscopeError: an override names no alert, or a limit or target lets an alert never fire.
    """
    overrides.check_names(settings, alert_names())
    areas: tuple[tuple[str, Iterable[Alert]], ...] = (
        *((board, thresholds.alerts(settings, board)) for board in BOARDS),
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


def alerts_of_panel(board: str, panel: str) -> tuple[str, ...]:
    """Return the names of the alerts that link to a panel, those that a site disables included."""
    names = [alert.name for alert in _all_alerts() if (alert.board, alert.panel) == (board, panel)]
    return tuple(dict.fromkeys(names))


@cache
def _all_alerts() -> tuple[Alert, ...]:
    return tuple(build(Settings()).alerts())
