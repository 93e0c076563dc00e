"""What a site changes about single alerts: off, another severity, another `for`, further labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import AlertOverride, Settings

from .model import Alert

_UNCHANGED = AlertOverride()


def enabled(settings: Settings, name: str) -> bool:
    """Whether the site wants the alert `name`."""
    return settings.alerts.get(name, _UNCHANGED).enabled


def check_names(settings: Settings, known: Iterable[str]) -> None:
    """Refuse overrides of alerts that do not exist.

    Raises:
        MnemoscopeError: an override names no alert; the message offers the nearest.
    """
    names = sorted(set(known))
    for name in settings.alerts:
        if name not in names:
            near = get_close_matches(name, names, n=3) or names
            raise MnemoscopeError(f"alerts.{name}: no such alert; did you mean {', '.join(near)}?")


def apply(settings: Settings, alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """The alerts as the site has them.

    Where one severity for all makes two rules of an alert the same to Alertmanager, the first, which has the
    milder limit and holds whenever the other does, is kept.
    """
    kept: dict[tuple[str, str, tuple[tuple[str, str], ...]], Alert] = {}
    for alert in alerts:
        if enabled(settings, alert.name):
            changed = _changed(settings, alert)
            kept.setdefault((changed.name, changed.severity, tuple(sorted(changed.labels.items()))), changed)
    return tuple(kept.values())


def _changed(settings: Settings, alert: Alert) -> Alert:
    override = settings.alerts.get(alert.name, _UNCHANGED)
    return replace(
        alert,
        for_=override.for_ or alert.for_,
        severity=override.severity or alert.severity,
        labels={**settings.alert_labels, **override.labels, **alert.labels},
    )
