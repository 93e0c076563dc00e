"""The labels and annotations of an alert that promtool must find, with the templates expanded.

Covers the part of Prometheus' template language that the pack's own annotations use, and refuses the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus

from mnemoscope.model.settings import Settings

from .. import render
from ..model import Alert

_WITH = re.compile(r"\{\{ with \$labels\.(\w+) \}\}(.*?)\{\{ end \}\}")
_ACTION = re.compile(r"\{\{ (?:\$labels\.(\w+)|(\$value))(?: \| (\w+))? \}\}")


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires.

    Attributes:
        rule: the rule behind it.
        labels: labels of the series that the expression found.
        value: the number that `$value` stands for.
    """

    rule: Alert
    labels: Mapping[str, str]
    value: float

    def as_promtool(self, settings: Settings) -> dict[str, dict[str, str]]:
        """Return the entry of `exp_alerts`."""
        return {
            "exp_labels": {**self.labels, **render.labels(self.rule)},
            "exp_annotations": {
                name: expand(template, self.labels, self.value)
                for name, template in render.annotations(self.rule, settings).items()
            },
        }


def expand(template: str, labels: Mapping[str, str], value: float) -> str:
    """Return `template` as Prometheus expands it.

    Raises:
        ValueError: it holds a template action that is not covered here.
    """

    def section(match: re.Match[str]) -> str:
        found = labels.get(match[1], "")
        return match[2].replace("{{ . }}", found) if found else ""

    def action(match: re.Match[str]) -> str:
        label, _, function = match.groups()
        if label is None:
            return _NUMBERS[function](value)
        found = labels.get(label, "")
        return quote_plus(found) if function == "urlquery" else found

    text = _ACTION.sub(action, _WITH.sub(section, template))
    if "{{" in text:
        raise ValueError(f"cannot expand {template!r}")
    return text


def humanize(value: float) -> str:
    """Return what Prometheus' `humanize` shows: four digits and a metric prefix."""
    if value == 0 or not math.isfinite(value):
        return _four(value)
    sign = 3 if abs(value) >= 1 else -3
    for prefix in "kMGTPEZY" if sign > 0 else "mµnpfazy":
        scaled = value / 1000 if sign > 0 else value * 1000
        if sign > 0 and abs(value) < 1000:
            return _four(value)
        value = scaled
        if (sign < 0 and abs(value) >= 1) or (sign > 0 and abs(value) < 1000):
            return _four(value) + prefix
    return _four(value)


def humanize_duration(value: float) -> str:
    """Return what `humanizeDuration` shows: days to seconds, or a fraction of a second with a metric prefix."""
    if not math.isfinite(value):
        return _four(value)
    if value == 0:
        return "0s"
    if abs(value) < 1:
        for prefix in "mµnpfazy":
            value *= 1000
            if abs(value) >= 1:
                return f"{_four(value)}{prefix}s"
        return f"{_four(value)}ys"
    sign, whole = ("-", int(-value)) if value < 0 else ("", int(value))
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    if minutes:
        return f"{sign}{minutes}m {seconds}s"
    return f"{_four(value)}s"


def humanize_percentage(value: float) -> str:
    """Return what `humanizePercentage` shows."""
    return f"{_four(value * 100)}%"


def humanize_1024(value: float) -> str:
    """Return what `humanize1024` shows: four digits and a binary prefix."""
    reached = ""
    for prefix in ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"):
        if abs(value) < 1024 or not math.isfinite(value):
            break
        value, reached = value / 1024, prefix
    return _four(value) + reached


def _four(value: float) -> str:
    return f"{value:.4g}"


_NUMBERS: dict[str, Callable[[float], str]] = {
    "humanize": humanize,
    "humanize1024": humanize_1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
}
