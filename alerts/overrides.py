"""What a site overrides in single alerts: enabled or not, severity, `for`, further labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches

from mnemoscope.errors import MnemoscopeError
from mnemoscope.model.settings import AlertOverride, Settings

from .model import Alert

_UNCHANGED = AlertOverride()


def enabled(settings: Settings, name: str) -> bool:
    """Return whether the alert `name` is enabled at this site."""
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
    """Return the alerts with the overrides of the site.

    A severity for the whole alert makes its two rules the same to Alertmanager. Then the first rule is kept: it has the
    milder limit, and fires whenever the other would.
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
